import { describe, expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { app, testDevice } from "../support/device.ts";
import { LateEngine, LateFolders, turn } from "./late.ts";

/** A force holds until what was forced is done, whatever began before it. */

async function lateDevice(pullMs = 3) {
  const engine = new LateEngine({ clock: systemClock, pullMs, stopMs: 1 });
  const folders = new LateFolders();
  engine.addImage("one:latest");
  const device = await testDevice({ ports: { engine, folders, locks: folders, handover: folders } });
  await device.run({ "1": app({ one: {} }) });
  folders.lock(1, "one");
  return { device, engine, folders, loop: device.supervisor.loop };
}

const changed = { "1": app({ one: { environment: { A: "1" } } }) };

describe.each(["restart", "purge"])("a forced %s", (action) => {
  const path = `/v2/applications/1/${action}`;

  test("overrides the locks, although an earlier observation ends after it", async () => {
    const { device, engine, loop } = await lateDevice();
    const { promise, resolve } = Promise.withResolvers<void>();
    engine.late = promise;
    const before = engine.looks;
    loop.nudge();
    await expect.poll(() => engine.looks).toBe(before + 1);
    const answer = device.post(path, { force: true });
    await turn();
    resolve();
    expect((await answer).status).toBe(200);
  });

  test("overrides the locks, although an earlier attempt without force is refused after it", async () => {
    const { device, folders } = await lateDevice();
    const { promise, resolve } = Promise.withResolvers<void>();
    folders.late = promise;
    await device.post("/v2/local/target-state", { local: { apps: changed } });
    await expect.poll(() => folders.refusals).toBe(1);
    const answer = device.post(path, { force: true });
    await turn();
    folders.late = undefined;
    resolve();
    expect((await answer).status).toBe(200);
  });
});

describe("a forced update", () => {
  test("overrides the locks, although a restart without force is refused meanwhile", async () => {
    const { device, folders } = await lateDevice(200);
    const next = { "1": app({ one: { image: "one:2" } }) };
    await device.post("/v2/local/target-state", { local: { apps: next }, force: true });
    expect((await device.post("/v2/applications/1/restart")).status).toBe(423);
    await device.settled();
    expect(folders.isLocked(1, "one")).toBe(false);
  });

  test("overrides the locks, although the application is restarted meanwhile and locks again", async () => {
    const { device, folders } = await lateDevice(400);
    folders.unlock(1, "one");
    const next = { "1": app({ one: { image: "one:2" } }) };
    await device.post("/v2/local/target-state", { local: { apps: next }, force: true });
    expect((await device.post("/v2/applications/1/restart")).status).toBe(200);
    await expect.poll(() => folders.lock(1, "one")).toBe(true);
    await device.settled();
    expect(folders.isLocked(1, "one")).toBe(false);
  });
});
