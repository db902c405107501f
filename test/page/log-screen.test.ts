import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { JournalQuery } from "../../core/ports/journal.ts";
import { app, testDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { openPage, serve, useBrowser } from "./browser.ts";
import { press } from "./keyboard.ts";

describe.skipIf(noBrowser)("the screen of the logs", () => {
  const browser = useBrowser();

  test("reads earlier lines on request, each once and in their order", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { id } = await device.container("web");
    for (let n = 0; n < 500; n++) device.engine.write(id, `${"pad ".repeat(n % 80)}line ${n}.`);
    const page = await openPage(browser(), `${await serve(device.fetch)}/#/logs`);
    const log = page.getByRole("log");
    await log.getByText("line 499.").waitFor();
    const seen = async () =>
      (await log.locator(".line").filter({ hasText: "line " }).allTextContents()).map((text) => text.split("line ")[1]);
    expect(await seen()).toHaveLength(200);
    await press(page, "button", "Earlier lines");
    await log.getByText("line 0.", { exact: true }).waitFor();
    expect(await seen()).toEqual(Array.from({ length: 500 }, (_, n) => `${n}.`));
    // The reader is where the earlier lines end, and stays there.
    const middle = `(() => {
      const { left, top, height } = document.querySelector(".log").getBoundingClientRect();
      return document.elementFromPoint(left + 100, top + height / 2 + 4).closest(".line").textContent;
    })()`;
    await expect.poll(() => page.evaluate(middle)).toMatch(/line 300\.$/);
    await page.getByRole("button", { name: /Follow/ }).waitFor();
    device.engine.write(id, "line 500.");
    await page.getByRole("button", { name: /1 new line/ }).waitFor();
    await press(page, "button", "Earlier lines");
    await page.getByText("There are no earlier lines").waitFor();
    expect(await seen()).toHaveLength(501);
  });

  test("downloads all that the device keeps as a text", async () => {
    const device = await testDevice({ program: ({ service }) => ({ lines: [`${service} says hello`] }) });
    await device.run({ "1": app({ web: {}, db: {} }) });
    const page = await openPage(browser(), `${await serve(device.fetch)}/#/logs`);
    await page.getByRole("log").getByText("web says hello").waitFor();
    const coming = page.waitForEvent("download");
    await press(page, "button", "Download");
    const download = await coming;
    expect(download.suggestedFilename()).toBe("device.log");
    const lines = readFileSync(await download.path(), "utf8")
      .trim()
      .split("\n");
    expect(lines).toContainEqual(expect.stringMatching(/^\d{4}-\S+Z web web says hello$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\d{4}-\S+Z db db says hello$/));
  });

  test("shows the journal of the host, and more of it on request", async () => {
    const asked: (number | undefined)[] = [];
    const read = ({ count }: JournalQuery) => {
      asked.push(count);
      return new Blob([`Nov 23 20:14:40 host kernel: the last ${count} lines\n`]).stream();
    };
    const device = await testDevice({ ports: { journal: { read } } });
    await device.run({ "1": app({ web: {} }) });
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByText("live", { exact: true }).waitFor();
    await page.keyboard.press("6");
    await press(page, "link", "Read the journal");
    await page.getByText("the last 200 lines").waitFor();
    await press(page, "button", "Earlier lines");
    await page.getByText("the last 1200 lines").waitFor();
    await press(page, "button", "Read again");
    await page.getByText("the last 200 lines").waitFor();
    expect(asked).toEqual([200, 1200, 200]);
    await press(page, "button", "all");
    await page.getByRole("log").getByText("web is running").waitFor();
  });

  test("offers no journal where there is none", async () => {
    const device = await testDevice();
    const page = await openPage(browser(), `${await serve(device.fetch)}/#/logs`);
    await page.getByRole("group", { name: "Services" }).getByRole("button", { name: "agent" }).waitFor();
    expect(await page.getByRole("button", { name: "journal" }).count()).toBe(0);
  });
});
