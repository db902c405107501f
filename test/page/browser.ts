import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import type { Fetch } from "../../core/http/fetch.ts";
import { guardOrigin } from "../../core/http/origin.ts";
import { withPage } from "../../core/http/page.ts";
import { buildPage } from "../../packaging/page.ts";
import { executablePath, noBrowser } from "../support/chromium.ts";
import { Listener, toNodeListener } from "../../runtimes/node/listener.ts";

/** A real Chromium, and the page of a device in it. */

const flags = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/** Starts one browser with an empty profile for the tests of a file. */
export function useBrowser(): () => Browser {
  let browser: Browser | undefined;
  let profile = "";
  beforeAll(async () => {
    if (noBrowser) return;
    profile = mkdtempSync(join(tmpdir(), "fairlead-page-"));
    browser = await chromium.launch({ executablePath, args: flags, env: { ...process.env, HOME: profile } });
  });
  afterAll(async () => {
    await browser?.close();
    if (profile !== "") rmSync(profile, { recursive: true, force: true });
  });
  return () => {
    if (!browser) throw new Error("The browser has not started");
    return browser;
  };
}

let built: Promise<{ readonly gzipped: Uint8Array<ArrayBuffer>; readonly tag: string }> | undefined;

/** The page as it is in the sources now. */
export const pageOfSources = () =>
  (built ??= buildPage("device").then(({ html }) => ({
    gzipped: new Uint8Array(gzipSync(html, { level: 9 })),
    tag: createHash("sha256").update(html).digest("hex"),
  })));

/** Serves an API and the page as the agent does. Resolves with the address. */
export async function serve(fetch: Fetch, { isOpen = true }: { readonly isOpen?: boolean } = {}): Promise<string> {
  const guarded = guardOrigin(withPage(fetch, pageOfSources), { isOpen: () => isOpen });
  const listener = new Listener(guarded, 0, toNodeListener);
  await listener.listen("127.0.0.1");
  onTestFinished(() => listener.close());
  return `http://127.0.0.1:${listener.port}`;
}

interface OpenOptions extends BrowserContextOptions {
  /** What runs before the page's own script. */
  readonly before?: string;
}

/** Opens an address in a fresh context. The test fails if anything foreign is requested, or the policy is violated. */
export async function openPage(browser: Browser, url: string, { before, ...options }: OpenOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const faults: string[] = [];
  const own = new URL(url).origin;
  page.on("request", (request) => {
    if (!request.url().startsWith(own) && !/^(data|blob):/.test(request.url())) faults.push(`asked ${request.url()}`);
  });
  page.on("pageerror", (error) => faults.push(error.stack ?? error.message));
  page.on("console", (message) => {
    const isPolicy = /content security policy|trusted/i.test(message.text());
    if (isPolicy) faults.push(message.text());
  });
  if (before !== undefined) await page.addInitScript(before);
  onTestFinished(async () => {
    await context.close();
    expect(faults).toEqual([]);
  });
  await page.goto(url);
  return page;
}
