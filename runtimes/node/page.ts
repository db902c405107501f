import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "../../core/http/page.ts";

/** Where the page is: beside the bundled agent, above its chunks, or where `npm ci` has made it. */
const places = [".", "..", "../page/built"].map((folder) => join(import.meta.dirname, folder, "device.html.gz"));

let found: Promise<Page | undefined> | undefined;

/** The device's page, read when the first browser asks for it. Undefined: it was not built. */
export const devicePage = (): Promise<Page | undefined> => (found ??= readFirst());

async function readFirst(): Promise<Page | undefined> {
  for (const place of places) {
    const bytes = await readFile(place).catch(() => undefined);
    if (bytes)
      return { gzipped: new Uint8Array(bytes), tag: createHash("sha256").update(bytes).digest("hex").slice(0, 16) };
  }
  return undefined;
}
