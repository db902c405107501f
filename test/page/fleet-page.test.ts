import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { buildPage } from "../../packaging/page.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { noBrowser } from "../support/chromium.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { startCloud } from "../worker/cloud.ts";
import { connected } from "../worker/devices.ts";
import { newDevice, newFleet, newToken, type Registered, type TestFleet } from "../worker/people.ts";
import { openPage, useBrowser } from "./browser.ts";

test("the page of the fleets has at most 110 KB", async () => {
  const { html } = await buildPage("fleet");
  expect(gzipSync(html, { level: 9 }).length).toBeLessThan(110_000);
});

describe.skipIf(noBrowser)("the page of the fleets", () => {
  const cloud = startCloud();
  const browser = useBrowser();

  /** A whole agent on the engine in memory, connected to the cloud. */
  async function join({ uuid, api_key: key }: Registered): Promise<TestDevice & { readonly leave: () => void }> {
    const agent = await testDevice({ identity: { uuid } });
    const tunnel = startTunnel({
      ...{ url: cloud.url(), uuid, key, fetch: agent.fetch, clock: systemClock, log: new MemoryLog() },
    });
    onTestFinished(() => tunnel.stop());
    await connected(tunnel);
    return { ...agent, leave: () => tunnel.stop() };
  }

  async function report(fleet: TestFleet, { uuid, api_key }: Registered, kind?: string) {
    const since = "2026-11-23T20:00:00.000Z";
    const part = {
      problems: kind === undefined ? [] : [{ appId: fleet.id, service: "web", kind, message: `<img> ${kind}`, since }],
      apps: {
        [fleet.uuid]: {
          release_uuid: "c0ffee0",
          releases: { c0ffee0: { update_status: "done", services: { web: { image: "nginx:1", status: "Running" } } } },
        },
      },
    };
    expect((await cloud.ask("PATCH", "/device/v3/state", { [uuid]: part }, api_key)).status).toBe(200);
  }

  const makeRelease = ({ id }: TestFleet, commit: string, image: string) =>
    cloud.ask("POST", `/admin/v1/fleets/${id}/releases`, { commit, composition: { services: { web: { image } } } });

  test("signs in, shows trouble first, and opens a device through the relay, also when it is offline", async () => {
    const fleet = await newFleet(cloud, "cameras");
    await makeRelease(fleet, "c0ffee0", "nginx:1");
    const [well, failing] = [await newDevice(cloud, fleet), await newDevice(cloud, fleet)];
    const agent = await join(well);
    await join(failing);
    await report(fleet, well);
    await report(fleet, failing, "crashLoop");
    const { token } = await newToken(cloud, { fleets: [fleet.id], write: true });

    const page = await openPage(browser(), `${cloud.url()}/`);
    await page.getByLabel("Token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    const rows = page.locator("tbody tr");
    await rows.first().getByText("web: Crash loop. <img> crashLoop").waitFor();
    expect(await rows.count()).toBe(2);
    const stored = String(await page.evaluate("JSON.stringify([sessionStorage, localStorage, document.cookie])"));
    expect(stored).toContain("fairlead.session");
    expect(stored).not.toContain(token);

    await page.getByRole("button", { name: "1 well" }).click();
    await expect.poll(() => rows.count()).toBe(1);
    await page.getByPlaceholder("Name, UUID").fill("nothing like it");
    await page.getByText("No device fits.").waitFor();
    await page.getByPlaceholder("Name, UUID").fill(well.uuid);
    await rows.getByRole("link").click();

    await page.getByText("live", { exact: true }).waitFor();
    await agent.run({ "1": app({ web: {} }, { name: "shop", commit: "e607cafe" }) });
    await page.getByText("1 of 1 run").waitFor();
    agent.leave();
    await page.getByText(/Offline\. This is what the device has reported last/).waitFor();
    await page.getByRole("row", { name: /web.*Running/ }).waitFor();
    expect(await page.getByRole("button", { name: "Check for updates" }).isDisabled()).toBe(true);

    await page.reload();
    await page.getByText(/Offline\./).waitFor();
    await page.getByRole("link", { name: "All devices" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    expect(await page.evaluate("sessionStorage.length")).toBe(0);
  });
});
