// Says what went wrong, where it went wrong: the problem's own words and its request id.

/** Shows an error in its box; pass null to clear it. */
export function showProblem(box, error) {
  box.replaceChildren();
  box.hidden = error === null;
  if (error === null) return;
  if (!error.title) console.error(error); // a fault of this page, not an answer of the studio
  box.append(line("strong", error.title || "This page has a fault"), line("p", sentence(error)));
  if (error.requestId) {
    const id = line("p", "Request id ");
    id.className = "request";
    id.append(line("code", error.requestId));
    box.append(id);
  }
}

function sentence(error) {
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  return capital(error.message) + wait;
}

/** "no such file" -> "No such file". */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** An element with text. */
export function line(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
