import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import * as z from "zod";
import { executablePath, noBrowser } from "../support/chromium.ts";
import { flags, servePage } from "./served.ts";

/** A real Chromium, and the page of a device in it. */

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

/** As `servePage`, until the end of the test. Resolves with the address. */
export async function serve(...given: Parameters<typeof servePage>): Promise<string> {
  const { url, close } = await servePage(...given);
  onTestFinished(close);
  return url;
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

/** What axe finds. */
export const Violations = z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) }));
