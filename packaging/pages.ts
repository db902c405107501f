import { join, resolve } from "node:path";
import { writePages } from "./page.ts";

/** Makes the pages in `runtimes/page/built/`, or in the folder that is named. `npm ci` runs it. */
await writePages(resolve(process.argv[2] ?? join(import.meta.dirname, "../runtimes/page/built")));
