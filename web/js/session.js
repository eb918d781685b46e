// Who is signed in, in this tab only: tokens live in sessionStorage and nowhere else.

const KEY = "studio.session";
const watchers = [];
let session = restore();

function restore() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** `{accessToken, refreshToken, user}`, or null. */
export function getSession() {
  return session;
}

/** Whether the account may write products. */
export function isMerchant() {
  return ["merchant", "admin"].includes(session?.user.role);
}

/** What a login or a refresh answered becomes the session. */
export function keepSession({ accessToken, refreshToken, user }) {
  session = { accessToken, refreshToken, user };
  sessionStorage.setItem(KEY, JSON.stringify(session));
  tell();
}

/** Forgets the tokens. */
export function endSession() {
  session = null;
  sessionStorage.removeItem(KEY);
  tell();
}

/** Calls `watch` now and at every change. */
export function watchSession(watch) {
  watchers.push(watch);
  watch(session);
}

function tell() {
  for (const watch of watchers) watch(session);
}
