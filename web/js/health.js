// The badge that says how the studio is, and its parts on request.

import { reach } from "./api.js";
import { line } from "./notice.js";

const EVERY_MS = 30_000;
const NAMES = {
  rec: "Search", seg: "Segmentation", vto: "Try-on", reg: "Sales score",
  jobs: "Jobs", db: "Database", cache: "Cache", blob: "Pictures",
};
const badge = document.getElementById("health");

async function look() {
  try {
    const response = await reach("api/health");
    const { status, services } = await response.json();
    show(status, services);
  } catch {
    show("down", null);
  }
}

function show(status, services) {
  badge.dataset.status = status;
  document.getElementById("health-text").textContent = headline(status, services);
  const parts = Object.entries(services || {}).flatMap(([name, part]) => {
    const told = line("dd", part.detail || (part.status === "ok" ? `${part.latencyMs} ms` : "down"));
    told.dataset.status = part.status;
    return [line("dt", NAMES[name] || name), told];
  });
  document.getElementById("health-parts").replaceChildren(...parts);
}

function headline(status, services) {
  if (services === null) return "Not reachable";
  if (status === "ok") return "All up";
  if (status === "degraded") return "Search is up";
  return "Search is down";
}

/** Looks now and every half minute while the page is visible. */
export function startHealth() {
  look();
  setInterval(() => document.hidden || look(), EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  document.addEventListener("click", (event) => {
    if (!badge.contains(event.target)) badge.open = false;
  });
}
