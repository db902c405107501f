import axe from "axe-core";
import { describe, expect, test } from "vitest";
import { app, testDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { openPage, serve, useBrowser, Violations } from "./browser.ts";

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

  test("moves nothing for people who ask for that", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }, { name: "shop" }) });
    const page = await openPage(browser(), await serve(device.fetch), { reducedMotion: "reduce" });
    for (const screen of screens) {
      await page.goto(`${page.url().split("#")[0]}#/${screen}`);
      await page.getByText(/1 of 1 run/).waitFor();
      const moving = `[...document.querySelectorAll("*")].flatMap((one) => {
        const { transitionDuration, animationName, animationDuration } = getComputedStyle(one);
        const lasts = (times) => times.split(", ").some((time) => parseFloat(time) > 0.01);
        return lasts(transitionDuration) || (animationName !== "none" && lasts(animationDuration)) ? [one.className || one.tagName] : [];
      }).join(" ")`;
      expect([screen, await page.evaluate(moving)]).toEqual([screen, ""]);
    }
  });

  test("says with shapes and words what it says with colours", async () => {
    const device = await testDevice({
      program: ({ service }) => (service === "db" ? { exit: { code: 1, afterMs: 1 } } : {}),
    });
    await device.run({ "1": app({ web: {}, db: { restart: "no" } }, { name: "shop" }) });
    const page = await openPage(browser(), await serve(device.fetch), { forcedColors: "active" });
    await page.getByText(/1 of 2 run/).waitFor();
    const marks = page.locator("main tbody .mark");
    const shapes = await marks.locator("path").evaluateAll((all) => all.map((one) => one.getAttribute("d")));
    const labels = await marks.evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
    expect([new Set(shapes).size, new Set(labels).size]).toEqual([2, 2]);
    await page.keyboard.press("Tab");
    expect(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")).not.toBe("none");
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
      // Also with letters of twice the size.
      if (width === 320) continue;
      await page.evaluate("document.documentElement.style.fontSize = '200%'");
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      await page.evaluate("document.documentElement.style.fontSize = ''");
    }
  });
});
