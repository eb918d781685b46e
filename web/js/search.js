// One search after another: what is asked, which route answers it, and what the shelf then shows.

import { filtersToAddress, learn, readFilters, setFilters, watchFilters } from "./filters.js";
import { call } from "./api.js";
import { readAddress, writeAddress } from "./address.js";
import { buy } from "./buy.js";
import { deleteProduct } from "./merchant.js";
import { showProblem } from "./notice.js";
import { dropPicture, getPicture, setProductPicture, watchPicture } from "./picture.js";
import { showLoading, showNone, showResults } from "./results.js";
import { scoreProduct } from "./score.js";
import { tryOn } from "./tryon.js";

const PAGE = 24;
const MOST = 200;
const get = (name) => document.getElementById(name);
const query = get("query");
const alpha = get("alpha");
let topK = PAGE;
let running = null;

/** Which call answers words, picture or both; a product's own picture never finds itself. */
export function toCall({ words, picture, filters, blend, count }) {
  const reference = picture?.fileId ? { fileId: picture.fileId } : { imageUrl: picture?.imageUrl };
  const asked = { topK: picture?.productId ? Math.min(count + 1, MOST) : count, filters };
  if (!picture) return ["POST", "api/search/text", { query: words, ...asked }];
  if (words) return ["POST", "api/search/hybrid", { ...reference, query: words, alpha: blend, ...asked }];
  if (picture.productId && !filters) {
    return ["GET", `api/search/similar/${encodeURIComponent(picture.productId)}?topK=${count}`];
  }
  return ["POST", "api/search/image", { ...reference, ...asked }];
}

async function search() {
  const words = query.value.trim();
  const picture = getPicture();
  const filters = readFilters();
  showBlend(words, picture);
  if (!words && !picture) return showWindow();
  running?.abort();
  const mine = (running = new AbortController());
  showLoading(PAGE);
  showProblem(get("notice"), null);
  const begun = performance.now();
  try {
    const wanted = { words, picture, filters, blend: Number(alpha.value), count: topK };
    const [method, path, body] = toCall(wanted);
    const answer = await call(method, path, { body, signal: mine.signal });
    if (mine.signal.aborted) return;
    show(answer, words, picture, performance.now() - begun);
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

function show(answer, words, picture, roundTripMs) {
  const found = answer.results.filter(({ id }) => id !== picture?.productId).slice(0, topK);
  learn(found);
  showResults(found, ACTS, "Nothing fits these filters. Clear one, or ask for something else.");
  const subject = [words && `“${words}”`, picture && `the picture “${picture.name}”`];
  const count = found.length ? `${found.length} best matches` : "Nothing found";
  get("summary").textContent = `${count} for ${subject.filter(Boolean).join(" and ")}`;
  get("further").hidden = found.length < topK || topK >= MOST;
  get("foot-version").textContent = `Index ${answer.indexVersion}`;
  get("foot-latency").textContent =
    `Answered in ${Math.round(answer.latencyMs)} ms (${Math.round(roundTripMs)} ms with the network)`;
}

function fail(error) {
  showNone();
  get("summary").textContent = "No results";
  get("further").hidden = true;
  showProblem(get("notice"), error);
}

/** The shop window: of the newest products, one of each category in turn. */
async function showWindow() {
  running?.abort();
  const mine = (running = new AbortController());
  get("summary").textContent = "From the catalogue";
  get("further").hidden = true;
  showProblem(get("notice"), null);
  showLoading(PAGE / 2);
  try {
    const { items } = await call("GET", "api/catalog/products?limit=100", { signal: mine.signal });
    learn(items);
    showResults(inTurn(items).slice(0, PAGE / 2), ACTS, "The catalogue is empty.");
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

/** A few of every category, and not the same colour of each. */
function inTurn(products) {
  const shelves = new Map();
  for (const product of products) {
    shelves.set(product.category, [...(shelves.get(product.category) || []), product]);
  }
  const columns = [...shelves.values()].map((column, place) => {
    const turn = (place * 5) % column.length;
    return [...column.slice(turn), ...column.slice(0, turn)];
  });
  const rounds = Math.max(0, ...columns.map((column) => column.length));
  return Array.from({ length: rounds }, (_, round) => columns.map((column) => column[round]))
    .flat()
    .filter(Boolean);
}

function showBlend(words, picture) {
  get("blend").hidden = !(words && picture);
  const share = Math.round(alpha.value * 100);
  get("alpha-text").textContent = `${100 - share} % words, ${share} % picture`;
  alpha.setAttribute("aria-valuetext", get("alpha-text").textContent);
}

/** A new search by the visitor: from the first page, and into the page's address. */
function begin() {
  topK = PAGE;
  const like = getPicture()?.productId || "";
  writeAddress({ q: query.value.trim(), like, ...filtersToAddress() });
  return search();
}

const ACTS = {
  like(product) {
    dropPicture();
    setProductPicture(product);
    query.value = "";
    begin();
    scrollTo({ top: 0 });
    query.focus({ preventScroll: true });
  },
  tryOn,
  score: scoreProduct,
  async buy(product) {
    showProblem(get("notice"), null);
    try {
      await buy(product);
    } catch (error) {
      showProblem(get("notice"), error);
      get("notice").scrollIntoView({ block: "center" });
    }
  },
  async remove(product, card) {
    try {
      if (await deleteProduct(product)) card.remove();
    } catch (error) {
      showProblem(get("notice"), error);
      get("notice").scrollIntoView({ block: "center" });
    }
  },
};

/** What the page's address says: a shared link, or the browser's back button. */
async function restore() {
  const { q = "", like = "", ...filters } = readAddress();
  query.value = q;
  setFilters(filters);
  try {
    if (!like) dropPicture();
    else if (like !== getPicture()?.productId) {
      dropPicture();
      setProductPicture(await call("GET", `api/catalog/products/${encodeURIComponent(like)}`));
    }
    topK = PAGE;
    await search();
  } catch (error) {
    fail(error);
  }
}

/** Puts the search to work. */
export function startSearch() {
  get("search").addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  get("chips").addEventListener("click", (event) => {
    const chip = event.target.closest("button");
    if (!chip) return;
    query.value = chip.textContent;
    begin();
  });
  query.addEventListener("input", () => showBlend(query.value.trim(), getPicture()));
  alpha.addEventListener("input", () => showBlend(query.value.trim(), getPicture()));
  alpha.addEventListener("change", search);
  watchFilters(begin);
  watchPicture((error) => (error ? showProblem(get("notice"), error) : begin()));
  get("further").addEventListener("click", () => {
    topK = Math.min(topK * 2, MOST);
    search();
  });
  addEventListener("popstate", restore);
  restore();
}
