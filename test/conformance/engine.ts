import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { differences } from "../../core/compose/differences.ts";
import { toNetworkSpec, toVolumeSpec } from "../../core/compose/definitions.ts";
import { networkDifferences } from "../../core/compose/network-differences.ts";
import type { Container, ContainerSpec } from "../../core/model/container.ts";
import { findImage, type ImageConfig } from "../../core/model/image.ts";
import { networkName, volumeName } from "../../core/model/names.ts";
import { EngineError, type Engine, type EngineEvent, type Exec, type ExecRequest } from "../../core/ports/engine.ts";
import { parsedApp, specOf } from "../support/specs.ts";

/** What the suite needs beside an engine. */
export interface Bench {
  readonly engine: Engine;
  /** Makes an image that runs until it is asked to stop; with further lines of a Dockerfile. */
  readonly addImage: (name: string, lines?: readonly string[]) => Promise<void>;
  /** Writes files of one line into a volume, and reads those in it. */
  readonly writeFiles: (volume: string, files: Readonly<Record<string, string>>) => Promise<void>;
  readonly readFiles: (volume: string) => Promise<Readonly<Record<string, string>>>;
  /** The name of an image in a registry. */
  readonly inRegistry: string;
  readonly notInRegistry: string;
  /** Whether more than the rules of an engine can be tried. */
  readonly real: boolean;
  readonly sweep: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const appId = 4711;
const waiting = new AbortController().signal;

function plainNetwork() {
  const { back } = parsedApp(appId, {}, { networks: { back: {} } }).networks;
  if (!back) throw new Error("no network");
  return back;
}

/** The promises of `core/ports/engine.ts`. `restart` ends the engine and starts it again; what it has made stays. */
export function engineSuite(name: string, make: () => Promise<Bench>, restart?: () => Promise<void>): void {
  describe(`engine: ${name}`, () => {
    let bench: Bench;
    let engine: Engine;
    let image: { id: string; config: ImageConfig };

    beforeAll(async () => {
      bench = await make();
      engine = bench.engine;
      await bench.sweep();
      await bench.addImage("conformance:1");
      const id = findImage((await look()).images, "conformance:1")?.id ?? "";
      image = { id, config: await engine.imageConfig(id) };
    });
    afterEach(() => bench.sweep());
    afterAll(() => bench.stop());

    const look = () => engine.look({ fresh: true });
    const find = async (id: string): Promise<Container | undefined> =>
      (await engine.look({ fresh: false })).containers.find((one) => one.id === id);
    const spec = (fields: object = {}, more: object = {}): ContainerSpec =>
      specOf({ network_mode: "none", stop_grace_period: "5s", ...fields }, { appId, image, more });
    const create = (fields: object = {}, called = "web_1_1_c") => engine.createContainer(called, spec(fields));

    test("a container is created, started, stopped, started again and removed", async () => {
      const id = await create();
      expect(await find(id)).toMatchObject({
        id,
        name: "web_1_1_c",
        appId,
        service: "web",
        serviceId: 1,
        state: "created",
        startedAt: 0,
      });

      await engine.startContainer(id);
      expect(await find(id)).toMatchObject({ state: "running" });
      expect((await find(id))?.startedAt).toBeGreaterThan(0);

      await engine.stopContainer(id);
      expect(await find(id)).toMatchObject({ state: "exited" });

      await engine.startContainer(id);
      await engine.stopContainer(id);
      await engine.removeContainer(id);
      expect(await find(id)).toBeUndefined();
    });

    test("what is done already is done", async () => {
      const id = await create();
      await engine.startContainer(id);
      await engine.startContainer(id);
      await engine.stopContainer(id);
      await engine.stopContainer(id);
      await engine.removeContainer(id);
      await engine.removeContainer(id);
      await engine.stopContainer(id);
      await engine.removeVolume(volumeName(appId, "none"));
      expect(await engine.removeImage("never-was-here:1")).toBe(true);
    });

    test("names are unique", async () => {
      const id = await create();
      await expect(create()).rejects.toMatchObject({ name: "EngineError", status: 409 });
      const other = await create({}, "web_1_2_c");
      await expect(engine.renameContainer(other, "web_1_1_c")).rejects.toBeInstanceOf(EngineError);
      await engine.renameContainer(id, "old_web_1_1_c");
      await engine.renameContainer(other, "web_1_1_c");
      expect((await find(other))?.name).toBe("web_1_1_c");
    });

    test("a running container is not removed", async () => {
      const id = await create();
      await engine.startContainer(id);
      await expect(engine.removeContainer(id)).rejects.toBeInstanceOf(EngineError);
    });

    test("an image that is not there makes no container", async () => {
      await expect(
        engine.createContainer("web_1_1_c", { ...spec(), image: `sha256:${"0".repeat(64)}` }),
      ).rejects.toMatchObject({ status: 404 });
    });

    test("the restart policy can be changed", async () => {
      const id = await create();
      await engine.setRestartPolicy(id, { name: "no", retries: 0 });
      expect((await find(id))?.spec.restart).toEqual({ name: "no", retries: 0 });
    });

    test("a network is what it was asked to be, and stays while somebody is on it", async () => {
      const definition = parsedApp(
        appId,
        {},
        {
          networks: {
            back: {
              labels: { a: "b" },
              internal: true,
              ipam: { config: [{ subnet: "198.18.7.0/24", gateway: "198.18.7.1" }] },
            },
          },
        },
      ).networks["back"];
      if (!definition) throw new Error("no network");
      const wanted = toNetworkSpec(definition, appId);
      const full = networkName(String(appId), "back");
      await engine.createNetwork(full, wanted);
      const made = (await look()).networks.find((network) => network.name === full);
      expect(made?.spec).toEqual(wanted);
      await expect(engine.createNetwork(full, wanted)).rejects.toBeInstanceOf(EngineError);

      const id = await engine.createContainer(
        "web_1_1_c",
        specOf({ networks: { back: { aliases: ["w"], ipv4_address: "198.18.7.9" } } }, { appId, image }),
      );
      await engine.startContainer(id);
      await expect(engine.removeNetwork(made?.id ?? "")).rejects.toBeInstanceOf(EngineError);
      await engine.stopContainer(id);
      await engine.removeContainer(id);
      await engine.removeNetwork(made?.id ?? "");
      await engine.removeNetwork(made?.id ?? "");
      expect((await look()).networks.some((network) => network.name === full)).toBe(false);
    });

    describe("a network is not made twice, whatever the engine adds to what was asked for", () => {
      const definitions: Readonly<Record<string, object>> = {
        "nothing at all": {},
        "a subnet without a gateway": { ipam: { config: [{ subnet: "198.18.9.0/24" }] } },
        "only an IPv6 subnet": { enable_ipv6: true, ipam: { config: [{ subnet: "2001:DB8:0:7::/64" }] } },
        "two subnets": {
          enable_ipv6: true,
          ipam: { config: [{ subnet: "2001:DB8:0:8::/64" }, { subnet: "198.18.10.0/24" }] },
        },
        "a range, and an address that is taken": {
          ipam: {
            config: [{ subnet: "198.18.11.0/24", ip_range: "198.18.11.128/25", aux_addresses: { a: "198.18.11.9" } }],
          },
        },
        options: { internal: true, driver_opts: { "com.docker.network.driver.mtu": 1400 }, labels: { a: "b" } },
      };
      const name = (n: number) => networkName(String(appId), `net${n}`);
      const wish = (definition: object) => {
        const { one } = parsedApp(appId, {}, { networks: { one: definition } }).networks;
        if (!one) throw new Error("no network");
        return toNetworkSpec(one, appId);
      };
      const differencesOf = async (full: string, definition: object) => {
        const made = (await look()).networks.find((network) => network.name === full);
        return made ? networkDifferences(made.spec, wish(definition)).map(({ field }) => field) : ["no network"];
      };

      test.each(Object.entries(definitions))("%s", async (_, definition) => {
        await engine.createNetwork(name(0), wish(definition));
        expect(await differencesOf(name(0), definition)).toEqual([]);
        const on = specOf({ networks: { net0: {} } }, { appId, image });
        await engine.startContainer(await engine.createContainer("web_1_1_c", on));
        expect(await differencesOf(name(0), definition)).toEqual([]);

        const other = { ...definition, labels: { other: "1" }, ipam: { config: [{ subnet: "198.18.12.0/24" }] } };
        expect(await differencesOf(name(0), other)).toEqual(expect.arrayContaining(["labels.other", "ipam.config"]));
      });

      test.skipIf(restart === undefined)("nor after the engine was started again", async () => {
        const all = Object.values(definitions);
        for (const [n, definition] of all.entries()) await engine.createNetwork(name(n), wish(definition));
        await restart?.();
        for (const [n, definition] of all.entries()) expect(await differencesOf(name(n), definition)).toEqual([]);
      });
    });

    test("a volume is what it was asked to be, and stays while somebody has it", async () => {
      const definition = parsedApp(appId, {}, { volumes: { data: { labels: { keep: "yes" } } } }).volumes["data"];
      if (!definition) throw new Error("no volume");
      const wanted = toVolumeSpec(definition, String(appId));
      const full = volumeName(appId, "data");
      await engine.createVolume(full, wanted);
      await engine.createVolume(full, wanted);
      expect((await look()).volumes.find((volume) => volume.name === full)?.spec).toEqual(wanted);
      const id = await create({ volumes: ["data:/data"] });
      await expect(engine.removeVolume(full)).rejects.toBeInstanceOf(EngineError);
      await engine.removeContainer(id);
      await engine.removeVolume(full);
    });

    test("a container has an address on each of its networks while it runs", async () => {
      const definitions = { a: {}, b: { ipam: { config: [{ subnet: "198.18.8.0/24" }] } } };
      for (const [one, definition] of Object.entries(parsedApp(appId, {}, { networks: definitions }).networks))
        await engine.createNetwork(networkName(String(appId), one), toNetworkSpec(definition, appId));
      const wanted = specOf({ networks: { a: {}, b: { ipv4_address: "198.18.8.77" } } }, { appId, image });
      const id = await engine.createContainer("web_1_1_c", wanted);
      expect((await find(id))?.addresses).toEqual({});
      await engine.startContainer(id);
      const [a, b] = ["a", "b"].map((one) => networkName(String(appId), one));
      expect((await find(id))?.addresses).toEqual({
        [`${a}`]: expect.stringMatching(/^[\d.]+$/),
        [`${b}`]: "198.18.8.77",
      });
      await engine.stopContainer(id);
      expect((await find(id))?.addresses).toEqual({});

      const bridged = await create({ network_mode: "bridge" }, "web_1_2_c");
      await engine.startContainer(bridged);
      expect((await find(bridged))?.addresses).toEqual({ bridge: expect.stringMatching(/^[\d.]+$/) });
      const hosted = await create({ network_mode: "host" }, "web_1_3_c");
      await engine.startContainer(hosted);
      expect((await find(hosted))?.addresses).toEqual({});
    });

    describe("the copy of a volume", () => {
      const [from, to] = [volumeName(appId, "data"), volumeName(appId, "data_before")];
      const plain = { driver: "local", driverOptions: {}, labels: { "io.balena.supervised": "true" } };
      const kept = { name: to, spec: { ...plain, labels: { ...plain.labels, kept: "yes" } } };
      const files = { "a b": "1", "folder/é": "2", "folder/deeper/c": "3" };
      const copy = (signal = waiting) => engine.copyVolume(from, kept, image.id, signal);
      const names = async () => (await look()).volumes.map((volume) => volume.name);
      beforeEach(async () => {
        await engine.createVolume(from, plain);
        await bench.writeFiles(from, files);
      });

      test("is a new volume with the same content, also again, and the other stays as it was", async () => {
        await copy();
        expect((await engine.look({ fresh: false })).volumes).toContainEqual(kept);
        expect(await bench.readFiles(to)).toEqual(files);
        await bench.writeFiles(to, { "a b": "other", more: "4" });
        await copy();
        expect(await bench.readFiles(to)).toEqual(files);
        expect(await bench.readFiles(from)).toEqual(files);
        expect((await look()).volumes).toContainEqual({ name: from, spec: plain });
        expect((await look()).containers).toEqual([]);
        await engine.removeVolume(from);
        await engine.removeVolume(to);
        expect((await names()).filter((name) => [from, to].includes(name))).toEqual([]);
      });

      test("of an empty volume is empty", async () => {
        await engine.removeVolume(from);
        await engine.createVolume(from, plain);
        await copy();
        expect(await bench.readFiles(to)).toEqual({});
      });

      test("replaces nothing if one of the volumes or the image is not there, or a container has the volume", async () => {
        await engine.createVolume(to, kept.spec);
        await bench.writeFiles(to, { mine: "1" });
        const missing = `sha256:${"0".repeat(64)}`;
        await expect(engine.copyVolume(from, kept, missing, waiting)).rejects.toMatchObject({ status: 404 });
        const id = await create({ volumes: ["data_before:/data"] });
        await expect(copy()).rejects.toMatchObject({ name: "EngineError", status: 409 });
        await engine.removeContainer(id);
        await engine.removeVolume(from);
        await expect(copy()).rejects.toMatchObject({ status: 404 });
        expect(await bench.readFiles(to)).toEqual({ mine: "1" });
        expect(await names()).not.toContain(from);
      });

      test("leaves nothing behind when it is ended", async () => {
        await bench.writeFiles(from, bench.real ? { large: "x".repeat(50_000_000) } : {});
        const end = new AbortController();
        const ended = expect(copy(end.signal)).rejects.toBeInstanceOf(EngineError);
        await expect.poll(names, { interval: 1 }).toContain(to);
        end.abort();
        await ended;
        expect(await names()).not.toContain(to);
        await engine.removeVolume(from);
      });

      test("has a size, and a volume that does not exist has none", async () => {
        expect(await engine.volumeSize(to)).toBeUndefined();
        await bench.writeFiles(from, { b: "x".repeat(100_000) });
        await copy();
        expect(await engine.volumeSize(to)).toBeGreaterThan(100_000);
      });
    });

    test("a container lives in the network of another", async () => {
      const owner = await create();
      const guest = await engine.createContainer("guest_2_1_c", { ...spec(), networkMode: `container:${owner}` });
      expect((await find(guest))?.spec.networkMode).toBe(`container:${owner}`);
      await expect(engine.startContainer(guest)).rejects.toBeInstanceOf(EngineError);
      await engine.startContainer(owner);
      await engine.startContainer(guest);
      expect(await find(guest)).toMatchObject({ state: "running" });
    });

    test("two cannot have one port of the host", async () => {
      const published = { network_mode: "bridge", ports: ["127.0.0.1:48599:80"] };
      await engine.startContainer(await create(published));
      const other = await create(published, "web_1_2_c");
      await expect(engine.startContainer(other)).rejects.toThrow(/port is already allocated/);
    });

    test("an image is fetched, with rising progress, and known by its name", async () => {
      const seen: number[] = [];
      await engine.pull({ name: bench.inRegistry }, (percent) => seen.push(percent), waiting);
      expect(findImage((await engine.look({ fresh: false })).images, bench.inRegistry)).toBeDefined();
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      expect(seen.at(-1)).toBe(100);
      await engine.removeImage(bench.inRegistry);
      expect(findImage((await look()).images, bench.inRegistry)).toBeUndefined();
    });

    test("an image that no registry has is an error", async () => {
      await expect(engine.pull({ name: bench.notInRegistry }, () => {}, waiting)).rejects.toThrow(
        /not found|unknown|refused/,
      );
    });

    test("an image gets another name, also one that another image has, and stays while it has one", async () => {
      const called = async (name: string) => findImage((await engine.look({ fresh: false })).images, name)?.id;
      await bench.addImage("conformance:other");
      expect(await called("conformance:other")).not.toBe(image.id);
      const names = ["registry.example:5000/kept/web:1", "conformance:other"];
      for (const name of names) {
        await engine.tagImage(image.id, name);
        await engine.tagImage(image.id, name);
        expect(await called(name)).toBe(image.id);
      }
      expect(findImage((await look()).images, "conformance:1")?.tags.toSorted()).toEqual(
        ["conformance:1", ...names].toSorted(),
      );
      await expect(engine.tagImage(`sha256:${"0".repeat(64)}`, "conformance:2")).rejects.toMatchObject({ status: 404 });

      await engine.removeImage("conformance:1");
      expect(await called(names[0] ?? "")).toBe(image.id);
      await engine.tagImage(image.id, "conformance:1");
      for (const name of names) await engine.removeImage(name);
      expect(await called("conformance:1")).toBe(image.id);
    });

    test("an image in use stays", async () => {
      await bench.addImage("conformance:used");
      const used = findImage((await look()).images, "conformance:used")?.id ?? "";
      const id = await engine.createContainer("web_1_1_c", { ...spec(), image: used });
      expect(await engine.removeImage("conformance:used")).toBe(false);
      expect((await look()).images.map((one) => one.id)).toContain(used);
      await engine.removeContainer(id);
      expect(await engine.removeImage("conformance:used")).toBe(true);
      expect((await look()).images.map((one) => one.id)).not.toContain(used);
    });

    test("changes and removals are told to whoever listens", async () => {
      const events: EngineEvent[] = [];
      const unsubscribe = engine.onEvent((event) => events.push(event));
      await expect.poll(() => look().then(() => true)).toBe(true);
      // A stream of events begins some time after it was asked for.
      await new Promise((resolve) => setTimeout(resolve, bench.real ? 300 : 0));
      const id = await create();
      await engine.startContainer(id);
      await expect.poll(() => events).toContainEqual({ of: "container", what: "changed", id });
      await engine.stopContainer(id);
      await engine.removeContainer(id);
      await expect.poll(() => events).toContainEqual({ of: "container", what: "gone", id });
      unsubscribe();
    });

    test("the log of a container begins where it is asked to, and ends with it", async () => {
      const id = await create();
      await engine.startContainer(id);
      const lines: string[] = [];
      const followed = (async () => {
        for await (const line of engine.logs(id, 0, waiting)) {
          expect(line.timestamp).toBeGreaterThan(0);
          lines.push(line.message);
        }
      })();
      await expect.poll(() => lines).toContainEqual(expect.stringMatching(/hello|is running/));
      await engine.stopContainer(id);
      await followed;

      const later: string[] = [];
      for await (const { message } of engine.logs(id, Date.now() + 1000, waiting)) later.push(message);
      expect(later).toEqual([]);
    });

    test("whoever stops following a log is heard", async () => {
      const id = await create();
      await engine.startContainer(id);
      const leave = new AbortController();
      setTimeout(() => leave.abort(), 100);
      for await (const _ of engine.logs(id, 0, leave.signal));
      expect(leave.signal.aborted).toBe(true);
    });

    test("a log that is not followed ends now, with the last lines only", async () => {
      const id = await create();
      await engine.startContainer(id);
      const read = async (tail?: number) => {
        const lines: string[] = [];
        for await (const { message } of engine.logs(id, 0, waiting, { follow: false, tail })) lines.push(message);
        return lines;
      };
      await expect.poll(() => read()).toEqual([expect.stringMatching(/hello|is running/)]);
      expect(await read(1)).toHaveLength(1);
      expect(await read(0)).toEqual([]);
    });

    test("the processes and the use of a running container are shown, of a stopped one not", async () => {
      const id = await create();
      await expect(engine.top(id)).rejects.toBeInstanceOf(EngineError);
      expect(await engine.stats(id)).toBeUndefined();
      await engine.startContainer(id);
      const { titles, processes } = await engine.top(id);
      expect(titles).toEqual(expect.arrayContaining([expect.stringMatching(/^(CMD|COMMAND)$/)]));
      expect(processes.length).toBeGreaterThan(0);
      for (const row of processes) expect(row).toHaveLength(titles.length);
      const use = await engine.stats(id);
      expect(use?.memoryBytes).toBeGreaterThan(0);
      expect(use?.memoryLimitBytes).toBeGreaterThan(use?.memoryBytes ?? 0);
      expect(use?.processes).toBeGreaterThan(0);
      await engine.stopContainer(id);
      await expect(engine.top(id)).rejects.toBeInstanceOf(EngineError);
      expect(await engine.stats(id)).toBeUndefined();
    });

    describe("a program in a container", () => {
      const run = async (request: Partial<ExecRequest> & Pick<ExecRequest, "command">) => {
        const id = await create();
        await engine.startContainer(id);
        return { id, exec: await engine.exec(id, { environment: {}, ...request }) };
      };
      const outputOf = async ({ output }: Exec) => {
        const text = { stdout: "", stderr: "" };
        for await (const { isStdErr, bytes } of output)
          text[isStdErr ? "stderr" : "stdout"] += Buffer.from(bytes).toString("latin1");
        return text;
      };
      const bytes = (text: string) => Buffer.from(text, "latin1");
      const terminal = { columns: 93, rows: 31 };

      test("writes to two streams, and ends with a code", async () => {
        const { exec } = await run({ command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"] });
        expect(await outputOf(exec)).toEqual({ stdout: "out\n", stderr: "err\n" });
        expect(await exec.exitCode()).toBe(3);
      });

      test("reads its input to the end, byte by byte the same", async () => {
        const { exec } = await run({ command: ["cat"] });
        const all = String.fromCharCode(...Array.from({ length: 256 }, (_, n) => n));
        await exec.write(bytes(all));
        await exec.write(bytes("\r\n\x00end"));
        await exec.endInput();
        expect(await outputOf(exec)).toEqual({ stdout: `${all}\r\n\x00end`, stderr: "" });
        expect(await exec.exitCode()).toBe(0);
        await exec.write(bytes("too late"));
        await exec.endInput();
      });

      test("has a terminal of the size that was asked for, and of a later one", async () => {
        const { exec } = await run({ command: ["/bin/sh"], terminal });
        const text = outputOf(exec);
        const stty = `${bench.real ? "/bin/busybox " : ""}stty size\r`;
        await exec.write(bytes(stty));
        await new Promise((resolve) => setTimeout(resolve, bench.real ? 500 : 0));
        await exec.resize({ columns: 41, rows: 17 });
        await exec.write(bytes(stty));
        await exec.write(bytes("exit 5\r"));
        const { stdout, stderr } = await text;
        expect([stdout, stderr]).toEqual([expect.stringMatching(/31 93\r\n[^]*17 41\r\n/), ""]);
        expect(await exec.exitCode()).toBe(5);
      });

      test("at a terminal, the end of the input is that of Ctrl-D", async () => {
        const { exec } = await run({ command: ["cat"], terminal });
        await exec.endInput();
        await outputOf(exec);
        expect(await exec.exitCode()).toBe(0);
      });

      test("that is not there ends with 127, and says so", async () => {
        const { exec } = await run({ command: ["/never/there"] });
        const { stdout, stderr } = await outputOf(exec);
        expect(stdout + stderr).toMatch(/never\/there/);
        expect([126, 127]).toContain(await exec.exitCode());
      });

      test.each([[terminal], [undefined]])("ends when it is hung up (terminal: %j)", async (size) => {
        const { id, exec } = await run({ command: ["sleep", "1000"], terminal: size });
        const text = outputOf(exec);
        await exec.hangUp();
        await text;
        const isOver = async () => !(await engine.top(id)).processes.some((row) => row.at(-1) === "sleep 1000");
        await expect.poll(isOver, { timeout: 5000 }).toBe(true);
        await exec.hangUp();
      });

      test("ends with its container", async () => {
        const { id, exec } = await run({ command: ["sleep", "1000"] });
        const text = outputOf(exec);
        await engine.stopContainer(id);
        await text;
        await engine.removeContainer(id);
        await exec.exitCode();
        await exec.hangUp();
      });

      test("is not started in a container that does not run", async () => {
        const id = await create();
        const request = { command: ["cat"], environment: {} };
        await expect(engine.exec(id, request)).rejects.toBeInstanceOf(EngineError);
      });
    });

    describe("what is made is what was asked for, so nothing is ever made twice", () => {
      const fields: Record<string, object> = {
        "nothing at all": {},
        cap_add: { cap_add: ["NET_ADMIN", "cap_sys_time"] },
        cap_drop: { cap_drop: ["ALL"] },
        cgroup_parent: { cgroup_parent: "" },
        "command as a line": { command: "sh -c 'sleep 100'" },
        "command as words": { command: ["sleep", "100"] },
        "command null": { command: null },
        cpu_quota: { cpu_quota: 50000 },
        cpu_shares: { cpu_shares: 512 },
        cpus: { cpus: "0.5" },
        cpuset: { cpuset: "0" },
        device_cgroup_rules: { device_cgroup_rules: ["c 1:3 mr"] },
        devices: { devices: ["/dev/null", "/dev/zero:/dev/mine:r"] },
        dns: { dns: ["192.0.2.53"], dns_opt: ["ndots:1"], dns_search: "example.org" },
        domainname: { hostname: "a", domainname: "example.org", network_mode: "bridge" },
        entrypoint: { entrypoint: ["/bin/sh", "/run.sh"] },
        "entrypoint and command": { entrypoint: "/bin/sh -c", command: ["sleep 100"] },
        environment: { environment: { A: "1", EMPTY: "", SPACED: "a b=c" } },
        "environment, the engine's own PATH": {
          environment: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
        },
        "environment, names that every object knows": { environment: { constructor: "1", toString: "2" } },
        extra_hosts: { extra_hosts: ["a:192.0.2.1", "b:192.0.2.2"], network_mode: "bridge" },
        "extra_hosts, all spellings": {
          extra_hosts: ["b=192.0.2.2", "a:192.0.2.9", "a:192.0.2.1", "c=[2001:db8::1]", "d:2001:db8::2"],
          network_mode: "bridge",
        },
        "extra_hosts, object": { extra_hosts: { a: ["192.0.2.1", "2001:db8::1"] }, network_mode: "bridge" },
        group_add: { group_add: ["20", 44] },
        "healthcheck of its own": {
          healthcheck: { test: ["CMD", "true"], interval: "2s", timeout: "1s", retries: 2, start_period: "1s" },
        },
        "healthcheck none": { healthcheck: { disable: true } },
        hostname: { hostname: "mine", network_mode: "bridge" },
        "hostname on the host's network": { hostname: "mine", network_mode: "host" },
        init: { init: true },
        "ipc host": { ipc: "host" },
        labels: { labels: { "com.example.a": "b", "io.resin.features.dbus": "0" } },
        mac_address: { mac_address: "02:42:ac:11:00:09", network_mode: "bridge" },
        mem_limit: { mem_limit: "64m", mem_reservation: "32m" },
        "network_mode host": { network_mode: "host" },
        "network_mode bridge": { network_mode: "bridge" },
        oom: { oom_score_adj: 500, oom_kill_disable: false },
        "pid host": { pid: "host" },
        pids_limit: { pids_limit: 100 },
        "pids_limit -1": { pids_limit: -1 },
        "pids_limit -5": { pids_limit: -5 },
        ports: {
          network_mode: "bridge",
          ports: ["48601:80", "48602-48603:90-91/udp", "127.0.0.1::100", "48610-48612:101"],
        },
        privileged: { privileged: true },
        "privileged, and said to be unconfined": { privileged: true, security_opt: ["label=disable"] },
        read_only: { read_only: true },
        "restart no": { restart: "no" },
        "restart false": { restart: false },
        "restart on-failure:3": { restart: "on-failure:3" },
        "restart unless-stopped": { restart: "unless-stopped" },
        security_opt: { security_opt: ["no-new-privileges:true"] },
        "security_opt label=disable": { security_opt: ["label=disable"] },
        "security_opt label=disable, pid host": { security_opt: ["label=disable", "no-new-privileges"], pid: "host" },
        shm_size: { shm_size: "128m" },
        "shm_size 0": { shm_size: 0 },
        stop: { stop_grace_period: "1m30s", stop_signal: "SIGINT" },
        sysctls: { sysctls: { "net.ipv4.ip_forward": 1 }, network_mode: "bridge" },
        tmpfs: { tmpfs: ["/run", "/scratch/:size=1m,mode=1777", "/only:ro"] },
        "tty off": { tty: false },
        ulimits: { ulimits: { nofile: 1024, nproc: { soft: 100, hard: 200 } } },
        user: { user: "1000:1000" },
        userns_mode: { userns_mode: "host" },
        "volumes, short": { volumes: ["data:/data", "other:/other:ro,nocopy"] },
        "volumes, long": {
          volumes: [
            { type: "volume", source: "data", target: "/data", read_only: true, volume: { nocopy: true } },
            { type: "tmpfs", target: "/t", tmpfs: { size: 1000000, mode: 0o1777 } },
            { type: "tmpfs", target: "/only", read_only: true, tmpfs: { size: "1m", mode: "755" } },
          ],
        },
        "volumes, with detours": { volumes: ["data:/a/../data/", "other://b/./c"] },
        working_dir: { working_dir: "/tmp/" },
        "working_dir /": { working_dir: "/" },
        "working_dir with detours": { working_dir: "/tmp/./a//../b/" },
        "feature labels": {
          labels: {
            "io.balena.features.procfs": "1",
            "io.balena.features.sysfs": "true",
            "io.balena.features.balena-socket": "1",
            "io.balena.features.journal-logs": "0",
            "io.balena.features.balena-api": "1",
          },
        },
      };

      test.each(Object.entries(fields))("%s", async (_, given) => {
        const wanted = spec(given);
        const id = await engine.createContainer("web_1_1_c", wanted);
        const made = await find(id);
        expect(differences(made?.spec ?? wanted, wanted)).toEqual([]);
        if ("privileged" in given) return;
        // What the engine writes down when it starts is still the same.
        await engine.startContainer(id);
        const started = await find(id);
        expect(started?.state).toBe("running");
        expect(differences(started?.spec ?? wanted, wanted)).toEqual([]);
      });

      describe("from an image with opinions of its own", () => {
        let opinions: typeof image;

        beforeAll(async () => {
          await bench.addImage("conformance:opinions", [
            "ENV A=image",
            "ENV PATH=/bin",
            "LABEL from=image",
            "USER 1000",
            "WORKDIR /tmp",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s CMD true",
            "VOLUME /anonymous",
            "EXPOSE 80",
            'ENTRYPOINT ["/bin/sh"]',
            'CMD ["/run.sh"]',
          ]);
          const id = findImage((await look()).images, "conformance:opinions")?.id ?? "";
          opinions = { id, config: await engine.imageConfig(id) };
        });

        test.each<[object]>([
          [{}],
          [{ command: ["-c", "sleep 100"] }],
          [{ entrypoint: ["sleep", "100"] }],
          [{ user: "0", environment: { A: "mine" } }],
          [{ environment: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" } }],
          [{ healthcheck: { retries: 7 } }],
          [{ healthcheck: { disable: true } }],
        ])("%j", async (given) => {
          const wanted = specOf({ network_mode: "none", ...given }, { appId, image: opinions });
          const made = await engine.createContainer("web_1_1_c", wanted);
          await engine.startContainer(made);
          expect(differences((await find(made))?.spec ?? wanted, wanted)).toEqual([]);
        });
      });

      test("a MAC address on a network, also after it has stopped", async () => {
        await engine.createNetwork(networkName(String(appId), "back"), toNetworkSpec(plainNetwork(), appId));
        const wanted = specOf({ networks: { back: {} }, mac_address: "02:42:c6:12:00:09" }, { appId, image });
        const id = await engine.createContainer("web_1_1_c", wanted);
        await engine.startContainer(id);
        expect(differences((await find(id))?.spec ?? wanted, wanted)).toEqual([]);
        await engine.stopContainer(id);
        expect(differences((await find(id))?.spec ?? wanted, wanted)).toEqual([]);
        const without = specOf({ networks: { back: {} } }, { appId, image });
        expect(differences((await find(id))?.spec ?? wanted, without).map(({ field }) => field)).toEqual([
          "mac_address",
        ]);
      });

      test("several networks, with aliases and addresses", async () => {
        const definitions = parsedApp(
          appId,
          {},
          { networks: { a: {}, b: { ipam: { config: [{ subnet: "198.18.8.0/24" }] } } } },
        ).networks;
        for (const [one, definition] of Object.entries(definitions))
          await engine.createNetwork(networkName(String(appId), one), toNetworkSpec(definition, appId));
        const wanted = specOf(
          { networks: { a: { aliases: ["x", "y"] }, b: { ipv4_address: "198.18.8.77" } } },
          { appId, image },
        );
        const id = await engine.createContainer("web_1_1_c", wanted);
        expect(differences((await find(id))?.spec ?? wanted, wanted)).toEqual([]);
        await engine.startContainer(id);
        expect(differences((await find(id))?.spec ?? wanted, wanted)).toEqual([]);
      });
    });
  });
}
