import { describe, expect, test, vi } from "vitest";
import * as z from "zod";
import type { Program } from "../../core/embedded/engine.ts";
import { parseContainerName } from "../../core/model/names.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { app, testDevice } from "../support/device.ts";

/** Updates of a device that commits its releases, from the target state to what the API answers. */

const healthcheck = { test: ["CMD", "true"], interval: "1s", start_period: "5s" };

async function safeDevice(program: (commit: string) => Program) {
  const clock = new SimClock(new Chance(1));
  const device = await testDevice({
    clock,
    restartMs: 1000,
    program: ({ name, service }) => program(parseContainerName(name, service)?.commit ?? ""),
  });
  const wish = async (commit: string, fields: object = {}) => {
    const config = { SUPERVISOR_SAFE_UPDATES: "on" };
    const services = { web: { image: `web:${commit}`, healthcheck, ...fields }, db: { image: `db:${commit}` } };
    const local = { name: "device", config, apps: { "1": { ...app(services), commit } } };
    const answer = await device.post("/v2/local/target-state", { local });
    expect(answer.status).toBe(200);
  };
  const commits = async () =>
    (await device.engine.look()).containers
      .map(({ name, service, state }) => `${service} ${parseContainerName(name, service)?.commit} ${state}`)
      .toSorted();
  const state = async () => (await device.get("/v1/device")).json;
  const status = async () => (await device.get("/v2/state/status")).json;
  return { ...device, clock, wish, commits, state, status };
}

const on = (commit: string) => [`db ${commit} running`, `web ${commit} running`];
const minutes = (n: number) => n * 60_000;

describe("a release that never gets healthy", () => {
  const unhealthy = (commit: string): Program => ({ healthy: commit !== "bad" });

  test("is taken back after its deadline, whole, and is not tried again", async () => {
    const device = await safeDevice(unhealthy);
    await device.wish("good");
    await device.clock.advance(minutes(1));
    expect(await device.commits()).toEqual(on("good"));
    expect(await device.state()).toMatchObject({ commit: "good", update_pending: false, update_failed: false });

    await device.wish("bad");
    await device.clock.advance(minutes(2));
    expect(await device.commits()).toEqual(on("bad"));
    expect(await device.state()).toMatchObject({ update_pending: true, update_failed: false });

    await device.clock.advance(minutes(5));
    expect(await device.commits()).toEqual(on("good"));
    expect(await device.state()).toMatchObject({ commit: "good", update_pending: false, update_failed: true });
    expect(await device.status()).toMatchObject({ appState: "applied", release: "good" });
    expect(device.supervisor.problems.list().map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      expect.stringMatching(/^rejected: web: it did not get healthy \(unhealthy for /),
    ]);
    const said = device.log.lines.filter((line) => line.includes("release bad"));
    expect(said.map((line) => line.replace(/\(.*\)/, "(…)"))).toEqual([
      "The update of app 1 to release bad begins",
      "error: The update of app 1 to release bad has failed, the committed release comes back: web: it did not get healthy (…)",
    ]);

    const quiet = device.log.lines.length;
    device.supervisor.loop.retry({ force: true });
    await device.clock.advance(minutes(60));
    expect(device.log.lines.slice(quiet)).toEqual([]);
    await device.stop();
  });

  test("makes room for the next release", async () => {
    const device = await safeDevice(unhealthy);
    for (const commit of ["good", "bad", "better"]) {
      await device.wish(commit);
      await device.clock.advance(minutes(10));
    }
    expect(await device.commits()).toEqual(on("better"));
    expect(await device.state()).toMatchObject({ commit: "better", update_failed: false });
    await device.wish("good");
    await device.clock.advance(minutes(2));
    expect(await device.commits()).toEqual(on("good"));
    await device.stop();
  });
});

describe("a release with a gate", () => {
  test("has its containers before those of the release before are stopped, and so has its return", async () => {
    const device = await safeDevice((commit) => ({ healthy: commit !== "bad" }));
    await device.wish("good");
    await device.clock.advance(minutes(1));
    const before = device.log.lines.length;
    await device.wish("bad");
    await device.clock.advance(minutes(10));
    const told = device.log.lines.slice(before).filter((line) => /'web sha256:/.test(line));
    const swap = ["Creating the next container of", "Killing", "Installing", "Installed", "Starting", "Started"];
    expect(told.map((line) => line.replace(/ service .*/, "")).filter((one) => swap.includes(one))).toEqual([
      ...swap,
      ...swap,
    ]);
    expect(await device.commits()).toEqual(on("good"));
    const { json } = await device.get("/v3/apps/1/history");
    const replacements = z
      .object({ history: z.array(z.object({ what: z.string(), service: z.string().optional(), release: z.string() })) })
      .parse(json)
      .history.filter(({ service, what }) => service === "web" && !what.startsWith("update"));
    expect(replacements.map(({ what, release }) => `${what} ${release}`)).toEqual([
      "replaced good",
      "replaced bad",
      "created good",
    ]);
    await device.stop();
  });

  test("stops nothing if the engine refuses to create its containers", async () => {
    const device = await safeDevice(() => ({}));
    await device.wish("good");
    await device.clock.advance(minutes(1));
    const ids = async () => (await device.engine.look()).containers.map(({ id }) => id).toSorted();
    const good = await ids();
    const refusal = vi.spyOn(device.engine, "createContainer").mockRejectedValue(new Error("no such device /dev/tty9"));
    await device.wish("bad");
    await device.clock.advance(minutes(10));
    expect(refusal).toHaveBeenCalled();
    expect(await ids()).toEqual(good);
    expect(await device.commits()).toEqual(on("good"));
    expect(await device.state()).toMatchObject({ commit: "good", update_failed: true });
    expect(device.supervisor.problems.list().map(({ message }) => message)).toEqual([
      expect.stringContaining("no such device /dev/tty9"),
    ]);
    await device.stop();
  });
});

test("a release that ends again and again is taken back before its deadline", async () => {
  const device = await safeDevice((commit) => (commit === "bad" ? { exit: { code: 3, afterMs: 500 } } : {}));
  await device.wish("good");
  await device.clock.advance(minutes(1));
  await device.wish("bad");
  await device.clock.advance(minutes(1));
  expect(await device.commits()).toEqual(on("good"));
  expect(device.supervisor.problems.list()).toMatchObject([
    {
      kind: "rejected",
      message: expect.stringMatching(
        /^web: it did not stay up \(has exited \d times, last with code 3\)\. Last it wrote: /,
      ),
    },
  ]);
  await device.stop();
});

test("a service confirms an update with a file, and not the next one", async () => {
  const device = await safeDevice(() => ({}));
  const labels = { "io.balena.update.confirm": "true" };
  for (const commit of ["one", "two", "three"]) {
    await device.wish(commit, { labels });
    await device.clock.advance(minutes(2));
    if (commit !== "two") continue;
    expect(await device.state()).toMatchObject({ update_pending: true });
    device.folders.confirm(1, "web");
    await device.clock.advance(minutes(1));
    expect(await device.state()).toMatchObject({ commit: "two", update_pending: false });
  }
  await device.clock.advance(minutes(10));
  expect(await device.commits()).toEqual(on("two"));
  expect(device.supervisor.problems.list()).toMatchObject([
    { kind: "rejected", message: "web: it did not confirm the update (has not confirmed the update yet)" },
  ]);
  await device.stop();
});

test("what a service has confirmed with a file is shown while other gates are closed", async () => {
  const device = await safeDevice(() => ({}));
  const labels = { "io.balena.update.confirm": "true", "io.balena.update.monitor": "30s" };
  const confirmation = async () => {
    const { gates } = z
      .object({ gates: z.array(z.looseObject({ gate: z.string(), is: z.string() })) })
      .parse((await device.get("/v3/apps/1/update")).json);
    return gates.find(({ gate }) => gate === "confirm")?.is;
  };
  for (const commit of ["one", "two"]) {
    await device.wish(commit, { labels });
    await device.clock.advance(commit === "one" ? minutes(1) : 10_000);
  }
  expect(await confirmation()).toBe("closed");
  device.folders.confirm(1, "web");
  await device.clock.advance(2_000);
  expect(await confirmation()).toBe("open");
  await device.stop();
});

test("without SUPERVISOR_SAFE_UPDATES a developer's release stays, whatever it does", async () => {
  const device = await safeDevice((commit) => ({ healthy: commit !== "bad" }));
  for (const commit of ["good", "bad"]) {
    const apps = { "1": { ...app({ web: { image: `web:${commit}`, healthcheck } }), commit } };
    expect((await device.post("/v2/local/target-state", { local: { name: "device", config: {}, apps } })).status).toBe(
      200,
    );
    await device.clock.advance(minutes(20));
  }
  expect(await device.commits()).toEqual(["web bad running"]);
  expect(await device.state()).toMatchObject({ commit: "bad", update_failed: false });
  expect(device.log.lines.filter((line) => line.includes("committed"))).toEqual([]);
  await device.stop();
});
