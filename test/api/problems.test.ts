import { describe, expect, test } from "vitest";
import * as z from "zod";
import { Problem } from "../../core/api/problem.ts";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import type { ContainerLine } from "../../core/ports/engine.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { cloudApp, managedDevice } from "./managed.ts";

/** What `GET /v3/problems` answers, on an engine in memory. */

const Answer = z.object({ problems: z.array(Problem) });
const problemsOf = async (device: TestDevice, headers: Record<string, string> = {}) =>
  Answer.parse((await device.get("/v3/problems", headers)).json).problems;

class CountingEngine extends EmbeddedEngine {
  /** When the container ended, of which the log was read. */
  readonly read: number[] = [];

  override async *logs(...args: Parameters<EmbeddedEngine["logs"]>): AsyncIterable<ContainerLine> {
    const { containers } = await this.look();
    this.read.push(containers[0]?.finishedAt ?? 0);
    yield* super.logs(...args);
  }
}

describe("the problems of a device", () => {
  test("are none while all is well", async () => {
    const device = await testDevice();
    await device.run({ 1: app({ web: {} }) });
    expect(await problemsOf(device)).toEqual([]);
  });

  test("a crash loop has its exits, its code and its last line, which is read once for each exit", async () => {
    const engine = new CountingEngine({
      clock: systemClock,
      pullMs: 3,
      stopMs: 1,
      restartMs: 80,
      program: () => ({ lines: ["starting", "no database"], exit: { code: 3, afterMs: 80 } }),
    });
    const device = await testDevice({ ports: { engine } });
    await device.run({ 1: app({ web: {} }) });
    await expect
      .poll(() => problemsOf(device), { timeout: 20_000 })
      .toMatchObject([
        {
          ...{ appId: 1, app: "1", service: "web", kind: "crashLoop" },
          message: expect.stringMatching(/^It has exited \d+ times, last with exit code 3: no database$/),
        },
      ]);
    const [first] = await problemsOf(device);
    const exits = () => device.supervisor.view().current.containers[0]?.restarts ?? 0;
    const before = exits();
    await expect.poll(exits, { timeout: 20_000 }).toBeGreaterThan(before + 2);
    expect(await problemsOf(device)).toMatchObject([{ kind: "crashLoop", since: first?.since }]);
    expect(engine.read.length).toBe(new Set(engine.read).size);

    await device.run({ 1: app({}) });
    expect(await problemsOf(device)).toEqual([]);
    expect(device.log.lines).toContainEqual(expect.stringMatching(/^The problem \(crash loop\) is over after/));
  });

  test("a missing image, a port that another application has, a lock and a failed program", async () => {
    const device = await testDevice({
      registry: (name) => (name === "gone:latest" ? undefined : {}),
      program: ({ service }) => (service === "job" ? { lines: ["no input"], exit: { code: 2, afterMs: 1 } } : {}),
    });
    await device.run({
      1: app({ web: { ports: ["80:80"] } }),
      2: app({ other: { ports: ["80:1"] } }, { name: "second" }),
      3: app({ gone: {} }, { name: "third" }),
      4: app({ job: { restart: "no" } }, { name: "fourth" }),
    });
    await expect.poll(async () => (await problemsOf(device)).length).toBe(3);
    const found = (await problemsOf(device)).map(({ appId, kind, message }) => `${appId} ${kind}: ${message}`);
    expect(found.filter((one) => !one.includes("portTaken"))).toEqual([
      "3 imageNotFound: Image gone:latest: manifest for gone:latest not found: manifest unknown",
      "4 exited: It has exited with exit code 2: no input",
    ]);
    expect(found.find((one) => one.includes("portTaken"))).toMatch(
      /^(1 portTaken: Host port 80 is taken by service other of application second|2 portTaken: Host port 80 is taken by service web of application fleet): Bind for 0\.0\.0\.0:80\/tcp failed: port is already allocated$/,
    );
  });

  test("an update lock, until it is released", async () => {
    const device = await testDevice();
    await device.run({ 1: app({ web: {}, db: {} }) });
    device.folders.lock(1, "db");
    await device.run({ 1: app({ web: { environment: { A: "1" } }, db: {} }) });
    expect(await problemsOf(device)).toMatchObject([{ appId: 1, service: "db", kind: "locked" }]);
    device.folders.unlock(1, "db");
    await device.run({ 1: app({ web: { environment: { A: "1" } }, db: {} }) });
    expect(await problemsOf(device)).toEqual([]);
  });

  test("are those of the key's scope", async () => {
    const device = await managedDevice({ registry: (name) => (name === "db:latest" ? undefined : {}) });
    await device.runCloud(
      { aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) },
      { SUPERVISOR_API_SCOPE: "application" },
    );
    await expect.poll(() => problemsOf(device, device.globalKey())).toMatchObject([{ app: "bbbb", service: "db" }]);
    expect(await problemsOf(device, await device.keyOf(1, "web"))).toEqual([]);
  });
});
