import { expect, onTestFinished, test } from "vitest";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { MemoryFolders, MemoryStore } from "../../core/embedded/ports.ts";
import { EngineError, type Engine } from "../../core/ports/engine.ts";
import { boundEngine } from "../support/bound-engine.ts";
import { app } from "../support/device.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { Hostile } from "../simulation/hostile.ts";

/** Updates whose release changes the data of a volume: it is copied before, and restored when the update fails. */

const checked = { test: ["CMD", "true"], interval: "1s", timeout: "1s", retries: 1 };
const snapshot = { labels: { "io.balena.update.snapshot": "true" } };

/** A release of a service that writes its version into its volume, beside one that only reads, and one without the volume. */
const release = (version: string, volume: object = snapshot, more: Record<string, object> = {}) => ({
  "1": app(
    {
      web: { environment: { VERSION: version }, volumes: ["data:/data"], healthcheck: checked },
      reader: { volumes: ["data:/data"] },
      other: {},
      ...more,
    },
    { commit: `c${version}`, releaseId: Number(version), volumes: { data: volume } },
  ),
});

/** A machine whose power can fail at a call to the engine or the store. */
class Machine {
  readonly clock = new SimClock(new Chance(1));
  readonly engine = new EmbeddedEngine({
    ...{ clock: this.clock, pullMs: 3, stopMs: 1, copyMs: 20, restartMs: 1000 },
    program: ({ service, spec: { environment } }, volume) => {
      const version = environment["VERSION"] ?? "";
      if (service === "web") volume("/data")?.set("schema", version).set(`of ${version}`, "new");
      return { healthy: !version.startsWith("9") };
    },
  });
  readonly #store = new MemoryStore();
  readonly log: string[] = [];
  readonly copies: string[] = [];
  full = false;
  space = { freeBytes: 50e9, totalBytes: 100e9, freeInodes: 0, inodes: 0 };

  /** Starts the agent. It ends at the call with this number. Returns the run. */
  async start(crashAt?: number, seed = 1) {
    const run = new Hostile(this.clock, new Chance(seed), { faults: 0, delays: 0, crashAt });
    const folders = new MemoryFolders();
    const say = (line: string) => void this.log.push(line);
    const device = await createMemoryDevice({
      clock: run.clock(),
      ports: {
        engine: run.engine(this.#watched()),
        store: run.store(this.#store),
        engineHost: { space: async () => this.space, emulates: () => false },
        ...run.folders(folders),
        log: { info: say, warn: say, error: say },
      },
    });
    onTestFinished(() => device.stop());
    const post = (path: string, body: object) => {
      const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      void device.fetch(new Request(`http://device${path}`, init));
    };
    const wish = (apps: object) =>
      post("/v2/local/target-state", {
        local: { name: "device", config: { SUPERVISOR_SAFE_UPDATES: "on" }, apps },
      });
    return { run, device, wish, post };
  }

  /** A volume must not be copied while a program may write to it, nor replaced while a container has it. */
  #watched(): Engine {
    return {
      ...boundEngine(this.engine),
      copyVolume: async (from, to, image, signal) => {
        const { containers } = await this.engine.look();
        const users = containers.filter(({ spec }) => spec.mounts.some(({ source }) => source === "1_data"));
        this.copies.push(
          `${from} → ${to.name}, while ${users.map(({ service }) => service).join(", ") || "nobody"} has it`,
        );
        if (this.full) throw new EngineError("no space left on device", 500);
        await this.engine.copyVolume(from, to, image, signal);
      },
    };
  }

  data(volume = "1_data"): Record<string, string> {
    return Object.fromEntries(this.engine.files(volume));
  }

  async volumes(): Promise<string[]> {
    return (await this.engine.look()).volumes.map(({ name }) => name).toSorted();
  }

  async versions(): Promise<Record<string, string>> {
    const { containers } = await this.engine.look();
    return Object.fromEntries(
      containers.map(({ service, state, spec: { environment } }) => [
        service,
        `${environment["VERSION"] ?? "–"} ${state}`,
      ]),
    );
  }
}

const minutes = (count: number): number => count * 60_000;
const old = { schema: "1", "of 1": "new", mine: "precious" };
const running = (version: string) => ({ web: `${version} running`, reader: "– running", other: "– running" });

/** A machine on which release 1 has proved itself, and has data. */
async function settledMachine() {
  const machine = new Machine();
  const { wish, device } = await machine.start();
  wish(release("1"));
  await machine.clock.advance(minutes(1));
  expect(await machine.versions()).toEqual(running("1"));
  machine.engine.files("1_data").set("mine", "precious");
  await device.stop();
  return machine;
}

test("a release that fails has its data taken back, byte by byte, and the copy is removed", async () => {
  const machine = await settledMachine();
  const { wish } = await machine.start();
  wish(release("9"));
  await machine.clock.advance(minutes(1));
  expect(await machine.versions()).toEqual(running("9"));
  expect(machine.data()).toEqual({ ...old, schema: "9", "of 9": "new" });
  expect(await machine.volumes()).toEqual(["1_data", "before_1_data"]);
  expect(machine.data("before_1_data")).toEqual(old);
  expect(machine.copies).toEqual(["1_data → before_1_data, while nobody has it"]);

  await machine.clock.advance(minutes(10));
  expect(await machine.versions()).toEqual(running("1"));
  expect(machine.data()).toEqual(old);
  expect(await machine.volumes()).toEqual(["1_data"]);
  expect(machine.copies.slice(1)).toEqual(["before_1_data → 1_data, while nobody has it"]);
});

test("a release that proves itself keeps its data, and the copy is removed", async () => {
  const machine = await settledMachine();
  const { wish } = await machine.start();
  wish(release("2"));
  await machine.clock.advance(minutes(2));
  expect(await machine.versions()).toEqual(running("2"));
  expect(machine.data()).toEqual({ ...old, schema: "2", "of 2": "new" });
  expect(await machine.volumes()).toEqual(["1_data"]);
});

/** Runs release 9, which fails, with a crash at a call, and then without one. */
async function failingLife(crashAt: number | undefined, seed: number) {
  const machine = await settledMachine();
  const { wish, run } = await machine.start(crashAt, seed);
  wish(release("9"));
  await machine.clock.advance(minutes(12));
  if (crashAt !== undefined && run.dead) {
    await machine.start();
    await machine.clock.advance(minutes(20));
  }
  return { machine, run };
}

test("wherever the power fails, the data is that of the release that serves, and no copy stays", async () => {
  const { run } = await failingLife(undefined, 1);
  expect(run.calls).toBeGreaterThan(60);
  for (let crashAt = 1; crashAt <= run.calls; crashAt++) {
    const { machine, run: crashed } = await failingLife(crashAt, crashAt);
    expect(crashed.dead).toBe(true);
    const end = { versions: await machine.versions(), data: machine.data(), volumes: await machine.volumes() };
    expect(end, `crash at call ${crashAt}:\n${machine.log.join("\n")}`).toEqual({
      ...{ versions: running("1"), data: old, volumes: ["1_data"] },
    });
  }
});

/** Release 9 is tried, and has changed the data. */
async function tryingMachine() {
  const machine = await settledMachine();
  const agent = await machine.start();
  agent.wish(release("9"));
  await machine.clock.advance(minutes(1));
  expect(machine.data()).toEqual({ ...old, schema: "9", "of 9": "new" });
  return { machine, ...agent };
}

test("another target is applied to the data as it was before the first", async () => {
  const { machine, wish } = await tryingMachine();
  wish(release("2"));
  await machine.clock.advance(minutes(2));
  expect(await machine.versions()).toEqual(running("2"));
  expect(machine.data()).toEqual({ ...old, schema: "2", "of 2": "new" });
  expect(await machine.volumes()).toEqual(["1_data"]);
});

test("an update that is withdrawn has its data taken back", async () => {
  const { machine, wish } = await tryingMachine();
  wish(release("1"));
  await machine.clock.advance(minutes(2));
  expect(await machine.versions()).toEqual(running("1"));
  expect(machine.data()).toEqual(old);
  expect(await machine.volumes()).toEqual(["1_data"]);
});

test("a failed update that is paused keeps the copy, and has its data taken back when it is withdrawn", async () => {
  const machine = await settledMachine();
  const { wish } = await machine.start();
  wish(release("9", snapshot, { other: { labels: { "io.balena.update.failure-action": "pause" } } }));
  await machine.clock.advance(minutes(10));
  expect(await machine.versions()).toEqual(running("9"));
  expect(await machine.volumes()).toEqual(["1_data", "before_1_data"]);
  wish(release("1"));
  await machine.clock.advance(minutes(2));
  expect(await machine.versions()).toEqual(running("1"));
  expect(machine.data()).toEqual(old);
  expect(await machine.volumes()).toEqual(["1_data"]);
});

test("a purge in between deletes the data for good", async () => {
  const { machine, post } = await tryingMachine();
  post("/v1/purge", { appId: 1 });
  await machine.clock.advance(minutes(15));
  expect(await machine.versions()).toEqual(running("1"));
  expect(machine.data()).toEqual({ schema: "1", "of 1": "new", "of 9": "new" });
  expect(await machine.volumes()).toEqual(["1_data"]);
  expect(machine.copies).toHaveLength(1);
});

test("a clean-up of volumes leaves the copy", async () => {
  const { machine, device } = await tryingMachine();
  const request = new Request("http://device/v2/cleanup-volumes");
  const answer = device.fetch(request);
  await machine.clock.advance(minutes(1));
  expect((await answer).status).toBe(200);
  expect(await machine.volumes()).toEqual(["1_data", "before_1_data"]);
});

test("a copy that somebody has removed is not restored, and the log says so", async () => {
  const { machine } = await tryingMachine();
  await Promise.all([machine.engine.removeVolume("before_1_data"), machine.clock.advance(1)]);
  await machine.clock.advance(minutes(10));
  expect(await machine.versions()).toEqual(running("1"));
  expect(machine.data()).toEqual({ ...old, "of 9": "new" });
  expect(machine.log.join("\n")).toContain(
    "Volume 'data' cannot be restored as it was before the update: it does not exist any more",
  );
});

test("an update whose copies do not fit on the disk stops nothing, and begins when there is space", async () => {
  const machine = await settledMachine();
  machine.engine.files("1_data").set("large", "x".repeat(10_000));
  machine.space = { ...machine.space, freeBytes: 5e9 + 10_000 };
  const { wish, device } = await machine.start();
  wish(release("2"));
  await machine.clock.advance(minutes(1));
  expect(await machine.versions()).toEqual(running("1"));
  expect(device.folders.held().size).toBe(0);
  expect(machine.log.join("\n")).toMatch(
    /the copies of volumes before the update do not fit on the disk: 10 kB needed, 5 GB free, 5 GB kept in reserve/,
  );
  machine.space = { ...machine.space, freeBytes: 6e9 };
  await machine.clock.advance(minutes(10));
  expect(await machine.versions()).toEqual(running("2"));
});

test("a copy that cannot be made fails the update at its deadline, and the committed release serves again", async () => {
  const machine = await settledMachine();
  const { wish } = await machine.start();
  machine.full = true;
  wish(release("2"));
  await machine.clock.advance(minutes(1));
  expect(await machine.versions()).toEqual({ other: "– running" });
  await machine.clock.advance(minutes(10));
  expect(await machine.versions()).toEqual(running("1"));
  expect(machine.data()).toEqual(old);
  expect(machine.log.join("\n")).toMatch(/rejected.*no space left on device/);
});

test("a volume is copied only if the label asks for it, a new container has it, and the engine keeps its data", async () => {
  const share = { ...snapshot, driver_opts: { type: "nfs", o: "addr=198.18.0.1", device: ":/share" } };
  for (const [first, second] of [
    [release("1", {}), release("2", {})],
    [release("1", share), release("2", share)],
    [release("1"), release("1", snapshot, { other: { environment: { A: "changed" } } })],
  ]) {
    const machine = new Machine();
    const { wish } = await machine.start();
    wish(first ?? {});
    await machine.clock.advance(minutes(1));
    wish(second ?? {});
    await machine.clock.advance(minutes(2));
    expect(await machine.versions()).toMatchObject({ reader: "– running" });
    expect(machine.copies).toEqual([]);
  }
});
