// Import of many products: the file is uploaded, the job is watched, its bad lines are listed.

import { call, Problem } from "./api.js";
import { line, showProblem } from "./notice.js";
import { upload } from "./upload.js";

const LOOK_MS = 700;
const SHOWN = 50;
const get = (name) => document.getElementById(name);
const form = get("import");

async function start(event) {
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  reset();
  button.disabled = true;
  try {
    say("Uploading…", null);
    const fileId = await upload(new FormData(form).get("file"), "dataset");
    const { jobId } = await call("POST", "api/catalog/import", { body: { fileId } });
    finish(await watch(jobId));
    form.reset();
  } catch (error) {
    get("import-progress").hidden = true;
    showProblem(get("import-notice"), error);
  } finally {
    button.disabled = false;
  }
}

function reset() {
  showProblem(get("import-notice"), null);
  get("import-errors").hidden = true;
  get("import-progress").hidden = false;
}

/** The job, once it has ended. */
async function watch(jobId) {
  for (;;) {
    const job = await call("GET", `api/jobs/${jobId}`);
    const { done, total } = job.progress;
    if (job.finishedAt) return job;
    say(total ? `${done} of ${total} lines` : "Waiting…", total ? done / total : null);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function finish(job) {
  if (job.state !== "succeeded") {
    throw new Problem({ title: "The import failed", detail: job.error || job.state });
  }
  const { imported, failed, errors } = job.result;
  say(`${imported} imported, ${failed} refused`, 1);
  const items = errors.slice(0, SHOWN).map(({ line: number, detail }) => line("li", `Line ${number}: ${detail}`));
  if (failed > SHOWN) items.push(line("li", `and ${failed - SHOWN} more`));
  get("import-errors").replaceChildren(...items);
  get("import-errors").hidden = items.length === 0;
}

function say(text, share) {
  get("import-text").textContent = text;
  if (share === null) get("import-bar").removeAttribute("value");
  else get("import-bar").value = share;
}

/** Puts the form to work. */
export function startImport() {
  form.addEventListener("submit", start);
}
