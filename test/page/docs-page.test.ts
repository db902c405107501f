import { describe, expect, test } from "vitest";
import { managedDevice } from "../api/managed.ts";
import { noBrowser } from "../support/chromium.ts";
import { testDevice } from "../support/device.ts";
import { openPage, serve, useBrowser } from "./browser.ts";

/** `/docs` in a browser: what the API has, and a form for each request. */

const browser = useBrowser();

describe.skipIf(noBrowser !== undefined)("the page of the API", () => {
  test("has every operation, and sends its example as it is", async () => {
    const device = await testDevice();
    const page = await openPage(browser(), `${await serve(device.fetch)}/docs`);
    const operation = page.locator("#setTargetState");
    await operation.locator("summary").first().click();
    expect(await operation.locator("textarea").inputValue()).toContain('"serviceName": "web"');
    // The form of the body is shown as it is, not by its name.
    expect(await operation.locator("pre").allTextContents().then(String)).not.toContain("$ref");
    await operation.getByRole("button", { name: "Send" }).click();
    await operation.getByText(/^200 application\/json/).waitFor();
    await device.settled();
    expect((await device.get("/v2/device/name")).json).toMatchObject({ deviceName: "kitchen" });
    const described = await page.locator("main > details").count();
    const { paths } = Object((await device.get("/openapi.json")).json);
    expect(described).toBe(Object.values(paths).flatMap((methods) => Object.keys(Object(methods))).length);
  });

  test("asks for a key, which it forgets with the page, and shows what a stream says until it is stopped", async () => {
    const device = await managedDevice();
    const address = `${await serve(device.fetch)}/docs`;
    const page = await openPage(browser(), `${address}#events`);
    await page.getByText("a key is needed").waitFor();
    await page.getByPlaceholder("key or token").fill("wrong");
    await page.getByRole("button", { name: "Use" }).click();
    await page.getByText("Status 401").waitFor();
    await page.getByPlaceholder("key or token").fill(device.supervisor.keys.global());
    await page.getByRole("button", { name: "Use" }).click();
    // The fragment has opened it.
    const operation = page.locator("#events");
    await operation.getByRole("button", { name: "Send" }).waitFor();
    await operation.getByRole("button", { name: "Send" }).click();
    await operation.getByText(/^200 application\/json/).waitFor();
    const stream = page.locator("#stream");
    await stream.locator("summary").first().click();
    await stream.getByRole("textbox").first().fill("true");
    await stream.getByRole("button", { name: "Send" }).click();
    await stream.getByText(/"is":"hello"/).waitFor();
    await stream.getByRole("button", { name: "Stop" }).click();
    await stream.getByText(/AbortError/).waitFor();
    await page.reload();
    await page.getByText("a key is needed").waitFor();
    expect(await page.evaluate("JSON.stringify([localStorage.length, sessionStorage.length, document.cookie])")).toBe(
      '[0,0,""]',
    );
  });
});
