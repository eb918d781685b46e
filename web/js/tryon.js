// Trying a garment on: a product, a photograph of the shopper, and the picture made of both.

import { requireAccount } from "./account.js";
import { sameOrigin } from "./address.js";
import { call } from "./api.js";
import { followJob, showShare } from "./job.js";
import { capital, showProblem } from "./notice.js";
import { watchSession } from "./session.js";
import { rememberUpload } from "./upload.js";

const get = (name) => document.getElementById(`tryon-${name}`);
const dialog = document.getElementById("tryon");
const form = get("form");
const photo = form.elements.photo;
const WHY = "Your photograph is kept in your account, so trying things on needs one.";
const store = rememberUpload("selfie");
const FIELDS = { personUrl: "your photograph", garmentUrl: "the garment" };
let garment = null;
let stored = null; // the photograph as the studio has it
let running = null;

/** Opens the panel with this product as the garment. */
export async function tryOn(product) {
  if (!(await requireAccount(WHY))) return;
  garment = product;
  get("name").textContent = product.title;
  get("garment").src = sameOrigin(product.image);
  form.elements.category.value = "";
  clear();
  dialog.showModal();
}

async function start(event) {
  event.preventDefault();
  const mine = (running = new AbortController());
  clear();
  get("progress").hidden = false;
  setBusy(true);
  try {
    show(await make(mine.signal));
  } catch (error) {
    if (!mine.signal.aborted) showProblem(get("notice"), inWords(error));
  } finally {
    if (running === mine) stop();
  }
}

/** The finished picture's address: answered at once, or by a job. */
async function make(signal) {
  say("Uploading your photograph…", null);
  const file = await store(photo.files[0]);
  signal.throwIfAborted();
  stored = file;
  get("forget").hidden = false;
  say("Trying it on…", null);
  const category = form.elements.category.value || undefined;
  const body = { personUrl: stored.readUrl, garmentUrl: garment.image, category, mode: "auto" };
  const answer = await call("POST", "api/cv/tryon", { body, signal });
  const made = answer.jobId ? await followJob(answer.jobId, "try-on", tell, signal) : answer;
  return made.outputUrl;
}

/** The error, with the API's names for the two pictures as the shopper knows them. */
function inWords(error) {
  error.message = error.message.replace(/^\w+(?=: )/, (name) => FIELDS[name] || name);
  return error;
}

function tell({ done, total, message }) {
  say(capital(message || "waiting") + "…", total ? done / total : null);
}

function say(text, share) {
  get("text").textContent = text;
  showShare(get("bar"), share);
}

function show(outputUrl) {
  get("output").src = sameOrigin(outputUrl);
  get("output").alt = `You in ${garment.title}`;
  get("told").textContent = get("output").alt;
  get("result").hidden = false;
}

function clear() {
  showProblem(get("notice"), null);
  get("result").hidden = true;
  get("output").removeAttribute("src");
}

function setBusy(isBusy) {
  for (const field of [get("submit"), get("forget"), photo]) field.disabled = isBusy;
}

function stop() {
  running?.abort();
  running = null;
  get("progress").hidden = true;
  setBusy(false);
}

function preview() {
  URL.revokeObjectURL(get("photo").src);
  const [file] = photo.files;
  get("person").hidden = !file;
  if (file) get("photo").src = URL.createObjectURL(file);
  else get("photo").removeAttribute("src");
  get("forget").hidden = true;
  stored = null;
  clear();
}

/** The photograph leaves this page, not the account. */
function drop() {
  photo.value = "";
  preview();
}

async function forget() {
  showProblem(get("notice"), null);
  try {
    await call("DELETE", `api/files/${stored.fileId}`);
    drop();
  } catch (error) {
    showProblem(get("notice"), error);
  }
}

/** Puts the panel to work. */
export function startTryOn() {
  form.addEventListener("submit", start);
  photo.addEventListener("change", preview);
  get("forget").addEventListener("click", forget);
  get("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
  watchSession((session) => session || drop());
}
