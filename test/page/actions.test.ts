import { describe, expect, test } from "vitest";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { wait } from "../support/wait.ts";
import { openPage, serve, useBrowser } from "./browser.ts";
import { choose, press, write } from "./keyboard.ts";

/** Whether the service has another container than this one. */
async function isOther(device: TestDevice, service: string, id: string): Promise<boolean> {
  const { containers } = await device.engine.look();
  return containers.some((one) => one.service === service && one.id !== id && one.state === "running");
}

async function shop(): Promise<TestDevice> {
  const device = await testDevice();
  await device.run({ "1": app({ web: {}, db: { volumes: ["data:/data"] } }, { name: "shop", volumes: { data: {} } }) });
  return device;
}

describe.skipIf(noBrowser)("with the keyboard alone", () => {
  const browser = useBrowser();

  test("a service is restarted, stopped and started", async () => {
    const device = await shop();
    const page = await openPage(browser(), await serve(device.fetch));
    const { id } = await device.container("web");
    const more = () => page.locator('summary[aria-label="More actions for web"]');
    const choose = async (name: string) => {
      await more().focus();
      await page.keyboard.press("Enter");
      await press(page, "button", name);
    };
    await choose("Restart web");
    await wait("another container", () => isOther(device, "web", id));
    await page.getByRole("status").getByText("Restart web: done.").waitFor();
    await choose("Stop web");
    await page.getByRole("row", { name: /^off ?web.*Ended/ }).waitFor();
    await choose("Start web");
    await page.getByRole("row", { name: /web.*Running/ }).waitFor();
  });

  test("an application is restarted after a question, and purged only when its name is typed", async () => {
    const device = await shop();
    const page = await openPage(browser(), await serve(device.fetch));
    const menu = page.locator('summary[aria-label="More actions for device"]');
    const { id } = await device.container("db");
    await menu.focus();
    await page.keyboard.press("Enter");
    await press(page, "button", /^Restart shop/);
    await page.getByRole("dialog").getByText("curl -X POST").waitFor({ state: "attached" });
    await page.keyboard.press("Escape");
    expect((await device.container("db")).id).toBe(id);
    await menu.focus();
    await page.keyboard.press("Enter");
    await press(page, "button", /^Restart shop/);
    await press(page, "button", "Restart shop");
    await wait("another container", () => isOther(device, "db", id));

    const before = (await device.container("db")).id;
    await menu.focus();
    await page.keyboard.press("Enter");
    await press(page, "button", /^Purge shop/);
    await page.getByRole("dialog").getByText("data", { exact: true }).waitFor();
    const purge = page.getByRole("dialog").getByRole("button", { name: "Purge shop" });
    expect(await purge.isDisabled()).toBe(true);
    await page.getByLabel("Type shop to confirm").focus();
    await page.keyboard.type("shop");
    await page.keyboard.press("Enter");
    await wait("another container", () => isOther(device, "db", before));
  });

  test("a locked service is refused, and restarted by force after a question that names the holder", async () => {
    const device = await shop();
    device.folders.lock(1, "web");
    const page = await openPage(browser(), await serve(device.fetch));
    const { id } = await device.container("web");
    await page.locator('summary[aria-label="More actions for web"]').focus();
    await page.keyboard.press("Enter");
    await press(page, "button", "Restart web");
    await page.getByRole("dialog").getByText(/lock/i).first().waitFor();
    expect((await device.container("web")).id).toBe(id);
    await press(page, "button", "Force");
    await wait("another container", () => isOther(device, "web", id));
  });

  test("the device blinks, looks for updates, and reboots after a question", async () => {
    const device = await shop();
    const page = await openPage(browser(), await serve(device.fetch));
    await press(page, "button", "Blink");
    await page.getByText("The LED blinks for 15 seconds.").waitFor();
    await press(page, "button", "Check for updates");
    await page.getByText("The device looks for a new target state.").waitFor();
    await page.locator('summary[aria-label="More actions for device"]').focus();
    await page.keyboard.press("Enter");
    await press(page, "button", /^Reboot/);
    await press(page, "button", "Reboot");
    await wait("a reboot", async () => device.power.asked.includes("reboot"));
  });

  test("an update is applied, rolled back after a question, and tried again", async () => {
    const device = await testDevice();
    const release = (commit: string, labels: object) =>
      device.post("/v2/local/target-state", {
        local: {
          ...{ name: "kitchen", config: { SUPERVISOR_SAFE_UPDATES: "on" } },
          apps: { "1": app({ web: { labels, environment: { COMMIT: commit } } }, { name: "shop", commit }) },
        },
      });
    await release("c1", {});
    const page = await openPage(browser(), `${await serve(device.fetch)}#/update`);
    await page.getByText("The release has proved itself.").waitFor();
    await release("c2", { "io.balena.update.apply": "consent", "io.balena.update.confirm": "true" });
    await page.getByText("The update waits.").waitFor();
    await press(page, "button", "Apply the update: shop");
    await page.getByText("The update is being tried.").waitFor();
    await press(page, "button", "Roll back …");
    await press(page, "button", "Roll back");
    await page.getByText("The release was rejected on this device.").waitFor();
    await press(page, "button", "Try again: shop");
    await page.getByText("The update waits.").waitFor();
  });

  test("the target state is checked while it is written, and only then applied", async () => {
    const device = await shop();
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByText("live").waitFor();
    await page.keyboard.press("5");
    const field = page.getByLabel("Target state as JSON");
    const apply = page.getByRole("button", { name: "Apply", exact: true });
    await field.waitFor();
    expect(await apply.isDisabled()).toBe(true);
    const stored = await field.inputValue();
    await field.fill(stored.slice(0, -5));
    await page.getByText(/^line \d+, column \d+/).waitFor();
    await field.fill(stored.replace('"web:latest"', "7"));
    await page.getByText("Faults").waitFor();
    await page
      .getByRole("listitem")
      .filter({ hasText: /services.*image/ })
      .waitFor();
    expect(await apply.isDisabled()).toBe(true);
    await field.fill(stored.replace('"web:latest"', '"web:2"'));
    await page.getByText("The device accepts this.").waitFor();
    await page.getByRole("row", { name: /web.*replace.*→ "web:2"/ }).waitFor();
    await press(page, "button", "Apply");
    await wait("the new image", async () =>
      (await device.engine.look()).images.some(({ tags }) => tags.includes("web:2")),
    );
  });

  test("a compose file is checked while it is written, becomes a target state, and is applied", async () => {
    const device = await shop();
    const page = await openPage(browser(), `${await serve(device.fetch)}#/target`);
    await press(page, "button", "Compose file");
    const field = page.getByLabel("Compose file as YAML");
    await page.getByText("Paste a compose file.").waitFor();
    await field.fill("services: [");
    await page
      .getByRole("listitem")
      .filter({ hasText: /line 1, column/ })
      .waitFor();
    await field.fill("services:\n  sensor:\n    build: .\n");
    await page
      .getByRole("listitem")
      .filter({ hasText: /^services\.sensor\.build: images are not built here/ })
      .waitFor();
    expect(await page.getByRole("button", { name: "Apply", exact: true }).isDisabled()).toBe(true);
    await field.fill("services:\n  sensor:\n    image: sensor:1\n");
    await page.getByText("The device accepts this.").waitFor();
    await page.getByRole("heading", { name: "What this changes for app" }).waitFor();
    await page.getByLabel("Name of the application").fill("weather");
    await page.getByRole("heading", { name: "What this changes for weather" }).waitFor();
    await page.getByRole("row", { name: /sensor.*create/ }).waitFor();
    await page.getByText("The target state that it becomes").click();
    await page.getByText('"serviceName": "sensor"').waitFor();
    await press(page, "button", "Apply");
    await wait("the new service", async () =>
      (await device.engine.look()).containers.some(({ service, state }) => service === "sensor" && state === "running"),
    );
    await page.getByText("This is the target state now.").waitFor();
    // The services of the other application still run, and the text of the whole has both.
    expect((await device.container("web")).state).toBe("running");
    await press(page, "button", "JSON");
    expect(await page.getByLabel("Target state as JSON").inputValue()).toMatch(
      /"weather"[^]*"shop"|"shop"[^]*"weather"/,
    );
  });

  test("a proxy is set, and removed", async () => {
    const device = await shop();
    const page = await openPage(browser(), `${await serve(device.fetch)}#/host`);
    await choose(page, /^Type/, "socks5");
    await write(page, "Address", "10.0.0.9");
    await write(page, "Port", "1080");
    await write(page, "User", "tom");
    await write(page, "Password", "secret");
    await write(page, "Not through the proxy", "10.0.0.0/8, registry.lan");
    await press(page, "button", "Save: Proxy");
    await page.getByText("Saved.").waitFor();
    const proxy = async () => device.get("/v1/device/host-config");
    expect(await proxy()).toMatchObject({
      json: { network: { proxy: { type: "socks5", ip: "10.0.0.9", noProxy: ["10.0.0.0/8", "registry.lan"] } } },
    });
    await choose(page, /^Type/, "");
    await press(page, "button", "Save: Proxy");
    await expect.poll(async () => JSON.stringify((await proxy()).json)).not.toContain("10.0.0.9");
  });

  test("the host name is changed", async () => {
    const device = await shop();
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByText("live").waitFor();
    await page.keyboard.press("6");
    await page.getByRole("textbox", { name: "Host name" }).focus();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("misty-sea");
    await press(page, "button", "Save: Host name");
    await page.getByText("Saved.").waitFor();
    expect(await device.get("/v1/device/host-config")).toMatchObject({ json: { network: { hostname: "misty-sea" } } });
  });
});

describe.skipIf(noBrowser)("a button", () => {
  const browser = useBrowser();
  test("is free again when the page shows what was asked, not before", async () => {
    const device = await shop();
    // The device answers, and the page learns nothing of what has come of it.
    let passes = true;
    const held = async (request: Request): Promise<Response> => {
      const response = await device.fetch(request);
      if (!response.body || !request.url.includes("/v3/stream")) return response;
      const until = new TransformStream<Uint8Array, Uint8Array>({
        transform: async (chunk, controller) => {
          await wait("the pass", async () => passes);
          controller.enqueue(chunk);
        },
      });
      return new Response(response.body.pipeThrough(until), response);
    };
    const page = await openPage(browser(), await serve(held));
    await page.getByText("2 of 2 run").waitFor();
    passes = false;
    const menu = page.locator('summary[aria-label="More actions for web"]');
    await menu.click();
    await page.getByRole("button", { name: "Stop web" }).click();
    await page.getByText("Stop web: done.").waitFor();
    await page.waitForTimeout(1000);
    await menu.click();
    const stop = page.getByRole("button", { name: "Stop web" });
    expect([await stop.textContent(), await stop.isDisabled()]).toEqual(["asked …", true]);
    passes = true;
    await page.getByRole("button", { name: "Start web" }).waitFor();
    expect(await page.getByRole("button", { name: "Start web" }).isDisabled()).toBe(false);
  });
});

describe.skipIf(noBrowser)("hostile text", () => {
  const browser = useBrowser();
  test("of names, images, logs and problems is shown as text", async () => {
    const attack = `<img src=x onerror="document.title='attacked'">`;
    const device = await testDevice({
      program: () => ({ lines: [attack, "\u001b[31mred\u001b[0m \u001b]0;title\u0007\u202egnp.exe"] }),
    });
    await device.run({ "1": app({ web: {} }, { name: `shop ${attack}` }) });
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByRole("heading", { name: /shop <img/ }).waitFor();
    const log = page.getByRole("log");
    await log.getByText(attack).waitFor();
    await log.getByText("U+202E").waitFor();
    expect(await log.locator(".a1").textContent()).toBe("red");
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.title()).not.toContain("attacked");
  });
});
