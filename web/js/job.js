// A job of the studio, followed until it ends.

import { call, Problem } from "./api.js";

const LOOK_MS = 700;

/**
 * The job's result, once it has succeeded. `tell({done, total, message})` hears how far it is;
 * `name` says what failed where it fails.
 */
export async function followJob(jobId, name, tell, signal) {
  for (;;) {
    const job = await call("GET", `api/jobs/${jobId}`, { signal });
    if (job.state === "succeeded") return job.result;
    if (job.finishedAt) {
      const problem = new Problem({ title: `The ${name} failed`, detail: job.error || job.state });
      problem.result = job.result;
      throw problem;
    }
    tell(job.progress);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** The bar of a progress element at a share of 0 to 1; null where nobody knows how far it is. */
export function showShare(bar, share) {
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
}
