import { createServer } from "node:http";
import { chromium, type Browser } from "playwright-core";
import * as z from "zod";
import { createMemoryDevice } from "../core/embedded/index.ts";
import { flags, servePage } from "../test/page/served.ts";
import { executablePath } from "../test/support/chromium.ts";
import { startBuilt, type EngineKind } from "./processes.ts";
import { mb, median, ms, type Row } from "./table.ts";
import { post, settled, threeServices } from "./target.ts";

/** The device's page in a real Chromium. */
export async function pageRows(engine: EngineKind, image: string, rounds: number): Promise<Row[]> {
  const browser = await chromium.launch({ executablePath, args: flags });
  const agent = await startBuilt(engine);
  try {
    await post(agent, threeServices(image));
    await settled(agent);
    const bare = await serveBare();
    const paint = await firstPaint(browser, { bare: bare.url, ours: agent.url }, rounds);
    bare.close();
    return [
      {
        ...toLimit("first paint of the page, CPU slowed 4 ×, beside a page of one word", ms, paint.ours, 100),
        baseline: ms(paint.bare),
      },
      toLimit("memory of the agent with the page open", mb, await memory(browser, agent), 5),
      toLimit("frame at 1,000 log lines a second (99 of 100)", ms, await frame(browser), 50),
    ];
  } finally {
    await agent.stop();
    await browser.close();
  }
}

const toLimit = (what: string, unit: (value: number) => string, ours: number, limit: number): Row => ({
  ...{ what, baseline: "", ours: unit(ours), ratio: ours / limit, shown: `${(ours / limit).toFixed(2)} ×` },
  ...{ aim: { atMost: 1 }, aimShown: `≤ ${unit(limit)}` },
});

/** What a browser takes for any page on this machine. */
async function serveBare(): Promise<{ readonly url: string; readonly close: () => void }> {
  const server = createServer((_, response) => void response.setHeader("content-type", "text/html").end("<p>word"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close().closeAllConnections() };
}

/** In turns, so that a busy machine slows all of them down. */
async function firstPaint(browser: Browser, urls: Readonly<Record<"bare" | "ours", string>>, rounds: number) {
  const times = { bare: [] as number[], ours: [] as number[] };
  for (let round = 0; round <= rounds; round++)
    for (const name of ["bare", "ours"] as const) {
      const page = await browser.newPage();
      const session = await page.context().newCDPSession(page);
      await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
      await page.goto(urls[name]);
      const painted = () =>
        page.evaluate(
          "performance.getEntriesByName('first-contentful-paint').map(({ startTime }) => startTime)[0] ?? 0",
        );
      let time = 0;
      while (time === 0) time = z.number().parse(await painted());
      // The first one fills caches.
      if (round > 0) times[name].push(time);
      await page.close();
    }
  return { bare: median(times.bare), ours: median(times.ours) };
}

async function memory(browser: Browser, { url, rss }: { readonly url: string; readonly rss: () => number }) {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const before = rss();
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForTimeout(10_000);
  const after = rss();
  await page.close();
  return Math.max(0, after - before);
}

/** While 10,000 lines arrive within ten seconds. */
async function frame(browser: Browser): Promise<number> {
  const device = await createMemoryDevice();
  const served = await servePage(device.fetch);
  await post({ url: served.url }, threeServices("bench:1"));
  await device.settled();
  const [container] = (await device.engine.look()).containers;
  const page = await browser.newPage();
  await page.goto(`${served.url}/#/logs`);
  await page.locator(".line").first().waitFor();
  await page.evaluate(`{
    globalThis.frames = [];
    let last = performance.now();
    const next = (now) => { frames.push(now - last); last = now; requestAnimationFrame(next); };
    requestAnimationFrame(next);
  }`);
  for (let n = 0; n < 10_000; n += 20) {
    for (let line = n; line < n + 20; line++) device.engine.write(container?.id ?? "", `line ${line} of ten thousand`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const frames = z.array(z.number()).parse(await page.evaluate("frames"));
  await page.close();
  await served.close();
  await device.stop();
  return frames.sort((a, b) => a - b)[Math.floor(frames.length * 0.99)] ?? NaN;
}
