// The merchant's panel: a product with its picture, and one's own products deleted again.

import { call } from "./api.js";
import { sameOrigin } from "./address.js";
import { startImport } from "./import.js";
import { line, showProblem } from "./notice.js";
import { isMerchant, watchSession } from "./session.js";
import { upload } from "./upload.js";

const form = document.getElementById("product");
const notice = document.getElementById("product-notice");

async function add(event) {
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  const fields = new FormData(form);
  const text = (name) => fields.get(name).trim() || undefined;
  showProblem(notice, null);
  button.disabled = true;
  button.textContent = "Adding…";
  try {
    const { fileId } = await upload(fields.get("picture"), "product");
    const id = newId(text("title") || "product");
    const product = await call("PUT", `api/catalog/products/${id}`, {
      body: {
        title: text("title"), category: text("category"), brand: text("brand"),
        price: text("price"), currency: text("currency"), description: text("description"),
        inStock: fields.has("inStock"), fileId,
      },
    });
    list(product);
    form.reset();
  } catch (error) {
    showProblem(notice, error);
  } finally {
    button.disabled = false;
    button.textContent = "Add product";
  }
}

/** A readable id that no other product has: "red-dress-1f3a9c20". */
function newId(title) {
  const words = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  const random = crypto.getRandomValues(new Uint8Array(4));
  const end = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return words ? `${words}-${end}` : `product-${end}`;
}

/** Asks, deletes, and says whether it was done. */
export async function deleteProduct(product) {
  if (!confirm(`Delete “${product.title}” from the catalogue?`)) return false;
  await call("DELETE", `api/catalog/products/${encodeURIComponent(product.id)}`);
  return true;
}

function list(product) {
  document.getElementById("added-none").hidden = true;
  const item = document.createElement("li");
  const image = new Image(44, 44);
  image.alt = "";
  image.src = sameOrigin(product.image);
  const button = line("button", "Delete");
  button.type = "button";
  button.className = "plain";
  button.addEventListener("click", async () => {
    try {
      if (await deleteProduct(product)) item.remove();
    } catch (error) {
      showProblem(notice, error);
    }
  });
  item.append(image, line("span", product.title), button);
  document.getElementById("added").prepend(item);
}

/** Puts the panel to work; only merchants see it. */
export function startMerchant() {
  watchSession(() => {
    document.getElementById("merchant").hidden = !isMerchant();
  });
  form.addEventListener("submit", add);
  startImport();
}
