// Addresses: this studio under its other loopback name, and the page's own query string.

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * A signed URL as this page may load it: the studio signs for 127.0.0.1, and a page opened as
 * localhost is another origin to the browser though it is the same server.
 */
export function sameOrigin(url) {
  const found = new URL(url, location.href);
  const isTwin =
    LOOPBACK.includes(found.hostname) &&
    LOOPBACK.includes(location.hostname) &&
    found.port === location.port;
  return isTwin ? location.origin + found.pathname + found.search : found.href;
}

/** `{q: "dress", like: ""}` -> the page's address, without empty values. */
export function writeAddress(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  const text = query.toString();
  const next = text ? `?${text}` : location.pathname;
  if (next !== (location.search || location.pathname)) history.pushState(null, "", next);
}

/** The page's address as an object. */
export function readAddress() {
  return Object.fromEntries(new URLSearchParams(location.search));
}
