// Signing in by an OpenID provider: leaves for it, and comes back with a code in the fragment.

import { Problem, call, reach } from "./api.js";
import { keepSession } from "./session.js";

const LOGIN = "api/auth/oidc/login";
let answer = null;

/** Whether this studio has a provider; asked once, when somebody is about to sign in. */
export function hasProvider() {
  answer ??= reach(LOGIN, { method: "HEAD" }).then(
    (response) => response.ok,
    () => false,
  );
  return answer;
}

/** Leaves the page; the provider sends the browser back to it. */
export function leaveForProvider() {
  location.assign(LOGIN);
}

/** After the return: the code of the fragment becomes the session. Null, or what went wrong. */
export async function finishAtProvider() {
  const found = new URLSearchParams(location.hash.slice(1));
  const code = found.get("signin");
  if (code === null && !found.has("signin-failed")) return null;
  // The code works once, and leaves the address bar and the history before it is used.
  history.replaceState(null, "", location.pathname + location.search);
  if (code === null) return failure();
  try {
    keepSession(await call("POST", "api/auth/oidc/session", { body: { code } }));
    return null;
  } catch (error) {
    return error;
  }
}

function failure() {
  return new Problem({
    title: "Signing in did not work",
    detail: "The provider did not confirm who you are, or it took too long. Please try again.",
  });
}
