import { isKeptImageName } from "../../core/model/image.ts";
import { describe, expect, test } from "vitest";
import type { Layer, Manifest } from "../../core/model/image.ts";
import type { EmbeddedOptions } from "../../core/embedded/engine.ts";
import type { Ports } from "../../core/ports/index.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { app, testDevice } from "../support/device.ts";

/** What is downloaded fits on the disk, from the registry's answer to the engine's calls. */

const megabyte = 1_000_000;

/** Images of one layer. On the disk, 100 MB become 250, and 350 while they are downloaded. 200 MB are kept in reserve. */
const sizes: Readonly<Record<string, number>> = { "web:1": 100, "web:2": 100, "web:3": 1000, "db:1": 100 };
const layers = (name: string): readonly Layer[] => [{ diffId: name, bytes: (sizes[name] ?? 0) * megabyte }];

interface Options extends Partial<EmbeddedOptions> {
  readonly megabytes: number;
  readonly safe?: boolean;
  readonly ports?: Partial<Ports>;
}

async function deviceWith({ megabytes, safe = true, ports = {}, ...options }: Options) {
  const clock = new SimClock(new Chance(1));
  const disk = { bytes: megabytes * megabyte, layers };
  const device = await testDevice({ clock, disk, pullMs: 30_000, ports, ...options });
  const asked: string[] = [];
  const wish = async (image: string, more: object = {}, others: object = {}) => {
    const config = safe ? { SUPERVISOR_SAFE_UPDATES: "on" } : {};
    const apps = { "1": app({ web: { image, ...more } }, others) };
    const answer = await device.post("/v2/local/target-state", { local: { name: "device", config, apps } });
    expect(answer.status).toBe(200);
  };
  const images = async () =>
    (await device.engine.look()).images.flatMap(({ tags }) => tags).filter((name) => !isKeptImageName(name));
  const problems = () => device.supervisor.problems.list().map(({ kind, message }) => `${kind}: ${message}`);
  return { ...device, clock, wish, images, problems, asked };
}

describe("a download that does not fit", () => {
  test("beside the copy of a volume is not begun; the volume is measured once", async () => {
    const device = await deviceWith({ megabytes: 800 });
    const more = { volumes: ["data:/data"] };
    const volumes = { data: { labels: { "io.balena.update.snapshot": "true" } } };
    await device.wish("web:1", more, { volumes });
    await device.clock.advance(60_000);
    device.engine.files("1_data").set("large", "x".repeat(10_000));
    const measured: string[] = [];
    const measure = device.engine.volumeSize.bind(device.engine);
    device.engine.volumeSize = (name) => (measured.push(name), measure(name));
    await device.wish("web:2", more, { volumes });
    await device.clock.advance(600_000);
    expect(await device.images()).toEqual(["web:1"]);
    expect(device.problems()).toEqual([
      "diskFull: The update waits for space on the disk: 350 MB needed, 550 MB free, 200 MB kept in reserve",
    ]);
    expect((await device.get("/v3/apps/1/update")).json).toMatchObject({ disk: { need: 350e6 + 10_000, free: 550e6 } });
    expect(measured).toEqual(["1_data"]);
    device.engine.otherBytes = -1 * megabyte;
    await device.clock.advance(120_000);
    expect(await device.images()).toContain("web:2");
  });

  test("is not begun, and nothing stops; it is begun when there is space", async () => {
    const device = await deviceWith({ megabytes: 600 });
    await device.wish("web:1");
    await device.clock.advance(60_000);
    expect(await device.images()).toEqual(["web:1"]);
    const before = (await device.container("web")).id;

    device.engine.otherBytes = 1;
    await device.wish("web:2");
    await device.clock.advance(600_000);
    expect(await device.images()).toEqual(["web:1"]);
    expect(await device.container("web")).toMatchObject({ id: before, state: "running" });
    expect(device.problems()).toEqual([
      "diskFull: The update waits for space on the disk: 350 MB needed, 350 MB free, 200 MB kept in reserve",
    ]);
    expect(device.log.lines.filter((line) => line.includes("needed"))).toHaveLength(1);
    expect((await device.get("/v3/apps/1/update")).json).toMatchObject({
      disk: { need: 350e6, free: 350e6 - 1, reserve: 200e6 },
      waitsFor: [expect.stringContaining("space on the disk")],
    });
    expect((await device.get("/v1/device")).json).toMatchObject({ update_pending: true, update_failed: true });

    device.engine.otherBytes = -200 * megabyte;
    await device.clock.advance(30_000);
    expect(device.problems()).toEqual([]);
    expect((await device.get("/v1/device")).json).toMatchObject({ update_pending: true, update_failed: false });
    await device.clock.advance(60_000);
    expect(await device.images()).toContain("web:2");
    expect(device.engine.leastFree).toBeGreaterThanOrEqual(200 * megabyte);
  });

  test("fills the disk in local mode, as the developer wants", async () => {
    const device = await deviceWith({ megabytes: 600, safe: false });
    await device.wish("web:3");
    await device.clock.advance(60_000);
    expect(device.problems()).toEqual(["diskFull: Image web:3: write web:3: no space left on device"]);
    expect(device.engine.leastFree).toBeLessThan(0);
  });
});

describe("space that others use up during a download", () => {
  const short = "the disk has too little space left: 100 MB free, 200 MB kept in reserve";

  test("ends it within some seconds; it begins again when there is space", async () => {
    const device = await deviceWith({ megabytes: 1000 });
    await device.wish("web:1");
    await device.clock.advance(5_000);
    device.engine.otherBytes = 900 * megabyte;
    await device.clock.advance(5_000);
    expect(device.problems()[0]).toMatch(/^diskFull: /);
    expect(device.log.lines.join("\n")).toContain(short);
    await device.clock.advance(600_000);
    expect(await device.images()).toEqual([]);
    device.engine.otherBytes = 0;
    await device.clock.advance(90_000);
    expect(await device.images()).toEqual(["web:1"]);
  });

  test("ends an image's download of unknown size ever more seldom", async () => {
    const pulls: number[] = [];
    const unknown: Manifest = { is: "unknown", reason: "no answer" };
    const registry = { manifest: () => Promise.resolve(unknown) };
    const device = await deviceWith({
      megabytes: 1000,
      ports: { registry },
      registry: () => (pulls.push(device?.clock.now() ?? 0), {}),
    });
    await device.wish("web:3");
    await device.clock.advance(24 * 3_600_000);
    expect(pulls.length).toBeGreaterThan(3);
    expect(pulls.length).toBeLessThan(20);
  });
});

describe("the registry", () => {
  const counting = (answer: () => Promise<Manifest>) => {
    const asked: string[] = [];
    return { asked, manifest: ({ name }: { name: string }) => (asked.push(name), answer()) };
  };

  test("is asked once for an image, and never when nothing is to be downloaded", async () => {
    const registry = counting(() => Promise.resolve({ is: "known", layers: layers("web:3") }));
    const device = await deviceWith({ megabytes: 1000, ports: { registry } });
    await device.wish("web:3");
    await device.clock.advance(3_600_000);
    expect(registry.asked).toEqual(["web:3"]);
    await device.wish("db:1");
    device.engine.addImage("db:1");
    await device.post("/v1/update", {});
    await device.clock.advance(3_600_000);
    expect(registry.asked).toEqual(["web:3", "db:1"]);
  });

  test("that does not answer delays a download for 5 seconds", async () => {
    const registry = counting(() => new Promise(() => {}));
    const device = await deviceWith({ megabytes: 1000, ports: { registry } });
    await device.wish("web:1");
    await device.clock.advance(4_000);
    expect(device.log.lines.join("\n")).not.toMatch(/Downloading/i);
    await device.clock.advance(2_000);
    expect(device.log.lines.join("\n")).toMatch(/Downloading/i);
  });

  test("that fails delays nothing", async () => {
    const registry = counting(() => Promise.reject(new Error("cut")));
    const device = await deviceWith({ megabytes: 1000, ports: { registry } });
    await device.wish("web:1");
    await device.clock.advance(500);
    expect(device.log.lines.join("\n")).toMatch(/Downloading/i);
  });

  test("that knows nothing is asked again after each failed download, and when somebody asks for the update", async () => {
    const registry = counting(() => Promise.resolve({ is: "unknown", reason: "offline" }));
    const device = await deviceWith({ megabytes: 1000, ports: { registry }, registry: () => undefined });
    await device.wish("web:1");
    await device.clock.advance(500);
    const failures = () => device.log.lines.filter((line) => /Failed to download/.test(line)).length;
    await device.clock.advance(60_000);
    expect(failures()).toBeGreaterThan(3);
    expect(registry.asked.length).toBeGreaterThanOrEqual(failures());
    expect(registry.asked.length).toBeLessThanOrEqual(failures() + 1);
    const before = registry.asked.length;
    await device.post("/v1/update", {});
    await device.clock.advance(500);
    expect(registry.asked.length).toBeGreaterThan(before);
  });

  test("is not asked in local mode", async () => {
    const registry = counting(() => Promise.resolve({ is: "known", layers: [] }));
    const device = await deviceWith({ megabytes: 1000, safe: false, ports: { registry } });
    await device.wish("web:1");
    await device.clock.advance(60_000);
    expect([registry.asked, await device.images()]).toEqual([[], ["web:1"]]);
  });
});

test("an image for another machine is a problem, and is not downloaded", async () => {
  const device = await deviceWith({ megabytes: 9000, registry: () => ({ architecture: "arm64" }) });
  await device.wish("web:1");
  await device.clock.advance(600_000);
  expect(await device.images()).toEqual([]);
  expect(device.problems()).toEqual([
    "wrongArchitecture: The update waits for an image of service web for this machine, which is amd64: it is for arm64",
  ]);
});
