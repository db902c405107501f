import { chromium } from "playwright-core";
import { createMemoryDevice } from "../../core/embedded/index.ts";
import { app } from "../support/device.ts";
import { executablePath } from "../support/chromium.ts";
import { flags, servePage } from "./served.ts";

/** Shows every screen of a board to a browser on it, and prints what each has, and what was asked of whom. */

const device = await createMemoryDevice();
const answer = await device.fetch(
  new Request("http://device/v2/local/target-state", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ local: { name: "board", config: {}, apps: { "1": app({ web: {} }, { name: "shop" }) } } }),
  }),
);
if (!answer.ok) throw new Error(await answer.text());
const { url, close } = await servePage(device.fetch);
const browser = await chromium.launch({ executablePath, args: flags });
const page = await browser.newPage();
const asked = new Set<string>();
const faults: string[] = [];
page.on("request", (request) => void asked.add(new URL(request.url()).origin.replace(url, "the board")));
page.on("requestfailed", (request) => {
  // A stream ends with its screen.
  if (!request.url().includes("/v3/stream")) faults.push(`${request.url()}: ${request.failure()?.errorText}`);
});
page.on("pageerror", (error) => void faults.push(error.message));
const screens: Record<string, string> = {};
for (const screen of ["", "logs", "update", "figures", "target", "host"]) {
  await page.goto(`${url}/#/${screen}`);
  await page.getByText("1 of 1 run").waitFor();
  await page.locator("#main > :not(.skeleton)").first().waitFor();
  screens[screen] = (await page.locator("[aria-current=page]").first().innerText()).trim();
}
await browser.close();
await close();
await device.stop();
process.stdout.write(JSON.stringify({ asked: [...asked], faults, screens }));
