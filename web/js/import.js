// Import of many products: the file is uploaded, the job is watched, its bad lines are listed.

import { call } from "./api.js";
import { followJob, showShare } from "./job.js";
import { line, showProblem } from "./notice.js";
import { upload } from "./upload.js";

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
    const { fileId } = await upload(new FormData(form).get("file"), "dataset");
    const { jobId } = await call("POST", "api/catalog/import", { body: { fileId } });
    finish(await followJob(jobId, "import", tell));
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

function tell({ done, total }) {
  say(total ? `${done} of ${total} lines` : "Waiting…", total ? done / total : null);
}

function finish({ imported, failed, errors }) {
  say(`${imported} imported, ${failed} refused`, 1);
  const items = errors.slice(0, SHOWN).map(({ line: number, detail }) => line("li", `Line ${number}: ${detail}`));
  if (failed > SHOWN) items.push(line("li", `and ${failed - SHOWN} more`));
  get("import-errors").replaceChildren(...items);
  get("import-errors").hidden = items.length === 0;
}

function say(text, share) {
  get("import-text").textContent = text;
  showShare(get("import-bar"), share);
}

/** Puts the form to work. */
export function startImport() {
  form.addEventListener("submit", start);
}
