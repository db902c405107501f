import { describe, expect, test } from "vitest";
import { memorySystem } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { app, testDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { UnpluggedEngine } from "../support/unplugged-engine.ts";
import { openPage, serve, useBrowser } from "./browser.ts";

const hourMs = 3_600_000;

describe.skipIf(noBrowser)("the page says", () => {
  const browser = useBrowser();

  test("that the engine does not answer, since when, and what was seen last", async () => {
    const engine = new UnpluggedEngine({ clock: systemClock });
    const device = await testDevice({ ports: { engine } });
    await device.run({ "1": app({ web: {} }, { name: "shop" }) });
    engine.isAway = true;
    device.supervisor.loop.trigger();
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByText(/The engine has not answered for .*: connect ENOENT/).waitFor();
    await page.getByRole("row", { name: /web.*Running/ }).waitFor();
    engine.isAway = false;
    device.supervisor.loop.trigger();
    await page.getByText(/The engine has not answered/).waitFor({ state: "detached" });
  });

  test("that the engine is one in memory, that the clock is wrong, and how long the machine is up", async () => {
    const clock = { ...systemClock, now: () => Date.now() - 2 * hourMs };
    const system = { ...memorySystem, bootedAt: () => clock.now() - 5 * hourMs };
    const device = await testDevice({ clock, identity: { isSimulated: true }, ports: { system } });
    await device.run({ "1": app({ web: {} }, { name: "shop" }) });
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByText("no container really runs").waitFor();
    await page.getByText("The clock of this device is off by 2 hr").waitFor();
    await page.getByText("up 5 hr").waitFor();
  });

  test("of an older agent which services it has, and offers what that can do", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {}, db: {} }, { name: "shop" }) });
    const url = await serve(async (request, known) =>
      new URL(request.url).pathname.startsWith("/v3/")
        ? new Response("Not Found", { status: 404 })
        : device.fetch(request, known),
    );
    const page = await openPage(browser(), url);
    await page.getByText("The agent of this device is an older one").waitFor();
    await page.getByText("2 of 2 run").waitFor();
    expect(await page.getByRole("navigation").count()).toBe(0);
    expect(await page.getByRole("log").count()).toBe(0);
    await page.locator('summary[aria-label="More actions for db"]').click();
    await page.getByRole("button", { name: "Stop db" }).click();
    await page.getByText("1 of 2 run").waitFor();
  });

  test("images without the length of their digests", async () => {
    const digest = `sha256:${"ab".repeat(32)}`;
    const device = await testDevice();
    await device.run({ "1": app({ web: { image: `registry.lan/web:7@${digest}` } }, { name: "shop" }) });
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByRole("cell", { name: "registry.lan/web@sha256:abababababab", exact: true }).waitFor();
    expect(await page.getByText(digest).count()).toBe(0);
  });
});
