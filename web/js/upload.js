// An upload: presign, PUT straight into the blob store, complete.

import { call, reach, read } from "./api.js";
import { sameOrigin } from "./address.js";

const TYPES = {
  csv: "text/csv", jsonl: "application/jsonl", ndjson: "application/x-ndjson",
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp",
  gif: "image/gif", bmp: "image/bmp", tif: "image/tiff", tiff: "image/tiff",
};

/** The file's id, once the studio has checked it. */
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
  const ready = await call("POST", `api/files/${announced.fileId}/complete`);
  return ready.fileId;
}

/** Browsers know no type for JSON lines, and Windows calls CSV a spreadsheet. */
function typeOf(file) {
  const extension = file.name.split(".").pop().toLowerCase();
  return TYPES[extension] || file.type || "application/octet-stream";
}
