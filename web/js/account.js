// The sign-in panel: sign in, create an account, sign out.

import { call } from "./api.js";
import { showProblem } from "./notice.js";
import { finishAtProvider, hasProvider, leaveForProvider } from "./provider.js";
import { endSession, getSession, keepSession, watchSession } from "./session.js";

const get = (name) => document.getElementById(name);
const dialog = get("account");
const notice = get("account-notice");
let isNew = false;
let settle = null;

/** True once someone is signed in; asks, and says why; false where the visitor declines. */
export function requireAccount(why) {
  return getSession() ? Promise.resolve(true) : open(why);
}

function open(why = "") {
  setMode(false);
  get("account-why").textContent = why;
  get("account-why").hidden = !why;
  dialog.showModal();
  get("account-email").focus();
  hasProvider().then((has) => {
    get("account-provider").hidden = !has;
  });
  return new Promise((resolve) => {
    settle = resolve;
  });
}

function setMode(toNew) {
  isNew = toNew;
  const title = isNew ? "Create an account" : "Sign in";
  get("account-title").textContent = title;
  get("account-submit").textContent = title;
  get("account-switch").textContent = isNew
    ? "I have an account: sign in"
    : "New here? Create an account";
  get("account-name-row").hidden = !isNew;
  get("account-rule").hidden = !isNew;
  get("account-password").autocomplete = isNew ? "new-password" : "current-password";
  showProblem(notice, null);
}

async function submit(event) {
  event.preventDefault();
  const email = get("account-email").value;
  const password = get("account-password").value;
  const name = get("account-name").value.trim() || undefined;
  showProblem(notice, null);
  get("account-submit").disabled = true;
  try {
    if (isNew) {
      await call("POST", "api/auth/register", { body: { email, password, name } });
      setMode(false);
    }
    keepSession(await call("POST", "api/auth/login", { body: { email, password } }));
    dialog.close();
  } catch (error) {
    showProblem(notice, error);
  } finally {
    get("account-submit").disabled = false;
  }
}

async function signOut() {
  const { refreshToken } = getSession();
  await call("POST", "api/auth/logout", { body: { refreshToken } }).catch(() => {});
  endSession();
}

function showWho(session) {
  get("sign-in").hidden = session !== null;
  get("sign-out").hidden = session === null;
  get("who-name").hidden = session === null;
  get("who-name").textContent = session ? session.user.name || session.user.email : "";
}

/** Puts the panel to work. */
export function startAccount() {
  get("sign-in").addEventListener("click", () => open());
  get("sign-out").addEventListener("click", signOut);
  get("account-close").addEventListener("click", () => dialog.close());
  get("account-switch").addEventListener("click", () => setMode(!isNew));
  get("account-provider").addEventListener("click", leaveForProvider);
  get("account-form").addEventListener("submit", submit);
  dialog.addEventListener("close", () => {
    get("account-password").value = "";
    settle?.(getSession() !== null);
    settle = null;
  });
  watchSession(showWho);
  finishAtProvider().then((problem) => {
    if (problem === null) return;
    open();
    showProblem(notice, problem);
  });
}
