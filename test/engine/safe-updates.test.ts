import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { makeImage, noDocker, noRestart, restartEngine } from "../support/docker.ts";
import {
  agentOnEngine,
  docker,
  environmentOf,
  inspect,
  names,
  pause,
  programOnEngine,
  type Remote,
  type Wish,
} from "./on-the-engine.ts";

/**
 * Bad updates of several applications at once, on a real engine. After each of them, the committed release serves as
 * before, and nothing of the bad release is left.
 */

/** How many bad updates are made, and how often the agent is killed. With more, the tests take longer. */
const updates = Number(process.env["FAIRLEAD_TEST_UPDATES"] ?? 12);
const kills = Number(process.env["FAIRLEAD_TEST_KILLS"] ?? 5);

const image = "fairlead-safe:1";

interface Release {
  readonly commit: string;
  readonly services: Readonly<Record<string, Wish>>;
  readonly networks?: object;
}

const labels = {
  "io.balena.update.http": "8080/page",
  "io.balena.update.monitor": "300ms",
  "io.balena.update.deadline": "1s",
};

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

/** Waits until all updates have ended, in whatever way. */
async function ended(agent: Remote, appIds: Iterable<number>, timeout = 60_000): Promise<void> {
  const open = async () => {
    const states = await Promise.all([...appIds].map(async (appId) => (await updateOf(agent, appId)).state));
    return states.filter((state) => state !== "rejected" && state !== "steady");
  };
  await expect.poll(open, { timeout, interval: 100 }).toEqual([]);
  await expect.poll(async () => (await deviceOf(agent)).update_pending, { timeout, interval: 100 }).toBe(false);
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
  return { networks: networks.toSorted(), containers: found.toSorted((a, b) => (a.Name < b.Name ? -1 : 1)) };
}

/** Asks the server of an application for the number of its release. */
async function pageOf(appId: number): Promise<string> {
  const filters = { label: [`io.balena.app-id=${appId}`, "io.balena.service-name=web"] };
  const [one] = await docker.listContainers({ filters });
  const address = Object.values(one?.NetworkSettings.Networks ?? {})[0]?.IPAddress;
  const answer = await fetch(`http://${address}:8080/page`, { signal: AbortSignal.timeout(5_000) });
  return (await answer.text()).trim();
}

const idOf = async (appId: number, service: string) => {
  const filters = { label: [`io.balena.app-id=${appId}`, `io.balena.service-name=${service}`] };
  return (await docker.listContainers({ filters })).map(({ Id }) => Id);
};

/** All that must be as before when an update has failed. */
async function stateOf(appIds: readonly number[]) {
  const perApp = async (appId: number) => [appId, { ...(await partsOf(appId)), same: await idOf(appId, "same") }];
  return Object.fromEntries(await Promise.all(appIds.map(perApp)));
}

const tags = async () => (await docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []).toSorted();

/** An agent with a committed release of these applications. */
async function served(agent: Remote, appIds: readonly number[]) {
  const good = new Map(appIds.map((appId) => [appId, release(0)]));
  await agent.accept(targetOf(good));
  await ended(agent, appIds);
  for (const appId of appIds) {
    expect(await updateOf(agent, appId)).toMatchObject({ state: "steady", committed: { commit: "c0" } });
    await expect.poll(() => pageOf(appId), { timeout: 20_000 }).toBe("0");
  }
  return { good, before: await stateOf(appIds) };
}

/** Each application serves what it served before, and says why it does not run its target. */
async function expectRestored(
  agent: Remote,
  before: object,
  expected: ReadonlyMap<number, [commit: string, why: RegExp]>,
) {
  for (const [appId, [commit, why]] of expected) {
    expect(await updateOf(agent, appId)).toMatchObject({
      ...{ state: "rejected", committed: { commit: "c0" } },
      failure: { commit, message: expect.stringMatching(why) },
    });
    await expect.poll(() => pageOf(appId), { timeout: 20_000 }).toBe("0");
  }
  expect(await stateOf([...expected.keys()])).toEqual(before);
  expect(await deviceOf(agent)).toEqual({ update_pending: false, update_failed: true });
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
  [
    /^web: it did not get healthy \(unhealthy for /,
    (n) =>
      bad(n, {
        healthcheck: { test: ["CMD", "test", "-e", "/nothing"], interval: "200ms", timeout: "500ms", retries: 1 },
      }),
  ],
  [/^web: its HTTP check did not succeed \(refuses the connection\)/, (n) => bad(n, { command: ["sleep", "1000"] })],
];

describe.skipIf(noDocker !== undefined)("after a bad update", () => {
  beforeAll(makeServer);

  test(
    `the committed release serves: ${updates} updates that show soon that they are bad`,
    async () => {
      const agent = await agentOnEngine();
      const apps = early.map((_, n) => n + 1);
      const untouched = 9;
      const { good, before } = await served(agent, [...apps, untouched]);
      const { [untouched]: neighbour, ...others } = before;
      const tagsBefore = await tags();
      for (let n = 1; n * apps.length <= updates; n++) {
        const tried = new Map(apps.map((appId) => [appId, early[(appId + n) % early.length] ?? early[0]!] as const));
        await agent.accept(
          targetOf(new Map([...good, ...[...tried].map(([appId, [, make]]) => [appId, make(n)] as const)])),
        );
        await ended(agent, apps);
        await expectRestored(agent, others, new Map([...tried].map(([appId, [why]]) => [appId, [`c${n}`, why]])));
        expect(await stateOf([untouched])).toEqual({ [untouched]: neighbour });
      }
      expect(await tags()).toEqual(tagsBefore);
    },
    120_000 + updates * 5_000,
  );

  test("the committed release serves: updates that the engine refuses, or that never get ready", async () => {
    const port = { PortBindings: { "80/tcp": [{ HostPort: String(taken) }] } };
    const holder = await docker.createContainer({ Image: image, ExposedPorts: { "80/tcp": {} }, HostConfig: port });
    onTestFinished(() => holder.remove({ force: true }));
    await holder.start();
    const agent = await agentOnEngine();
    const apps = late.map((_, n) => n + 1);
    const { before } = await served(agent, apps);
    await agent.accept(targetOf(new Map(late.map(([, make], n) => [n + 1, make(1)]))));
    await ended(agent, apps, 100_000);
    await expectRestored(agent, before, new Map(late.map(([why], n) => [n + 1, ["c1", why]])));
  }, 180_000);
});

describe.skipIf(noDocker !== undefined)("a target that is not reached", () => {
  beforeAll(makeServer);

  const silent = (n: number) => bad(n, { command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"] });
  const accept = (agent: Remote, one: Release) => agent.accept(targetOf(new Map([[1, one]])));

  /** The silent release is being watched. */
  async function tried(agent: Remote, n: number): Promise<void> {
    await accept(agent, silent(n));
    await expect.poll(async () => (await updateOf(agent, 1)).state, { timeout: 30_000 }).toBe("trying");
    const isUp = async () => (await inspect(`web_10_1_c${n}`)).State.Running;
    await expect.poll(isUp, { timeout: 30_000 }).toBe(true);
  }

  test("since its image cannot be downloaded, stops nothing", async () => {
    const agent = await agentOnEngine();
    const { before } = await served(agent, [1]);
    const ids = await idOf(1, "web");
    await accept(agent, bad(1, { image: "127.0.0.1:1/gone:1" }));
    await expect
      .poll(() => deviceOf(agent), { timeout: 30_000 })
      .toEqual({ update_pending: true, update_failed: true });
    expect([await idOf(1, "web"), await pageOf(1)]).toEqual([ids, "0"]);
    await accept(agent, release(0));
    await ended(agent, [1]);
    expect([await idOf(1, "web"), await stateOf([1])]).toEqual([ids, before]);
    expect(await deviceOf(agent)).toEqual({ update_pending: false, update_failed: false });
  });

  test("since it is withdrawn, gives way to the committed release, and has not failed", async () => {
    const agent = await agentOnEngine();
    const { before } = await served(agent, [1]);
    await tried(agent, 1);
    await accept(agent, release(0));
    await ended(agent, [1]);
    await expect.poll(() => pageOf(1), { timeout: 20_000 }).toBe("0");
    expect(await stateOf([1])).toEqual(before);
    expect(await deviceOf(agent)).toEqual({ update_pending: false, update_failed: false });
  });

  test("since it is replaced, gives way to the next one, and that to the committed release when it fails", async () => {
    const agent = await agentOnEngine();
    const { before } = await served(agent, [1]);
    const [why, makeBad] = early[0]!;
    await tried(agent, 1);
    await accept(agent, makeBad(2));
    await ended(agent, [1]);
    await expectRestored(agent, before, new Map([[1, ["c2", why]]]));
    await tried(agent, 3);
    await accept(agent, release(4));
    await ended(agent, [1]);
    expect(await updateOf(agent, 1)).toMatchObject({ state: "steady", committed: { commit: "c4" } });
    expect(await pageOf(1)).toBe("4");
  });

  test("since its service says so, gives way to the committed release", async () => {
    const agent = await agentOnEngine();
    const { before } = await served(agent, [1]);
    await tried(agent, 1);
    expect((await agent.post("/v3/apps/1/update/fail", { reason: "no sensor" })).status).toBe(202);
    await ended(agent, [1]);
    await expectRestored(agent, before, new Map([[1, ["c1", /no sensor/]]]));
  });
});

/** The number of milliseconds after which an update is interrupted. */
const anyMoment = () => Math.round(Math.random() * 3_000);

/** One application, whose releases 1, 2, … are good or bad in turn. Whatever interrupts them, each ends whole. */
async function inTurn(agent: Remote, times: number, interrupt: (ms: number) => Promise<Remote>): Promise<void> {
  let { before } = await served(agent, [1]);
  const same = await idOf(1, "same");
  let serves = 0;
  for (let n = 1; n <= times; n++) {
    const [, makeBad] = early[(n >> 1) % early.length] ?? early[0]!;
    const isGood = n % 2 === 0;
    const ms = anyMoment();
    await agent.accept(targetOf(new Map([[1, isGood ? release(n) : makeBad(n)]])));
    agent = await interrupt(ms);
    await ended(agent, [1]);
    const what = `release ${n}, interrupted after ${ms} ms`;
    if (isGood) [serves, before] = [n, await stateOf([1])];
    expect(await updateOf(agent, 1), what).toMatchObject({
      state: isGood ? "steady" : "rejected",
      committed: { commit: `c${serves}` },
    });
    await expect.poll(() => pageOf(1).catch(String), { timeout: 20_000, message: what }).toBe(String(serves));
    expect(await stateOf([1]), what).toEqual(before);
    expect(await idOf(1, "same"), what).toEqual(same);
    expect(await names(), what).toEqual(["same_12_1", "task_11_1", "web_10_1"].map((name) => `${name}_c${serves}`));
    expect((await environmentOf(`task_11_1_c${serves}`))["N"], what).toBe(String(serves));
  }
}

describe.skipIf(noDocker !== undefined)("an update in which the agent is killed at any moment", () => {
  beforeAll(makeServer);

  test(
    `ends whole: ${kills} times`,
    async () => {
      const { start } = await programOnEngine();
      let program = await start();
      await inTurn(program, kills, async (ms) => {
        await pause(ms);
        await program.end("SIGKILL");
        return (program = await start());
      });
    },
    60_000 + kills * 15_000,
  );
});

describe.skipIf(noRestart !== undefined)("an update in which the engine restarts at any moment", () => {
  beforeAll(makeServer);

  test("ends whole", async () => {
    const agent = await agentOnEngine();
    await inTurn(agent, 4, async (ms) => {
      await pause(ms);
      await restartEngine?.();
      return agent;
    });
  }, 240_000);
});
