import { join } from "node:path";
import { writePages } from "../../packaging/page.ts";
import { noBrowser } from "./chromium.ts";
import { noDocker, noRestart } from "./docker.ts";
import { noGenerators } from "./generators.ts";
import { noNamespaces } from "./namespaces.ts";
import { noPrometheus } from "./prometheus.ts";
import { noHost } from "./systemd-host.ts";

/** Prints which tests are skipped on this machine, and how to run them. */
export function saySkipped(): void {
  for (const why of [noDocker, noRestart, noHost, noNamespaces, noPrometheus, noBrowser, noGenerators])
    if (why) process.stdout.write(`${why}\n`);
}

/** Makes the pages, which the Worker contains. Says what is skipped before and after the tests, unless who runs vitest has said so. */
export default async function setup(): Promise<(() => void) | undefined> {
  await writePages(join(import.meta.dirname, "../../runtimes/page/built"));
  if (process.env["FAIRLEAD_TEST_SKIPPED_SAID"]) return undefined;
  saySkipped();
  return saySkipped;
}
