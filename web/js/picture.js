// The picture one searches by: a photo of one's own (chosen, dropped or pasted), or a product's.

import { call } from "./api.js";
import { requireAccount } from "./account.js";
import { sameOrigin } from "./address.js";
import { watchSession } from "./session.js";
import { upload } from "./upload.js";

const box = document.getElementById("picture");
const image = document.getElementById("picture-image");
const choose = document.getElementById("photo");
const bar = document.getElementById("bar");
const WHY = "A photo is uploaded to your account, so searching by photo needs one.";

let picture = null;

/** `{fileId}` or `{productId, imageUrl}` with `name` and `preview`, or null. */
export function getPicture() {
  return picture;
}

/** Looks for things like this product from now on. */
export function setProductPicture(product) {
  keep({
    productId: product.id,
    imageUrl: product.image,
    name: product.title,
    preview: sameOrigin(product.image),
  });
}

/** Forgets the picture; an uploaded photo is deleted from the account too. */
export function dropPicture() {
  if (picture?.fileId) {
    URL.revokeObjectURL(picture.preview);
    call("DELETE", `api/files/${picture.fileId}`).catch(() => {});
  }
  keep(null);
}

function keep(next) {
  picture = next;
  box.hidden = next === null;
  if (next) {
    image.src = next.preview;
    document.getElementById("picture-name").textContent = next.name;
  } else image.removeAttribute("src");
}

async function take(file) {
  if (!file || !(await requireAccount(WHY))) return false;
  bar.setAttribute("aria-busy", "true");
  try {
    const { fileId } = await upload(file, "garment");
    dropPicture();
    keep({ fileId, name: file.name || "Your photo", preview: URL.createObjectURL(file) });
  } finally {
    bar.removeAttribute("aria-busy");
  }
  return true;
}

/** Calls `change(error | null)` when the visitor adds or removes a picture. */
export function watchPicture(change) {
  const accept = (file) =>
    take(file).then(
      (isTaken) => isTaken && change(null),
      (error) => change(error),
    );
  document.getElementById("photo-choose").addEventListener("click", () => choose.click());
  choose.addEventListener("change", () => {
    accept(choose.files[0]);
    choose.value = "";
  });
  document.getElementById("picture-remove").addEventListener("click", () => {
    dropPicture();
    change(null);
    document.getElementById("query").focus();
  });
  watchDrop(accept);
  watchSession((session) => session || !picture?.fileId || keep(null));
  document.addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
    if (!pasted) return;
    event.preventDefault();
    accept(pasted);
  });
}

/** Files may be dropped anywhere on the page. */
function watchDrop(accept) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const show = (isOver) => document.body.classList.toggle("dropping", isOver);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    show(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || show(false));
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event) || event.target.matches?.("input[type=file]")) return;
    event.preventDefault();
    show(false);
    accept(event.dataTransfer.files[0]);
  });
}
