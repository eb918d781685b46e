// An upload: presign, PUT straight into the blob store, complete.

import { call, reach, read } from "./api.js";
import { sameOrigin } from "./address.js";

const TYPES = {
  csv: "text/csv", jsonl: "application/jsonl", ndjson: "application/x-ndjson",
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp",
  avif: "image/avif", heic: "image/heic", heif: "image/heic",
  gif: "image/gif", bmp: "image/bmp", tif: "image/tiff", tiff: "image/tiff",
};

/** The file as the studio answers, `{fileId, readUrl, …}`, once it has checked it. */
export async function upload(file, purpose) {
  const announced = await call("POST", "api/files/presign", {
    body: {
      filename: file.name || "picture",
      contentType: typeOf(file),
      sizeBytes: file.size,
      purpose,
    },
  });
  await read(
    await reach(sameOrigin(announced.url), {
      method: announced.method,
      headers: announced.headers,
      body: file,
    }),
  );
  return call("POST", `api/files/${announced.fileId}/complete`);
}

/** An upload that sends a file once, however often in a row it is asked for. */
export function rememberUpload(purpose) {
  let last = null;
  return async (file) => {
    if (last?.file !== file) last = { file, stored: await upload(file, purpose) };
    return last.stored;
  };
}

/** Browsers know no type for JSON lines, and Windows calls CSV a spreadsheet. */
function typeOf(file) {
  const extension = file.name.split(".").pop().toLowerCase();
  return TYPES[extension] || file.type || "application/octet-stream";
}
