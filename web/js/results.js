// The shelf of products: cards, their placeholders, and what is said when there are none.

import { sameOrigin } from "./address.js";
import { line } from "./notice.js";
import { isMerchant, watchSession } from "./session.js";

const grid = document.getElementById("results");
const nothing = document.getElementById("nothing");
const template = document.getElementById("card");
const OWNERS = ".rate, .delete"; // buttons that only merchants see

/** Grey cards of the same size while the first answer is on its way; others are dimmed. */
export function showLoading(count) {
  grid.setAttribute("aria-busy", "true");
  nothing.hidden = true;
  if (grid.childElementCount) return;
  grid.replaceChildren(...Array.from({ length: count }, placeholder));
}

function placeholder() {
  const card = template.content.cloneNode(true).firstElementChild;
  card.classList.add("waiting");
  card.setAttribute("aria-hidden", "true");
  for (const button of card.querySelectorAll("button")) button.remove();
  return card;
}

/**
 * Shows products; `act` holds `buy`, `tryOn`, `like` and `score`, each of a product, and
 * `remove(product, card)`.
 */
export function showResults(products, act, whenNone) {
  grid.removeAttribute("aria-busy");
  grid.replaceChildren(...products.map((product) => toCard(product, act)));
  nothing.hidden = products.length > 0;
  nothing.textContent = products.length ? "" : whenNone;
}

/** Takes the loading state away and leaves the shelf empty. */
export function showNone() {
  grid.removeAttribute("aria-busy");
  grid.replaceChildren();
  nothing.hidden = true;
}

function toCard(product, act) {
  const card = template.content.cloneNode(true).firstElementChild;
  const part = (name) => card.querySelector(`.${name}`);
  card.dataset.id = product.id;
  showImage(card.querySelector("img"), product);
  part("flag").hidden = product.inStock;
  part("title").textContent = product.title;
  part("price").textContent = formatPrice(product);
  part("brand").textContent = product.brand || "\u00a0";
  part("score").textContent = product.score === undefined ? "" : product.score.toFixed(3);
  for (const button of card.querySelectorAll("button")) button.firstElementChild.textContent = `: ${product.title}`;
  part("buy").hidden = !product.inStock;
  part("buy").addEventListener("click", () => act.buy(product));
  part("try").addEventListener("click", () => act.tryOn(product));
  part("more").addEventListener("click", () => act.like(product));
  for (const button of card.querySelectorAll(OWNERS)) button.hidden = !isMerchant();
  part("rate").addEventListener("click", () => act.score(product));
  part("delete").addEventListener("click", () => act.remove(product, card));
  return card;
}

function showImage(image, product) {
  image.addEventListener("error", () => {
    image.replaceWith(line("p", "The picture can't be shown"));
  });
  image.src = sameOrigin(product.image);
}

/** `{price: "41.99", currency: "EUR"}` as the visitor's language writes it. */
export function formatPrice({ price, currency }) {
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(price);
  } catch {
    return `${price} ${currency}`;
  }
}

watchSession(() => {
  for (const button of grid.querySelectorAll(OWNERS)) button.hidden = !isMerchant();
});
