// Import of many products: the file is uploaded, the job is watched, its bad lines are listed.

import { call } from "./api.js";
import { followJob, showShare } from "./job.js";
import { line, showProblem } from "./notice.js";

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
    const fields = new FormData(form);
    const options = new URLSearchParams({ mode: fields.get("mode") });
    if (fields.get("currency")) options.set("currency", fields.get("currency").toUpperCase());
    const { jobId } = await call("POST", `api/catalog/import?${options}`, { body: fields.get("file") });
    finish(await followJob(jobId, "import", tell));
    form.reset();
  } catch (error) {
    get("import-progress").hidden = true;
    showProblem(get("import-notice"), error);
    if (error.result) listLines(error.result);
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

function finish(result) {
  const removed = result.removed ? `, ${result.removed} removed` : "";
  say(`${result.imported} imported, ${result.failed} refused${removed}`, 1);
  listLines(result);
}

function listLines({ failed, skipped, errors, leftOut, ignoredColumns }) {
  const reports = [...errors, ...leftOut].slice(0, SHOWN);
  const items = reports.map(({ line: number, detail }) => line("li", `Line ${number}: ${detail}`));
  const more = failed + skipped - reports.length;
  if (more > 0) items.push(line("li", `and ${more} more`));
  if (ignoredColumns.length) items.push(line("li", `Columns without a place: ${ignoredColumns.join(", ")}`));
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
