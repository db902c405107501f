import { beforeAll, describe, expect, onTestFailed, onTestFinished, test } from "vitest";
import * as z from "zod";
import { oneByOne } from "../../core/state/one-by-one.ts";
import { makeImage, noDocker, noRestart, restartEngine } from "../support/docker.ts";
import {
  agentOnEngine,
  docker,
  inspect,
  pause,
  programOnEngine,
  remote,
  type Remote,
  type Wish,
} from "./on-the-engine.ts";

/**
 * Bad updates of several applications at once, on a real engine. After each of them, the committed release serves as
 * before, and nothing of the bad release is left.
 */

/** How many bad updates are made, and how often the agent is killed. With more, the tests take longer. */
const updates = Number(process.env["FAIRLEAD_TEST_UPDATES"] ?? 24);
const kills = Number(process.env["FAIRLEAD_TEST_KILLS"] ?? 30);

const image = "fairlead-safe:1";

interface Release {
  readonly commit: string;
  readonly services: Readonly<Record<string, Wish>>;
  readonly networks?: object;
}

const labels = {
  "io.balena.update.http": "8080/page",
  "io.balena.update.monitor": "300ms",
  "io.balena.update.deadline": "20s",
};

const ungated = { "io.balena.update.deadline": "20s" };

/** A release of a server with a task before it, and of a program that is the same in all releases. */
const release = (n: number, server: object = {}, task: object = {}): Release => ({
  commit: `c${n}`,
  services: {
    web: {
      ...{ image, environment: { N: String(n) }, labels },
      ...{ depends_on: { task: { condition: "service_completed_successfully" } }, ...server },
    },
    task: { image, restart: "no", environment: { N: String(n) }, command: ["sh", "-c", "exit 0"], ...task },
    same: { image },
  },
});

/** A release that also brings a service and a network, of which nothing may be left. */
const bad = (n: number, server: object, task?: object): Release => {
  const { services, ...others } = release(n, { networks: ["default", "extra"], ...server }, task);
  return { ...others, networks: { extra: {} }, services: { ...services, more: { image, environment: { N: `${n}` } } } };
};

/** The target state of a device with these applications. */
const targetOf = (apps: ReadonlyMap<number, Release>): object => ({
  local: {
    name: "kitchen",
    config: { SUPERVISOR_SAFE_UPDATES: "on" },
    apps: Object.fromEntries(
      [...apps].map(([appId, { commit, services, networks = {} }]) => [
        String(appId),
        {
          ...{ name: `fleet${appId}`, commit, releaseId: 1, networks, volumes: {} },
          services: Object.fromEntries(
            Object.entries(services).map(([serviceName, wish], index) => {
              const id = appId * 10 + index;
              const ids = { serviceName, serviceId: id, imageId: id };
              return [String(id), { environment: {}, labels: {}, running: true, ...ids, ...wish }];
            }),
          ),
        },
      ]),
    ),
  },
});

const Update = z.object({
  state: z.string(),
  committed: z.object({ commit: z.string() }).nullable(),
  failure: z.object({ commit: z.string(), message: z.string() }).optional(),
});
const Device = z.object({ update_pending: z.boolean(), update_failed: z.boolean() });

const deviceOf = async (agent: Remote) => Device.parse(await (await agent.get("/v1/device")).json());
const updateOf = async (agent: Remote, appId: number) =>
  Update.parse(await (await agent.get(`/v3/apps/${appId}/update`)).json());

/** Whether an answer did not arrive: the agent was killed. */
const isCut = (error: unknown) => error instanceof TypeError;

/** Repeats a request until an agent that lives answers it. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isCut(error)) throw error;
      await pause(50);
    }
  }
}

/** Changes the target of one application after the other. */
function createTarget(agent: Remote) {
  const wanted = new Map<number, Release>();
  const inOrder = oneByOne();
  return (releases: Iterable<readonly [number, Release]>): Promise<void> => {
    for (const [appId, one] of releases) wanted.set(appId, one);
    return inOrder(() => untilAnswered(() => agent.accept(targetOf(wanted))));
  };
}

/** Waits until the update of an application has ended, in whatever way. */
async function ended(agent: Remote, appId: number, timeout = 180_000): Promise<void> {
  const state = async () => (await untilAnswered(() => updateOf(agent, appId))).state;
  await expect.poll(state, { timeout, interval: 200 }).toMatch(/^(rejected|steady)$/);
}

/** What an application consists of on the engine, but for what differs between equal containers. */
async function partsOf(appId: number) {
  const filters = { label: [`io.balena.app-id=${appId}`] };
  const containers = await docker.listContainers({ all: true, filters });
  const networks = (await docker.listNetworks()).map(({ Name }) => Name).filter((name) => name.startsWith(`${appId}_`));
  const found = await Promise.all(
    containers.map(async ({ Id }) => {
      const { Name, Image, Config, HostConfig, NetworkSettings, State } = await inspect(Id);
      const { Hostname: _, ...config } = Config;
      const { Running: running, ExitCode: code } = State;
      // The engine's words for none, before it restarts and after.
      const { Dns, DnsOptions, DnsSearch, ...others } = HostConfig;
      const host = { ...others, dns: [Dns ?? [], DnsOptions ?? [], DnsSearch ?? []] };
      return { Name, Image, config, host, networks: Object.keys(NetworkSettings.Networks), running, code };
    }),
  );
  const same = containers.filter(({ Labels }) => Labels["io.balena.service-name"] === "same").map(({ Id }) => Id);
  return { networks: networks.toSorted(), containers: found.toSorted((a, b) => (a.Name < b.Name ? -1 : 1)), same };
}

/** Asks the server of an application for the number of its release. */
async function pageOf(appId: number): Promise<string> {
  const filters = { label: [`io.balena.app-id=${appId}`, "io.balena.service-name=web"] };
  const [one] = await docker.listContainers({ filters });
  const address = Object.values(one?.NetworkSettings.Networks ?? {})[0]?.IPAddress;
  const answer = await fetch(`http://${address}:8080/page`, { signal: AbortSignal.timeout(5_000) });
  return (await answer.text()).trim();
}

const expectPage = (appId: number, page: number) =>
  expect.poll(() => pageOf(appId).catch(String), { timeout: 20_000 }).toBe(String(page));

const tags = async () => (await docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []).toSorted();

/** What serves an application, and how. */
interface Serving {
  readonly n: number;
  readonly parts: Awaited<ReturnType<typeof partsOf>>;
}

/** Waits until the update to a release has ended, which must be committed and serve. */
async function committed(agent: Remote, appId: number, n: number): Promise<Serving> {
  const state = async () => {
    const { state, committed, failure } = await untilAnswered(() => updateOf(agent, appId));
    return [state, committed?.commit, failure?.message];
  };
  await expect.poll(state, { timeout: 180_000, interval: 200 }).toEqual(["steady", `c${n}`, undefined]);
  await expectPage(appId, n);
  const parts = await partsOf(appId);
  const names = ["same", "task", "web"].map((name) => `/${name}_${appId}${ids[name]}_1_c${n}`);
  expect(parts.containers.map(({ Name }) => Name)).toEqual(names);
  for (const { config } of parts.containers.slice(1)) expect(config.Env).toContain(`N=${n}`);
  return { n, parts };
}

const ids: Readonly<Record<string, number>> = { web: 0, task: 1, same: 2 };

/** The update has ended and failed, and the release from before serves as before. Resolves with the reason. */
async function expectRestored(agent: Remote, appId: number, { n, parts }: Serving, commit: string): Promise<string> {
  const update = await untilAnswered(() => updateOf(agent, appId));
  expect(update, JSON.stringify(update)).toMatchObject({
    ...{ state: "rejected", committed: { commit: `c${n}` } },
    failure: { commit },
  });
  await expectPage(appId, n);
  expect(await partsOf(appId)).toEqual(parts);
  return update.failure?.message ?? "";
}

/** Runs one function for each application at once. Says at once what went wrong, and throws it when all have ended. */
async function forEach(appIds: readonly number[], act: (appId: number) => Promise<void>): Promise<void> {
  const faults: string[] = [];
  const run = (appId: number) =>
    act(appId).catch((error: unknown) => {
      faults.push(`${appId}: ${String(error)}`);
      process.stdout.write(`${faults.at(-1)}\n`);
    });
  await Promise.all(appIds.map(run));
  expect(faults).toEqual([]);
}

const makeServer = () =>
  makeImage(
    docker,
    image,
    `echo "$N" > /tmp/page; /bin/busybox httpd -p 8080 -h /tmp
    trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done`,
    ['RUN ["/bin/busybox", "sh", "-c", "echo garbage > /garbage; /bin/busybox chmod 755 /garbage"]'],
  );

type Kind = readonly [why: RegExp, release: (n: number) => Release];

/** Kinds of bad releases that show soon that they are bad. */
const early: readonly Kind[] = [
  [/^web: it did not stay up \(has exited \d+ times/, (n) => bad(n, { command: ["sh", "-c", "exit 1"] })],
  [/^web: it did not stay up \(has exited \d+ times/, (n) => bad(n, { command: ["sh", "-c", "sleep 1; exit 7"] })],
  [
    /^task: it did not complete successfully \(has exited with code 3\)/,
    (n) => bad(n, {}, { command: ["sh", "-c", "exit 3"] }),
  ],
  // A program for another machine. The engine restarts it, too.
  [/^web: it did not stay up \(has exited \d+ times/, (n) => bad(n, { command: ["/garbage"] })],
];

const taken = 18_099;

/** Kinds that only the deadline ends. */
const late: readonly Kind[] = [
  [/no-such-program/, (n) => bad(n, { command: ["no-such-program"] })],
  [/18099/, (n) => bad(n, { ports: [`${taken}:8080`] })],
  [/no-such-device/, (n) => bad(n, { devices: ["/dev/no-such-device:/dev/x"] })],
  // The engine does not even create it.
  [/[Mm]inimum memory limit/, (n) => bad(n, { mem_limit: "1m" })],
  // The same without gates.
  [/[Mm]inimum memory limit/, (n) => bad(n, { labels: ungated, mem_limit: "1m" })],
  [/no-such-program/, (n) => bad(n, { labels: ungated, command: ["no-such-program"] })],
  [
    /^web: it did not get healthy \(unhealthy for /,
    (n) =>
      bad(n, {
        healthcheck: { test: ["CMD", "test", "-e", "/nothing"], interval: "200ms", timeout: "500ms", retries: 1 },
      }),
  ],
  // On a busy machine, the network of a new container may not answer at all at first.
  [
    /^web: its HTTP check did not succeed \((refuses the connection|cannot be reached)\)/,
    (n) => bad(n, { command: ["sleep", "1000"] }),
  ],
];

const kinds = [...early, ...late];

describe.skipIf(noDocker !== undefined)("after a bad update", () => {
  beforeAll(makeServer);

  test(
    `the committed release serves: ${updates} updates of ${kinds.length} kinds`,
    async () => {
      const port = { PortBindings: { "80/tcp": [{ HostPort: String(taken) }] } };
      const holder = await docker.createContainer({ Image: image, ExposedPorts: { "80/tcp": {} }, HostConfig: port });
      onTestFinished(() => holder.remove({ force: true }));
      await holder.start();
      const agent = await agentOnEngine();
      const accept = createTarget(agent);
      const apps = Array.from({ length: 12 }, (_, n) => n + 1);
      const untouched = 20;
      await accept([...apps, untouched].map((appId) => [appId, release(0)]));
      const neighbour = await committed(agent, untouched, 0);
      const serving = new Map<number, Serving>();
      await forEach(apps, async (appId) => void serving.set(appId, await committed(agent, appId, 0)));
      const tagsBefore = await tags();
      let made = 0;
      const otherReasons: string[] = [];
      await forEach(apps, async (appId) => {
        while (made < updates) {
          const n = ++made;
          const [why, makeBad] = kinds[n % kinds.length]!;
          await accept([[appId, makeBad(n)]]);
          await ended(agent, appId);
          const reason = await expectRestored(agent, appId, serving.get(appId)!, `c${n}`);
          if (!why.test(reason)) otherReasons.push(`c${n}: ${reason} (not ${why})`);
        }
      });
      expect(otherReasons).toEqual([]);
      expect(await partsOf(untouched)).toEqual(neighbour.parts);
      expect(await tags()).toEqual(tagsBefore);
      expect(await deviceOf(agent)).toEqual({ update_pending: false, update_failed: true });
    },
    120_000 + updates * 10_000,
  );
});

describe.skipIf(noDocker !== undefined)("a target that is not reached", () => {
  beforeAll(makeServer);

  const silent = (n: number) => bad(n, { command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"] });

  /** An agent whose committed release is number 0. */
  async function served() {
    const agent = await agentOnEngine();
    const target = createTarget(agent);
    const accept = (one: Release) => target([[1, one]]);
    await accept(release(0));
    /** The silent release is being watched. */
    const tried = async (n: number) => {
      await accept(silent(n));
      await expect.poll(async () => (await updateOf(agent, 1)).state, { timeout: 30_000 }).toBe("trying");
      const isUp = async () => (await inspect(`web_10_1_c${n}`)).State.Running;
      await expect.poll(isUp, { timeout: 30_000 }).toBe(true);
    };
    return { agent, accept, tried, before: await committed(agent, 1, 0) };
  }

  test("since its image cannot be downloaded, stops nothing", async () => {
    const { agent, accept, before } = await served();
    const { Id } = await inspect("web_10_1_c0");
    await accept(bad(1, { image: "127.0.0.1:1/gone:1" }));
    await expect
      .poll(() => deviceOf(agent), { timeout: 30_000 })
      .toEqual({ update_pending: true, update_failed: true });
    expect([(await inspect("web_10_1_c0")).Id, await pageOf(1)]).toEqual([Id, "0"]);
    await accept(release(0));
    expect(await committed(agent, 1, 0)).toEqual(before);
    expect((await inspect("web_10_1_c0")).Id).toBe(Id);
    expect(await deviceOf(agent)).toEqual({ update_pending: false, update_failed: false });
  });

  test("since it is withdrawn, gives way to the committed release, and has not failed", async () => {
    const { agent, accept, tried, before } = await served();
    await tried(1);
    await accept(release(0));
    expect(await committed(agent, 1, 0)).toEqual(before);
    expect(await deviceOf(agent)).toEqual({ update_pending: false, update_failed: false });
  });

  test("since it is replaced, gives way to the next one, and that to the committed release when it fails", async () => {
    const { agent, accept, tried, before } = await served();
    const [why, makeBad] = early[0]!;
    await tried(1);
    await accept(makeBad(2));
    await ended(agent, 1);
    expect(await expectRestored(agent, 1, before, "c2")).toMatch(why);
    await tried(3);
    await accept(release(4));
    await committed(agent, 1, 4);
  });

  test("since its service says so, gives way to the committed release", async () => {
    const { agent, tried, before } = await served();
    await tried(1);
    expect((await agent.post("/v3/apps/1/update/fail", { reason: "no sensor" })).status).toBe(202);
    await ended(agent, 1);
    expect(await expectRestored(agent, 1, before, "c1")).toMatch(/no sensor/);
  });
});

/** What interrupts an update again and again until there is no more of it. */
interface Interruptions {
  readonly isOver: () => boolean;
  /** Why a good release may fail since it was interrupted; undefined: it must not. */
  readonly excuse?: RegExp;
}

/** Applications whose releases 1, 2, … are good or bad in turn. Whatever interrupts them, each ends whole. */
async function inTurn(agent: Remote, appIds: readonly number[], { isOver, excuse }: Interruptions): Promise<void> {
  const accept = createTarget(agent);
  await accept(appIds.map((appId) => [appId, release(0)]));
  await forEach(appIds, async (appId) => {
    let serving = await committed(agent, appId, 0);
    const { same } = serving.parts;
    for (let n = 1; ; n++) {
      const isLast = isOver();
      const isGood = isLast || (n + appId) % 2 === 0;
      const [, makeBad] = early[n % early.length]!;
      await accept([[appId, isGood ? release(n) : makeBad(n)]]);
      await ended(agent, appId);
      const { state, failure } = await untilAnswered(() => updateOf(agent, appId));
      const hasCommitted = isGood && !(state === "rejected" && !isLast && excuse?.test(failure?.message ?? ""));
      if (hasCommitted) serving = await committed(agent, appId, n);
      else await expectRestored(agent, appId, serving, `c${n}`);
      expect(serving.parts.same).toEqual(same);
      if (isLast) return;
    }
  });
}

describe.skipIf(noDocker !== undefined)("an update in which the agent is killed at any moment", () => {
  beforeAll(makeServer);

  test(
    `ends whole: ${kills} times`,
    async () => {
      const { start, url } = await programOnEngine();
      let program = await start();
      let killed = 0;
      const kill = async () => {
        for (; killed < kills; killed++) {
          await pause(Math.random() * 2_000);
          await program.end("SIGKILL");
          program = await start();
        }
      };
      const updates = inTurn(remote(url), [1, 2, 3], {
        isOver: () => killed >= kills,
        excuse: /restarted 3 times/,
      });
      await Promise.all([kill(), updates]);
    },
    120_000 + kills * 15_000,
  );
});

describe.skipIf(noRestart !== undefined)("an update in which the engine restarts at any moment", () => {
  beforeAll(makeServer);

  test("ends whole", async () => {
    const agent = await agentOnEngine();
    onTestFailed(() => void process.stdout.write(agent.said.join("\n")));
    let restarts = 0;
    const restart = async () => {
      for (; restarts < 4; restarts++) {
        await pause(3_000 + Math.random() * 6_000);
        await restartEngine?.();
      }
    };
    await Promise.all([restart(), inTurn(agent, [1], { isOver: () => restarts >= 4 })]);
  }, 240_000);
});
