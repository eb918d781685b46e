// The sales score of a product photograph: how much it should sell, how sure that is, and why.

import { sameOrigin } from "./address.js";
import { call } from "./api.js";
import { line, showProblem } from "./notice.js";
import { isMerchant, watchSession } from "./session.js";
import { rememberUpload } from "./upload.js";

const get = (name) => document.getElementById(`score-${name}`);
const panel = document.getElementById("score");
const form = get("form");
const { photo, category, price } = form.elements;
const store = rememberUpload("product");
let product = null; // scored instead of a photograph
let running = null;

/** Scores this product of the catalogue. */
export function scoreProduct(chosen) {
  form.reset();
  choose(chosen);
  panel.focus({ preventScroll: true });
  panel.scrollIntoView();
  form.requestSubmit();
}

function choose(next) {
  product = next;
  photo.required = product === null;
  get("product").hidden = product === null;
  get("product").textContent = product ? `Product: ${product.title}` : "";
}

async function start(event) {
  event.preventDefault();
  running?.abort();
  const mine = (running = new AbortController());
  showProblem(get("notice"), null);
  hide();
  setBusy(true);
  try {
    const said = { category: category.value.trim() || undefined, price: price.value || undefined };
    const body = { ...(await name()), ...said, heatmap: true };
    const answer = await call("POST", "api/analytics/predict", { body, signal: mine.signal });
    if (!mine.signal.aborted) show(answer);
  } catch (error) {
    if (!mine.signal.aborted) showProblem(get("notice"), error);
  } finally {
    if (running === mine) setBusy(false);
  }
}

function setBusy(isBusy) {
  get("submit").disabled = isBusy;
  get("submit").textContent = isBusy ? "Scoring…" : "Score";
}

/** What is scored, as the API names it. */
async function name() {
  if (product) return { productId: product.id };
  return { fileId: (await store(photo.files[0])).fileId };
}

function show(answer) {
  const [score, low, high] = [answer.score, answer.errLow, answer.errHigh].map(Math.round);
  const cases = Math.round(answer.coverage * 100);
  const guess = answer.categoryGuessed ? ", a category guessed from what looks alike" : "";
  get("value").textContent = score;
  get("meaning").textContent = `Should outsell ${score} of 100 products in “${answer.category}”${guess}.`;
  get("coverage").textContent = `In ${cases} of 100 cases between ${low} and ${high}.`;
  get("doubt").hidden = !answer.outOfDistribution;
  get("version").textContent = `Version ${answer.modelVersion}`;
  showRange(answer);
  get("comparables").replaceChildren(...answer.comparables.map(toItem));
  get("heatmap").parentElement.hidden = !answer.heatmapUrl;
  if (answer.heatmapUrl) get("heatmap").src = sameOrigin(answer.heatmapUrl);
  for (const part of ["result", "why"]) get(part).hidden = false;
}

function showRange({ score, errLow, errHigh }) {
  get("span").style.left = `${errLow}%`;
  get("span").style.width = `${errHigh - errLow}%`;
  get("mark").style.left = `${score}%`;
  const words = [score, errLow, errHigh].map(Math.round);
  get("range").setAttribute("aria-label", `${words[0]} on a scale to 100, between ${words[1]} and ${words[2]}`);
}

function toItem({ title, image, category: kind, units, score, similarity }) {
  const item = document.createElement("li");
  const text = document.createElement("span");
  const figures = `Score ${Math.round(score)}, ${Math.round(units)} sold, ${Math.round(similarity * 100)} % alike`;
  const told = line("small", figures);
  told.className = "hint";
  text.append(line("strong", title || `A ${kind} no longer for sale`), document.createElement("br"), told);
  if (image) {
    const shown = new Image(56, 56);
    shown.alt = "";
    shown.src = sameOrigin(image);
    item.append(shown);
  }
  item.append(text);
  return item;
}

function hide() {
  for (const part of ["none", "result", "why"]) get(part).hidden = true;
}

function forget() {
  running?.abort();
  form.reset();
  choose(null);
  showProblem(get("notice"), null);
  hide();
  get("none").hidden = false;
}

/** Puts the panel to work; only merchants see it. */
export function startScore() {
  form.addEventListener("submit", start);
  photo.addEventListener("change", () => choose(null));
  watchSession((session) => {
    panel.hidden = !isMerchant();
    if (!session) forget();
  });
}
