import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { buildPage } from "./page.ts";

/** Makes the pages in `runtimes/page/built/`, or in the folder that is named. `npm ci` runs it. */
const folder = resolve(process.argv[2] ?? join(import.meta.dirname, "../runtimes/page/built"));
mkdirSync(folder, { recursive: true });
const { html } = await buildPage("device");
writeFileSync(join(folder, "device.html.gz"), gzipSync(html, { level: 9 }));
