// Calls of the studio's API: JSON in and out, the session's token, problem documents as errors.

import { endSession, getSession, keepSession } from "./session.js";

/** What went wrong, as the API's problem document (RFC 9457) says it. */
export class Problem extends Error {
  constructor({ title, detail, status, requestId }, retryAfter = null) {
    super(detail || title || "Something went wrong.");
    this.title = title || "Something went wrong";
    this.status = status;
    this.requestId = requestId || null;
    this.retryAfter = retryAfter;
  }
}

/** One call; the answer's JSON, or null where there is no body. */
export async function call(method, path, { body, signal } = {}) {
  let response = await send(method, path, body, signal);
  if (response.status === 401 && getSession() && !path.startsWith("api/auth/")) {
    await refresh();
    response = await send(method, path, body, signal);
  }
  return read(response);
}

/** A response's JSON; throws a Problem unless it is a success. */
export async function read(response) {
  const type = response.headers.get("content-type") || "";
  const document = response.status !== 204 && type.includes("json") ? await response.json() : null;
  if (response.ok) return document;
  throw new Problem(
    document || { title: `The studio answered ${response.status}`, status: response.status },
    response.headers.get("retry-after"),
  );
}

/** fetch, with a plain sentence where the studio can't be reached. */
export async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "No connection",
      detail: "The studio can't be reached. Is it still running?",
    });
  }
}

function send(method, path, body, signal) {
  const headers = {};
  const session = getSession();
  if (session) headers.Authorization = `Bearer ${session.accessToken}`;
  const isFile = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = isFile ? "application/octet-stream" : "application/json";
  return reach(path, {
    method,
    headers,
    signal,
    body: body === undefined || isFile ? body : JSON.stringify(body),
  });
}

let refreshing = null;

/** A fresh access token for the session, once however many calls need it; or no session. */
function refresh() {
  refreshing ??= exchange().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function exchange() {
  const { refreshToken } = getSession();
  const response = await reach("api/auth/refresh", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ refreshToken }),
  });
  if (response.ok) keepSession(await response.json());
  else if (response.status === 401) endSession();
  else await read(response);
}
