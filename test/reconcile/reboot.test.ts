import { describe, expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import type { TargetState } from "../../core/model/target.ts";
import { unseen, type CurrentState } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { describe as sentence } from "../../core/reconcile/step.ts";
import { app, testDevice } from "../support/device.ts";
import { device as facts, parsedApp } from "../support/specs.ts";

const sentences = (current: CurrentState, target: TargetState) =>
  [...plan(current, target).values()].flat().map(sentence);

const current = (more: Partial<CurrentState> = {}): CurrentState => ({
  ...unseen(1_000_000, facts, false),
  rebootRequired: true,
  ...more,
});
const target = (...apps: TargetState["apps"]): TargetState => ({ name: "device", config: {}, apps });
const web = parsedApp(1, { web: { image: "web:1" } });

describe("a required reboot", () => {
  test("happens if there are no other steps", () => {
    expect(sentences(current(), target())).toEqual(["reboot, for what takes effect only then"]);
  });

  test("waits for all other steps", () => {
    expect(sentences(current(), target(web))).not.toContain("reboot, for what takes effect only then");
    expect(sentences(current(), target(web))).toContain("fetch image web:1");
  });

  test("waits for downloads", () => {
    const downloads = new Map([["web:1", { is: "running", percent: 50 } as const]]);
    expect(sentences(current({ downloads }), target(web)).filter((one) => /reboot|wait/.test(one))).toEqual([
      "wait for image web:1",
    ]);
  });

  test("is no step if none is required", () => {
    expect(sentences(current({ rebootRequired: false }), target())).toEqual([]);
  });
});

/** Nobody waits for long on it. */
const hasty = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 20), signal),
};

/** The same, but a machine has the minutes that it may take to go down. */
const hastyUntilGoingDown = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => (ms > 60_000 ? systemClock : hasty).sleep(ms, signal),
};

const eventually = <T>(what: () => T | Promise<T>) => expect.poll(what, { timeout: 20_000 });

const wants = { labels: { "io.balena.update.requires-reboot": "1" } };

describe("a device with a service that requires a reboot", () => {
  test("starts it, then stops all services and reboots once", async () => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: wants, two: {} }) } } });
    await eventually(() => device.power.asked).toEqual(["reboot"]);
    const lines = device.log.lines.map((line) => line.replace(/ '.*/, ""));
    expect(lines.filter((line) => line === "Started service")).toHaveLength(2);
    expect(lines.lastIndexOf("Started service")).toBeLessThan(lines.indexOf("Stopping service"));
    expect(lines.lastIndexOf("Service exited")).toBeLessThan(lines.indexOf("Rebooting"));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(device.power.asked).toEqual(["reboot"]);
  });

  test("does not reboot while another service holds its lock, logs the reason, and reboots afterwards", async () => {
    const device = await testDevice({ clock: hastyUntilGoingDown });
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    await device.post("/v2/local/target-state", {
      local: { apps: { "1": app({ one: {} }), "2": app({ two: wants }, { name: "other" }) } },
    });
    await eventually(() => device.log.lines).toContain("warning: Lockfile exists for { appId: 1, service: one }");
    expect(device.power.asked).toEqual([]);
    expect((await device.container("one")).state).toBe("running");
    device.folders.unlock(1, "one");
    await eventually(() => device.power.asked).toEqual(["reboot"]);
  });

  test("tries again if the machine refuses, and the services run meanwhile", async () => {
    const device = await testDevice();
    device.power.refusal = "not today";
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: wants }) } } });
    await eventually(() => device.log.lines).toContain(
      "error: Failed to reboot, for what takes effect only then: not today",
    );
    await eventually(async () => (await device.container("one")).state).toBe("running");
    device.power.refusal = undefined;
    await device.post("/v1/update", {});
    await eventually(() => device.power.asked).toEqual(["reboot"]);
  });

  test("logs that the agent cannot reboot it, and starts the service", async () => {
    const device = await testDevice({ ports: { power: { missing: "no logind" } } });
    await device.run({ "1": app({ one: wants }) });
    expect((await device.container("one")).state).toBe("running");
    expect(device.log.lines.find((line) => line.includes("should be rebooted"))).toMatch(
      /^warning: The device should be rebooted for service 'one .*', and the agent cannot$/,
    );
  });
});

describe("a machine that is going down", () => {
  test("gets no further steps", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect((await device.post("/v1/reboot", {})).status).toBe(202);
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: {}, two: {} }) } } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await device.engine.look()).containers.map(({ service, state }) => `${service} ${state}`)).toEqual([
      "one exited",
    ]);
  });

  test("and still runs after minutes gets its services back", async () => {
    const device = await testDevice({ clock: hasty });
    await device.run({ "1": app({ one: {} }) });
    expect((await device.post("/v1/reboot", {})).status).toBe(202);
    await eventually(async () => (await device.container("one")).state).toBe("running");
    expect(device.log.lines).toContain("error: The machine did not reboot: the services come back");
  });
});
