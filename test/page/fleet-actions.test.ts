import type { Page } from "playwright-core";
import axe from "axe-core";
import { describe, expect, test } from "vitest";
import { app } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { startCloud } from "../worker/cloud.ts";
import { newDevice, newFleet, newToken, type TestFleet } from "../worker/people.ts";
import { openPage, useBrowser, Violations } from "./browser.ts";
import { press } from "./keyboard.ts";
import { joinFleet, makeRelease, reportTo, signIn } from "./fleet-devices.ts";

/** Types what the dialog asks for, once it is open. */
async function confirm(page: Page, word: string): Promise<void> {
  const field = page.getByLabel(`Type ${word} to confirm`);
  await field.waitFor();
  await field.focus();
  await page.keyboard.type(word);
  await page.keyboard.press("Enter");
}

describe.skipIf(noBrowser)("a fleet, with the keyboard alone", () => {
  const cloud = startCloud();
  const browser = useBrowser();

  const open = async (path: string, token: string) => {
    const page = await openPage(browser(), `${cloud.url()}/#${path}`);
    await signIn(page, token);
    return page;
  };

  /** The list is read again a moment after a change. */
  const soon = { timeout: 5000 };

  const named = async (fleet: TestFleet, name: string) => {
    const device = await newDevice(cloud, fleet);
    expect((await cloud.ask("PATCH", `/admin/v1/devices/${device.uuid}`, { name })).status).toBe(200);
    return device;
  };

  test("several devices restart their app after one question, and each has a result", async () => {
    const fleet = await newFleet(cloud, "cameras");
    const devices = [
      await named(fleet, "misty-sea"),
      await named(fleet, "still-lake"),
      await named(fleet, "deep-well"),
    ];
    const [well, locked] = devices;
    if (!well || !locked) throw new Error("no devices");
    const [agent, busy] = [await joinFleet(cloud, well), await joinFleet(cloud, locked)];
    for (const one of [agent, busy]) await one.run({ [fleet.id]: app({ web: {} }, { name: "cameras" }) });
    busy.folders.lock(fleet.id, "web");
    const before = [(await agent.container("web")).id, (await busy.container("web")).id];
    const page = await open(`/f/${fleet.id}/`, (await newToken(cloud, { fleets: [fleet.id], write: true })).token);

    await press(page, "checkbox", "Select all that are shown", "Space");
    await page.getByText("3 devices", { exact: true }).waitFor();
    await press(page, "button", "Restart app …");
    const dialog = page.getByRole("dialog");
    for (const name of ["misty-sea", "still-lake", "deep-well"])
      await dialog.getByText(name, { exact: true }).waitFor();
    await dialog.getByText(/for uuid in .*; do curl -X POST/).waitFor({ state: "attached" });
    await page.keyboard.press("Escape");
    expect(await page.getByRole("region", { name: "Restart app: 3 devices" }).count()).toBe(0);
    await press(page, "button", "Restart app …");
    await press(page, "button", "Restart app");

    const results = page.getByRole("region", { name: "Restart app: 3 devices" });
    await results.getByText("1 done, 1 refused, 1 offline").waitFor();
    await results
      .getByRole("listitem")
      .filter({ hasText: /misty-sea\s*done/ })
      .waitFor();
    await results
      .getByRole("listitem")
      .filter({ hasText: /still-lake\s*refused: .*lock/i })
      .waitFor();
    await results
      .getByRole("listitem")
      .filter({ hasText: /deep-well\s*offline/ })
      .waitFor();
    expect((await agent.container("web")).id).not.toBe(before[0]);
    expect((await busy.container("web")).id).toBe(before[1]);
    // The results stay while one of the devices is looked at.
    await press(page, "link", "still-lake");
    await press(page, "link", /All devices/);
    await results.waitFor();
    await press(page, "button", "Close");
    await results.waitFor({ state: "detached" });

    await press(page, "checkbox", "Select misty-sea", "Space");
    await press(page, "button", "Reboot …");
    await press(page, "button", "Reboot");
    await page.getByRole("region", { name: "Reboot: misty-sea" }).getByText("1 done").waitFor();
    await expect.poll(() => agent.power.asked.includes("reboot")).toBe(true);
  });

  test("devices are pinned to a release that is chosen, and unpinned, several or one", async () => {
    const fleet = await newFleet(cloud, "kitchens");
    await makeRelease(cloud, fleet, "c0ffee0", "nginx:1");
    await makeRelease(cloud, fleet, "c0ffee1", "nginx:2");
    const one = await named(fleet, "one");
    await named(fleet, "two");
    await named(fleet, "three");
    const page = await open(`/f/${fleet.id}/`, (await newToken(cloud, { fleets: [fleet.id], write: true })).token);
    const pinned = page.locator("tbody tr").filter({ hasText: "pinned" });
    await press(page, "checkbox", "Select one", "Space");
    await press(page, "checkbox", "Select two", "Space");
    await press(page, "button", "Pin to a release …");
    const release = page.getByRole("dialog").getByLabel("Release");
    await expect.poll(() => release.locator("option").allTextContents()).toEqual(["c0ffee1 (the fleet's)", "c0ffee0"]);
    await release.focus();
    await page.keyboard.press("ArrowDown");
    await press(page, "button", "Pin to a release");
    await page.getByRole("region", { name: "Pin to c0ffee0: 2 devices" }).getByText("2 done").waitFor();
    await expect.poll(() => pinned.count(), soon).toBe(2);
    await press(page, "button", "Unpin …");
    await press(page, "button", "Unpin");
    await page.getByRole("region", { name: "Unpin: 2 devices" }).getByText("2 done").waitFor();
    await expect.poll(() => pinned.count(), soon).toBe(0);

    await page.goto(`${cloud.url()}/#/d/${one.uuid}/`);
    await press(page, "button", "Pin to a release …");
    await press(page, "button", "Pin to a release");
    await page.getByText("pinned to c0ffee1").waitFor();
    await press(page, "button", "Unpin …");
    await press(page, "button", "Unpin");
    await page.getByText("follows its fleet c0ffee1").waitFor();
  });

  test("eight devices are asked at a time, and none after a cancellation", async () => {
    const fleet = await newFleet(cloud, "many");
    for (let n = 0; n < 10; n++) await newDevice(cloud, fleet);
    const page = await open(`/f/${fleet.id}/`, (await newToken(cloud, { fleets: [fleet.id], write: true })).token);
    const held = Promise.withResolvers<void>();
    let asked = 0;
    await page.route("**/supervisor/**", async (route) => {
      asked++;
      await held.promise;
      // Sent to the device, and no answer: it must not be asked again.
      await route.fulfill({ status: 504, json: { error: "late", mayHaveActed: true } });
    });
    await press(page, "checkbox", "Select all that are shown", "Space");
    await press(page, "button", "Reboot …");
    await press(page, "button", "Reboot");
    await expect.poll(() => asked).toBe(8);
    await press(page, "button", "Cancel");
    held.resolve();
    await page.getByRole("region").getByText("8 no answer, it may have acted, 2 not asked").waitFor();
    expect(asked).toBe(8);
  });

  test("a release that fails is seen from the list, and rolled back when the fleet's name is typed", async () => {
    const fleet = await newFleet(cloud, "boats");
    await makeRelease(cloud, fleet, "c0ffee0", "nginx:1");
    await makeRelease(cloud, fleet, "c0ffee1", "nginx:2");
    const [well, failing] = [await newDevice(cloud, fleet), await newDevice(cloud, fleet)];
    for (const one of [well, failing]) await joinFleet(cloud, one);
    await reportTo(cloud, fleet, well, { commit: "c0ffee1" });
    await reportTo(cloud, fleet, failing, { commit: "c0ffee1", kind: "crashLoop" });
    const page = await open(`/f/${fleet.id}/`, (await newToken(cloud, { fleets: [fleet.id], write: true })).token);
    const line = page.getByRole("region", { name: "Rollout of c0ffee1" });
    await line.getByText("1 of 2 devices").waitFor();
    await line.getByText("1 failed").waitFor();
    await press(page, "button", "Roll back to c0ffee0 …");
    const act = page.getByRole("dialog").getByRole("button", { name: "Roll back to c0ffee0" });
    expect(await act.isDisabled()).toBe(true);
    await confirm(page, "boats");
    await page.getByRole("region", { name: "Rollout of c0ffee0" }).getByText("0 of 2 devices").waitFor();
    // The release that is the fleet's now, and the way back to following.
    await page.goto(`${cloud.url()}/#/f/${fleet.id}/releases`);
    await page.getByRole("row", { name: /c0ffee0 the fleet's/ }).waitFor();
    await press(page, "button", "Roll out …");
    await confirm(page, "boats");
    await page.getByRole("row", { name: /c0ffee1 the fleet's/ }).waitFor();
    await press(page, "button", "Follow new releases …");
    await confirm(page, "boats");
    await page.getByText("The fleet is pinned to a release.").waitFor({ state: "detached" });
  });

  test("a variable of a device wins over its fleet's, and is deleted after a question", async () => {
    const fleet = await newFleet(cloud, "variables");
    const device = await named(fleet, "misty-sea");
    const set = { variables: { TZ: "UTC", MODE: "day" } };
    await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/variables`, set);
    const { token } = await newToken(cloud, { fleets: [fleet.id], write: true });
    const page = await open(`/f/${fleet.id}/variables/${device.uuid}`, token);
    await page.getByLabel("Name").focus();
    await page.keyboard.type("TZ");
    await page.getByLabel("Value").focus();
    await page.keyboard.type("Europe/Berlin");
    await press(page, "button", "Set");
    await page.getByRole("row", { name: /TZ all services set.* wins/ }).waitFor();
    expect(await page.content()).not.toContain("Europe/Berlin");
    await press(page, "button", "Delete TZ (of the device)");
    await press(page, "button", "Delete TZ");
    await page.getByRole("row", { name: /TZ .* wins/ }).waitFor({ state: "detached" });
    await page.getByRole("row", { name: /TZ all services set/ }).waitFor();
  });

  test("a token is revoked when its name is typed", async () => {
    const fleet = await newFleet(cloud, "revoked");
    const manager = await newToken(cloud, { fleets: [fleet.id], write: true, manage: true });
    const made = { name: "a colleague", fleets: [fleet.id] };
    const answer = await cloud.ask("POST", "/admin/v1/tokens", made, manager.token);
    expect(answer.status).toBe(201);
    const page = await open(`/f/${fleet.id}/tokens`, manager.token);
    await press(page, "button", "Revoke: a colleague");
    const act = page.getByRole("dialog").getByRole("button", { name: "Revoke" });
    expect(await act.isDisabled()).toBe(true);
    await confirm(page, "a colleague");
    await page.getByRole("row", { name: /a colleague .* ended/ }).waitFor();
  });

  test("a token that only reads selects, pins and rolls back nothing", async () => {
    const fleet = await newFleet(cloud, "watched");
    await makeRelease(cloud, fleet, "c0ffee0", "nginx:1");
    await makeRelease(cloud, fleet, "c0ffee1", "nginx:2");
    const device = await named(fleet, "misty-sea");
    await joinFleet(cloud, device);
    await reportTo(cloud, fleet, device);
    const page = await open(`/f/${fleet.id}/`, (await newToken(cloud, { fleets: [fleet.id] })).token);
    await page.getByRole("button", { name: "Roll back to c0ffee0" }).waitFor();
    expect(await page.getByRole("button", { name: "Roll back to c0ffee0" }).isDisabled()).toBe(true);
    expect(await page.getByRole("checkbox", { name: "Select misty-sea" }).isDisabled()).toBe(true);
    expect(await page.getByRole("checkbox", { name: "This token only reads" }).isDisabled()).toBe(true);
    await page.goto(`${cloud.url()}/#/d/${device.uuid}/`);
    await page.getByText("follows its fleet c0ffee1").waitFor();
    expect(await page.getByRole("button", { name: "Pin to a release" }).isDisabled()).toBe(true);
  });

  test.each(["light", "dark"] as const)("has no fault that axe finds, in %s colours", async (colorScheme) => {
    const fleet = await newFleet(cloud, `seen in ${colorScheme}`);
    await makeRelease(cloud, fleet, "c0ffee0", "nginx:1");
    await makeRelease(cloud, fleet, "c0ffee1", "nginx:2");
    for (let n = 0; n < 3; n++) await reportTo(cloud, fleet, await named(fleet, `device-${n}-${"long".repeat(20)}`));
    const { token } = await newToken(cloud, { fleets: "all", write: true });
    // The policy of the page forbids the script that looks for faults.
    const options = { colorScheme, bypassCSP: true, reducedMotion: "reduce" } as const;
    const page = await openPage(browser(), `${cloud.url()}/#/f/${fleet.id}/`, options);
    await signIn(page, token);
    await page.evaluate(axe.source);
    const check = async () => {
      const violations = Violations.parse(await page.evaluate("axe.run().then(({ violations }) => violations)"));
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
      await page.setViewportSize({ width: 320, height: 700 });
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(320);
      await page.setViewportSize({ width: 1280, height: 800 });
    };
    await page.getByRole("checkbox", { name: "Select all that are shown" }).check();
    await page.getByLabel("Filter").fill("is:broken");
    await check();
    await page.getByRole("button", { name: "Pin to a release" }).click();
    await page.getByRole("dialog").waitFor();
    await check();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Restart app" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restart app" }).click();
    await page.getByText("3 offline", { exact: true }).first().waitFor();
    await check();
  });
});
