import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Fetch } from "../../core/http/fetch.ts";
import { guardOrigin } from "../../core/http/origin.ts";
import { withPage, type Page } from "../../core/http/page.ts";
import { buildPage } from "../../packaging/page.ts";
import { Listener, toNodeListener } from "../../runtimes/node/listener.ts";

/** The browser's flags: it asks nobody for anything by itself. */
export const flags = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

let built: Promise<Page> | undefined;

/** The page as it is in the sources now. */
export const pageOfSources = (): Promise<Page> =>
  (built ??= buildPage("device").then(({ html }) => ({
    gzipped: new Uint8Array(gzipSync(html, { level: 9 })),
    tag: createHash("sha256").update(html).digest("hex"),
  })));

/** Serves an API and the page as the agent does. */
export async function servePage(
  fetch: Fetch,
  { isOpen = true }: { readonly isOpen?: boolean } = {},
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const guarded = guardOrigin(withPage(fetch, pageOfSources), { isOpen: () => isOpen });
  const listener = new Listener(guarded, 0, toNodeListener);
  await listener.listen("127.0.0.1");
  return { url: `http://127.0.0.1:${listener.port}`, close: () => listener.close() };
}
