import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { startAgent, type Agent } from "../../runtimes/node/agent.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { makeImage, noDocker, startRegistry, type Registry } from "../support/docker.ts";
import { noNamespaces, type Background } from "../support/namespaces.ts";
import { wait } from "../support/wait.ts";
import { startCloud } from "../worker/cloud.ts";
import { createBoard, type Board } from "./board.ts";
import { owner } from "./cloud.ts";

/** Logs a counter with an id for each run, so that lost or repeated lines are visible in the cloud. */
const counting = (version: string) => `
life=$(cat /proc/sys/kernel/random/uuid)
trap 'exit 0' TERM
n=0
while :; do n=$((n+1)); echo "count $BALENA_SERVICE_NAME ${version} $life $n \${MODE:-plain}"; sleep 1 & wait $!; done
`;

const cloud = startCloud();

describe.skipIf((noDocker ?? noNamespaces) !== undefined)(
  "in a fleet of three devices, from its first release on,",
  { timeout: 180_000 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "fl-"));
    const { say, type, release, devices, log } = owner(cloud, folder);
    const images: Record<string, string> = {};
    let registry: Registry;
    let one: Board;
    let two: Board;
    let agents: { one: Background; two: Background };
    let three: Agent;
    let fleetId: number;
    const uuids = { one: "1".repeat(32), two: "2".repeat(32), three: "3".repeat(32) };
    const configs: Record<"one" | "two", object> = { one: {}, two: {} };

    beforeAll(async () => {
      const docker = new Docker();
      registry = await startRegistry();
      for (const version of ["1", "2", "3", "4", "5"]) {
        await makeImage(docker, `fleet-web:${version}`, counting(version));
        images[version] = await registry.push(docker, `fleet-web:${version}`, `web:${version}`);
      }
      await makeImage(docker, "fleet-db:1", counting("db"));
      images["db"] = await registry.push(docker, "fleet-db:1", "db:1");

      ({ id: fleetId } = await type(z.object({ id: z.int() }), "fleet", "create", "cameras"));
      const { key } = await type(z.object({ key: z.string() }), "fleet", "key", "cameras");
      const config = (uuid: string) => ({ uuid, apiEndpoint: cloud.url(), apiKey: key, applicationId: fleetId });
      configs.one = config(uuids.one);
      configs.two = config(uuids.two);

      const ports: readonly [number, number] = [Number(new URL(cloud.url()).port), Number(registry.host.split(":")[1])];
      [one, two] = await Promise.all([createBoard(join(folder, "1"), ports), createBoard(join(folder, "2"), ports)]);
      agents = { one: await one.startAgent(configs.one), two: await two.startAgent(configs.two) };
      writeFileSync(join(folder, "3.json"), JSON.stringify(config(uuids.three)));
      const settings = ["--engine", "embedded", "--port", "0", "--config", join(folder, "3.json")];
      const places = ["--state-dir", join(folder, "3"), "--host-root", join(folder, "3")];
      three = await startAgent(readSettings([...settings, ...places], {}), {
        info: () => {},
        warn: () => {},
        error: () => {},
      });
    }, 180_000);

    afterAll(async () => {
      await three?.stop();
      await Promise.all([agents?.one.end(), agents?.two.end()]);
      await Promise.all([one?.stop(), two?.stop()]);
      await registry?.stop();
      rmSync(folder, { recursive: true, force: true });
    }, 180_000);

    const web = (version: string) => ({ web: images[version] ?? "", db: images["db"] ?? "" });

    /** Waits until the cloud shows that these devices run that release and have settled. */
    const untilReported = async (commit: string, names: readonly (keyof typeof uuids)[]) => {
      let last: unknown;
      await wait(`${names.join(", ")} at ${commit}`, async () => {
        const all = await devices();
        last = all;
        return names.every((name) => {
          const device = all.find(({ uuid }) => uuid === uuids[name]);
          return device?.release === commit && device.updateStatus === "done";
        });
      }).catch((error: unknown) => {
        throw new Error(
          `${String(error)}; the cloud knows ${JSON.stringify(last)}; ${agents.one.output().slice(-3000)}`,
        );
      });
    };

    /** The container of each service and its image. */
    const containers = async ({ docker }: Board) => {
      const running = await docker.listContainers();
      return Object.fromEntries(
        running.map(({ Id, Labels, Image }) => [Labels["io.balena.service-name"], { Id, Image }]),
      );
    };

    test("all devices run and report a first release", async () => {
      await release("cameras", "r1", web("1"));
      await untilReported("r1", ["one", "two", "three"]);
      expect(Object.keys(await containers(one)).sort()).toEqual(["db", "web"]);
      expect((await devices()).map(({ connected }) => connected)).toEqual([true, true, true]);
    });

    test("a second release keeps the containers of unchanged services", async () => {
      const before = await containers(one);
      await release("cameras", "r2", web("2"));
      await untilReported("r2", ["one", "two", "three"]);
      const after = await containers(one);
      expect(after["web"]?.Id).not.toBe(before["web"]?.Id);
      expect(Object.keys(after).sort()).toEqual(["db", "web"]);
    });

    test("only a pinned device goes back to the first release", async () => {
      await say("pin", uuids.one, "r1");
      await untilReported("r1", ["one"]);
      await untilReported("r2", ["two", "three"]);
      await say("pin", uuids.one, "latest");
      await untilReported("r2", ["one"]);
    });

    test("a variable reaches its services", async () => {
      const before = await containers(two);
      await say("env", "set", "--fleet", "cameras", "--service", "web", "MODE=night");
      await wait("the new environment", async () => {
        const { web } = await containers(two);
        if (!web || web.Id === before["web"]?.Id) return false;
        return (await two.docker.getContainer(web.Id).inspect()).Config.Env.includes("MODE=night");
      });
      expect((await containers(two))["db"]).toEqual(before["db"]);
      expect(JSON.stringify(await type(z.unknown(), "env", "list", "--fleet", "cameras"))).not.toContain("night");
    });

    test("an update waits for a lock, and the cloud's log says so", async () => {
      await wait("two at rest", async () => (await devices()).every(({ updateStatus }) => updateStatus === "done"));
      const lock = two.fileOf(fleetId, "web", "updates.lock");
      writeFileSync(lock, "");
      const before = await containers(two);
      await release("cameras", "r3", web("3"));
      await untilReported("r3", ["one", "three"]);
      await wait("word of the lock", async () =>
        (await log(uuids.two)).some(({ message }) => /lock/i.test(message) && message.includes("web")),
      );
      expect((await containers(two))["web"]).toEqual(before["web"]);
      rmSync(lock);
      await untilReported("r3", ["two"]);
    });

    test("the devices reconnect after a restart of the cloud", async () => {
      await cloud.worker.update((options) => options);
      // The list shows what the cloud heard before its restart; the session of each device knows.
      await wait("all of them", async () => {
        const { text } = await cloud.ask("GET", "/admin/v1/devices?check=true");
        return z
          .array(z.object({ connected: z.boolean() }))
          .parse(JSON.parse(text))
          .every(({ connected }) => connected);
      });
    });

    test("a device goes on without its cloud and then catches up", async () => {
      const before = await containers(one);
      one.link.cut();
      await wait("it is missed", async () =>
        (await devices()).some(({ uuid, connected }) => uuid === uuids.one && !connected),
      );
      await release("cameras", "r4", web("4"));
      await untilReported("r4", ["two", "three"]);
      expect(await containers(one)).toEqual(before);
      one.link.mend();
      await untilReported("r4", ["one"]);
    });

    test("an agent that is killed in the middle of an update completes it after its restart", async () => {
      const before = await containers(two);
      await release("cameras", "r5", web("5"));
      await wait("it begins", async () => (await containers(two))["web"]?.Id !== before["web"]?.Id);
      await agents.two.end("SIGKILL");
      agents.two = await two.startAgent(configs.two);
      await untilReported("r5", ["one", "two", "three"]);
      expect(Object.keys(await containers(two)).sort()).toEqual(["db", "web"]);
    });

    test("each log line has arrived once and in order through all tests", async () => {
      for (const uuid of [uuids.one, uuids.two]) {
        const lives = new Map<string, number[]>();
        for (const { message } of await log(uuid)) {
          const [word, service, version, life = "", n] = message.split(" ");
          if (word !== "count") continue;
          const key = `${service} ${version} ${life}`;
          lives.set(key, [...(lives.get(key) ?? []), Number(n)]);
        }
        expect(lives.size).toBeGreaterThan(5);
        for (const [life, counted] of lives) expect([life, counted]).toEqual([life, counted.map((_, n) => n + 1)]);
      }
    });

    test("removed services leave nothing behind on the devices", async () => {
      await release("cameras", "r6", {});
      for (const board of [one, two])
        await wait("no containers", async () => Object.keys(await containers(board)).length === 0);
      await wait("no locks", async () => !existsSync(two.fileOf(fleetId, "web", "updates.lock")));
    });
  },
);
