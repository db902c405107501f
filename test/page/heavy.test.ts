import { describe, expect, test } from "vitest";
import { keptLines } from "../../runtimes/page/live/log-lines.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { app, testDevice } from "../support/device.ts";
import { noBrowser } from "../support/chromium.ts";
import { wait } from "../support/wait.ts";
import { openPage, serve, useBrowser } from "./browser.ts";

/** Counts the streams that are open. */
function counted(fetch: Fetch): { readonly fetch: Fetch; readonly open: () => number } {
  let open = 0;
  return {
    open: () => open,
    fetch: async (request, known) => {
      const response = await fetch(request, known);
      if (!response.body || !request.url.includes("/v3/stream")) return response;
      open++;
      const passed = new TransformStream<Uint8Array, Uint8Array>();
      // Resolves when the stream has ended, and rejects when its reader has left.
      void response.body.pipeTo(passed.writable).then(
        () => open--,
        () => open--,
      );
      return new Response(passed.readable, response);
    },
  };
}

/** Lets a test hide a tab: a browser without a screen shows all of them. */
const hideable = `
  let visibility = "visible";
  Object.defineProperty(document, "visibilityState", { get: () => visibility });
  globalThis.show = (is) => { visibility = is ? "visible" : "hidden"; document.dispatchEvent(new Event("visibilitychange")); };
`;

describe.skipIf(noBrowser)("a page", () => {
  const browser = useBrowser();

  test("in a hidden tab asks for nothing, and goes on with what it has missed when it is shown", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { fetch, open } = counted(device.fetch);
    const page = await openPage(browser(), await serve(fetch), { before: hideable });
    await page.getByText("live").waitFor();
    expect(open()).toBe(1);
    await page.evaluate("show(false)");
    await wait("the end of the stream", async () => open() === 0);
    let asked = 0;
    page.on("request", () => asked++);
    const { id } = await device.container("web");
    device.engine.write(id, "while nobody looks");
    await page.waitForTimeout(1500);
    expect(asked).toBe(0);
    await page.evaluate("show(true)");
    await page.getByRole("log").getByText("while nobody looks").waitFor();
    device.engine.write(id, "and then");
    await page.getByRole("log").getByText("and then").waitFor();
    expect(await page.getByRole("log").getByText("while nobody looks").count()).toBe(1);
    expect(open()).toBe(1);
  });

  test("of twelve in one browser waits for none of the others, as eleven are hidden", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { fetch, open } = counted(device.fetch);
    const url = await serve(fetch);
    const first = await openPage(browser(), url, { before: hideable });
    const context = first.context();
    await context.addInitScript(hideable);
    await first.getByText("live").waitFor();
    await first.evaluate("show(false)");
    const others = [];
    for (let n = 0; n < 11; n++) {
      const page = await context.newPage();
      await page.goto(url);
      await page.getByText("live").waitFor();
      await page.evaluate("show(false)");
      others.push(page);
    }
    await first.evaluate("show(true)");
    await first.getByText("live").waitFor();
    await first.getByRole("button", { name: "Blink" }).click();
    await first.getByText("The LED blinks").waitFor();
    await wait("the end of the other streams", async () => open() === 1);
    await others[5]?.evaluate("show(true)");
    await wait("its stream", async () => open() === 2);
  });

  test("with a log of thousands of lines keeps the last ones, and leaves a reader who has scrolled up where he is", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const page = await openPage(browser(), `${await serve(device.fetch)}/#/logs`);
    const log = page.getByRole("log");
    await log.getByText("web is running").waitFor();
    const { id } = await device.container("web");
    const write = (from: number, to: number) => {
      for (let n = from; n < to; n++) device.engine.write(id, `line ${n}.`);
    };
    // The engine in memory keeps 1,000 lines.
    for (let n = 0; n < 6000; n += 500) {
      write(n, n + 500);
      await log.getByText(`line ${n + 499}.`).waitFor();
    }
    expect(await log.locator(".line").count()).toBe(keptLines);
    await page.evaluate("{ const log = document.querySelector('.log'); log.scrollTop = log.scrollHeight / 2; }");
    await page.getByRole("button", { name: /Follow/ }).waitFor();
    const seen = () =>
      page.evaluate(`(() => {
      const { left, top } = document.querySelector(".log").getBoundingClientRect();
      return document.elementFromPoint(left + 100, top + 60).closest(".line").textContent;
    })()`);
    const before = await seen();
    write(6000, 6400);
    await page.getByRole("button", { name: /400 new lines/ }).waitFor();
    expect(await seen()).toBe(before);
    await page.getByRole("button", { name: /new lines/ }).click();
    await log.getByText("line 6399.").waitFor();
    expect(await log.locator(".line").count()).toBeLessThanOrEqual(keptLines + 400);
  });
});
