import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { app, testDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { openPage, serve, useBrowser } from "./browser.ts";

/** What somebody wants who sees the page for the first time: what is clicked from `/`, and what is seen then. */
interface Task {
  readonly task: string;
  readonly clicks: readonly string[];
  /** What is typed before the last click, into a field with this name. */
  readonly types?: readonly [field: string, text: string];
  readonly sees: string | RegExp;
}

const tasks: readonly Task[] = [
  { task: "read what db writes", clicks: ["Logs: db"], sees: "db says hello" },
  { task: "see who holds up the update", clicks: ["Why"], sees: /held by web/ },
  { task: "override the lock", clicks: ["Force …", "Force"], sees: "looks for a new target state" },
  { task: "restart db", clicks: ["More actions for db", "Restart db"], sees: "Restart db: done." },
  { task: "stop db", clicks: ["More actions for db", "Stop db"], sees: "Stop db: done." },
  { task: "find the board", clicks: ["Blink"], sees: "The LED blinks" },
  { task: "reboot", clicks: ["More actions for device", "Reboot …", "Reboot"], sees: /Reboot: done|A service holds/ },
  { task: "name the host", clicks: ["Host", "Save: Host name"], types: ["Host name", "misty-sea"], sees: "Saved." },
  { task: "see how warm it was tonight", clicks: ["Figures"], sees: "Temperature" },
  { task: "see what the next update changes", clicks: ["Update"], sees: "What the next update changes" },
];

async function click(page: Page, name: string): Promise<void> {
  const wanted = page
    .locator("button, a, summary")
    .and(page.getByLabel(name, { exact: true }))
    .or(page.locator("button:visible, a:visible").and(page.getByText(name, { exact: true })));
  await wanted.last().click();
}

describe.skipIf(noBrowser)("a stranger", () => {
  const browser = useBrowser();

  test("does each of ten tasks with at most three clicks from /", async () => {
    const device = await testDevice({ program: ({ service }) => ({ lines: [`${service} says hello`] }) });
    await device.run({ "1": app({ web: {}, db: {} }, { name: "shop" }) });
    device.folders.lock(1, "web");
    await device.run({ "1": app({ web: { image: "web:2" }, db: {} }, { name: "shop" }) });
    const url = await serve(device.fetch);
    const page = await openPage(browser(), url);
    for (const { task, clicks, types, sees } of tasks) {
      expect(clicks.length, task).toBeLessThanOrEqual(3);
      await page.goto("about:blank");
      await page.goto(url);
      await page.getByText("live").waitFor();
      for (const [n, name] of clicks.entries()) {
        if (types && n === clicks.length - 1) await page.getByRole("textbox", { name: types[0] }).fill(types[1]);
        await click(page, name);
      }
      await page.getByText(sees).first().waitFor();
    }
  });
});
