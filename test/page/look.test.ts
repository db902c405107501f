import axe from "axe-core";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { app, testDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { openPage, serve, useBrowser } from "./browser.ts";

const Violations = z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) }));

const screens = ["", "logs", "update", "figures", "target", "host"];

describe.skipIf(noBrowser)("every screen", () => {
  const browser = useBrowser();

  test.each(["light", "dark"] as const)("has no fault that axe finds, in %s colours", async (colorScheme) => {
    const device = await testDevice({
      program: ({ service }) => (service === "db" ? { exit: { code: 1, afterMs: 1 } } : {}),
    });
    await device.run({ "1": app({ web: {}, db: { restart: "no" } }, { name: "shop" }) });
    // The policy of the page forbids the script that looks for faults.
    const page = await openPage(browser(), await serve(device.fetch), { colorScheme, bypassCSP: true });
    await page.evaluate(axe.source);
    for (const screen of screens) {
      await page.goto(`${page.url().split("#")[0]}#/${screen}`);
      await page.locator("#main > :not(.skeleton)").first().waitFor();
      const violations = Violations.parse(await page.evaluate("axe.run().then(({ violations }) => violations)"));
      expect(violations.map(({ id, nodes }) => `${screen}: ${id}: ${nodes[0]?.html}`)).toEqual([]);
    }
  });

  test.each([320, 640, 1280])("scrolls only downwards at %i pixels", async (width) => {
    const device = await testDevice();
    const long = "a-service-with-a-name-that-is-longer-than-the-screen-of-a-telephone";
    await device.run({ "1": app({ [long]: { image: `registry.example.com/${long}:1` } }, { name: "shop" }) });
    const page = await openPage(browser(), await serve(device.fetch), { viewport: { width, height: 700 } });
    for (const screen of screens) {
      await page.goto(`${page.url().split("#")[0]}#/${screen}`);
      await page.getByText(/1 of 1 run/).waitFor();
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
    }
  });
});
