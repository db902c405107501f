import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { withPage } from "../../core/http/page.ts";
import { app, testDevice } from "../support/device.ts";
import { managedDevice } from "../api/managed.ts";
import { noBrowser } from "../support/chromium.ts";
import { openPage, serve, useBrowser } from "./browser.ts";
import { pageOfSources } from "./served.ts";

const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

describe("GET / of the agent", () => {
  test("is the page for a browser, and 404 for every other client", async () => {
    const device = await testDevice();
    const fetch = withPage(device.fetch, pageOfSources);
    const get = (headers: Record<string, string>, path = "/") =>
      fetch(new Request(`http://device${path}`, { headers }));
    const page = await get(html);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(await page.text()).toMatch(/^<!doctype html>/);
    const packed = await get({ ...html, "accept-encoding": "gzip, deflate" });
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(Buffer.from(await packed.arrayBuffer())).toString()).toMatch(/^<!doctype html>/);
    const etag = page.headers.get("etag") ?? "";
    expect((await get({ ...html, "if-none-match": etag })).status).toBe(304);
    const recorded = await device.fetch(new Request("http://device/"));
    for (const headers of [{}, { accept: "*/*" }, { accept: "application/json" }])
      expect((await get(headers)).status).toBe(recorded.status);
    expect((await get(html, "/nothing")).status).toBe(404);
    expect((await get(html, "/ping")).headers.get("content-type")).toBe("text/plain; charset=utf-8");
  });

  test("is answered as before where there is no page", async () => {
    const device = await testDevice();
    const answer = await withPage(
      device.fetch,
      async () => undefined,
    )(new Request("http://device/", { headers: html }));
    expect(answer.status).toBe(404);
  });

  test("has at most 60 KB, loads nothing, and forbids everything but itself", async () => {
    const { gzipped } = await pageOfSources();
    expect(gzipped.length).toBeLessThan(60_000);
    const text = gunzipSync(gzipped).toString();
    expect(text).toMatch(/default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+';/);
    expect(text).not.toMatch(/\bunsafe-|<(script|link|img)[^>]+(src|href)="(?!data:)/);
    // The style and the skeleton are in the first TCP window.
    expect(text.indexOf("<script>")).toBeLessThan(14_000 * 4);
  });
});

describe.skipIf(noBrowser)("the page of a device", () => {
  const browser = useBrowser();

  test("shows within a second what runs, and each change of it", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {}, db: {} }, { name: "shop", commit: "e607cafe" }) });
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByRole("heading", { name: "device", exact: true }).waitFor({ timeout: 5000 });
    await page.getByText("2 of 2 run").waitFor();
    await page.getByRole("row", { name: /web.*Running/ }).waitFor();
    device.engine.exit((await device.container("db")).id, 137);
    await page
      .getByRole("row", { name: /db/ })
      .getByText(/exit code 137|Running/)
      .waitFor();
    await device.run({ "1": app({ web: {} }, { name: "shop", commit: "9b1c2d0f" }) });
    await page.getByText("1 of 1 run").waitFor();
    await page.getByText("9b1c2d0").first().waitFor();
  });

  test("leads to what a service offers", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: { ports: ["8080:80", "8443:443"] } }, { name: "shop" }) });
    const page = await openPage(browser(), await serve(device.fetch));
    const links = page.getByRole("row", { name: /web/ }).getByRole("link", { name: /Open port/ });
    await links.first().waitFor();
    expect(await links.evaluateAll((all) => all.map((one) => one.getAttribute("href")))).toEqual([
      "http://127.0.0.1:8080/",
      "https://127.0.0.1:8443/",
    ]);
  });

  test("lets a reader of the log follow, filter and choose a service", async () => {
    const device = await testDevice({ program: ({ service }) => ({ lines: [`${service} says hello`] }) });
    await device.run({ "1": app({ web: {}, db: {} }) });
    const page = await openPage(browser(), await serve(device.fetch));
    const log = page.getByRole("log");
    await log.getByText("web says hello").waitFor();
    device.engine.write((await device.container("web")).id, "one more line");
    await log.getByText("one more line").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("ONE MORE");
    await log.getByText("db says hello").waitFor({ state: "hidden" });
    expect(await log.locator(".line").count()).toBe(1);
    await page.getByRole("searchbox").fill("");
    await page.getByRole("group", { name: "Services" }).getByRole("button", { name: "db" }).click();
    expect(await log.locator(".line").allTextContents()).toEqual([expect.stringContaining("db says hello")]);
  });

  test("asks for the key of a managed device, and forgets it with the tab", async () => {
    const device = await managedDevice();
    const { authorization = "" } = device.globalKey();
    const url = await serve(device.fetch, { isOpen: false });
    const page = await openPage(browser(), url);
    const field = page.getByLabel("Key of the device");
    await field.fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("does not accept this key").waitFor();
    await field.fill(authorization.replace("Bearer ", ""));
    await page.keyboard.press("Enter");
    await page.getByText("live").waitFor();
    expect(await page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")).toBe('[{},{},""]');
    await page.goto(`${url}/#key=${authorization.replace("Bearer ", "")}`);
    await page.reload();
    await page.getByText("live").waitFor();
    expect(page.url()).toBe(`${url}/#/`);
  });

  test("goes on by itself when the connection is lost, and offers no action until then", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const page = await openPage(browser(), await serve(device.fetch));
    await page.getByText("live").waitFor();
    await page.context().setOffline(true);
    device.supervisor.live.stop();
    await page.getByText(/The connection is lost/).waitFor();
    expect(await page.getByRole("button", { name: "Check for updates" }).isDisabled()).toBe(true);
    await page.getByRole("row", { name: /web/ }).waitFor();
    await page.context().setOffline(false);
    await page.getByText("live").waitFor();
    expect(await page.getByRole("button", { name: "Check for updates" }).isDisabled()).toBe(false);
  });

  test("says everything in German, too", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const page = await openPage(browser(), await serve(device.fetch), { locale: "de-DE" });
    await page.getByText("1 von 1 laufen").waitFor();
    await page.getByRole("combobox", { name: "Sprache" }).selectOption("en");
    await page.getByText("1 of 1 run").waitFor();
    expect(await page.evaluate("document.documentElement.lang")).toBe("en");
  });
});
