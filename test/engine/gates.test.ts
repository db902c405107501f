import { rm } from "node:fs/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { findApp } from "../../core/model/target.ts";
import type { GateKind, GateState } from "../../core/model/update.ts";
import { systemClock as clock } from "../../core/ports/clock.ts";
import { GateWatch } from "../../core/reconcile/gate-watch.ts";
import { judgeGates } from "../../core/reconcile/judge-gates.ts";
import { askedOf, Probes } from "../../core/reconcile/probes.ts";
import { httpProbe } from "../../runtimes/node/http-probe.ts";
import { makeImage, noDocker } from "../support/docker.ts";
import { agentOnEngine, docker, inspect, names, pause, target, touch, type OnEngine } from "./on-the-engine.ts";

const image = "fairlead-gates:1";
const httpd = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/tmp/balena"];

/** Watches the gates of an agent's application in rounds of its own. Resolves with the first state that fits. */
function watchGates({ supervisor }: OnEngine) {
  const watch = new GateWatch();
  const probes = new Probes({ clock, probe: httpProbe, onChange: () => {} });
  onTestFinished(() => probes.stop());
  const judge = async (): Promise<readonly GateState[]> => {
    const { current, target: wanted } = await supervisor.loop.look({ fresh: false });
    const app = findApp(wanted, 1);
    if (!app) return [];
    probes.watch(askedOf(app, current.containers));
    const facts = watch.note(current.containers, clock.monotonic(), probes.answers());
    return judgeGates(app, current.containers, facts, {
      ...{ confirmed: [], cloudReached: undefined, stoppedNow: current.stoppedNow },
    });
  };
  return async (gate: GateKind, fits: (state: GateState) => boolean): Promise<GateState> => {
    for (let since = clock.monotonic(); clock.monotonic() - since < 60_000; await pause(50)) {
      const found = (await judge()).find((one) => one.gate === gate);
      if (found && fits(found)) return found;
    }
    throw new Error(`the gate ${gate} is ${JSON.stringify((await judge()).find((one) => one.gate === gate))}`);
  };
}

const isOpen = ({ is }: GateState) => is === "open";
const says = (pattern: RegExp) => (state: GateState) => pattern.test(state.is === "open" ? "" : state.detail);

describe.skipIf(noDocker !== undefined)("the gates of a release", () => {
  beforeAll(() => makeImage(docker, image));

  test("health that flaps opens its gate only after it has lasted", async () => {
    const agent = await agentOnEngine();
    const gate = watchGates(agent);
    const healthcheck = { test: ["CMD", "test", "-e", "/tmp/balena/ready"], interval: "200ms", retries: 1 };
    await agent.accept(target({ one: { image, healthcheck, labels: { "io.balena.update.monitor": "4s" } } }));
    const ready = agent.shared("one", "ready");
    await gate("healthy", says(/^unhealthy for /));
    await touch(ready);
    await gate("healthy", says(/^healthy for 1 s of 4 s$/));
    await rm(ready);
    await gate("healthy", says(/^unhealthy for /));
    const again = clock.monotonic();
    await touch(ready);
    await gate("healthy", isOpen);
    expect(clock.monotonic() - again).toBeGreaterThanOrEqual(4_000);
  });

  const homes: readonly [string, object][] = [
    ["on a network", {}],
    ["on the network of the host", { network_mode: "host" }],
    ["in the network of another service", { network_mode: "service:home" }],
  ];
  test.each(homes)("a server %s is asked on its own address", async (_, fields) => {
    const agent = await agentOnEngine();
    const gate = watchGates(agent);
    const labels = { "io.balena.update.http": "8080/healthz", "io.balena.update.monitor": "2s" };
    await agent.accept(target({ home: { image }, one: { image, command: httpd, labels, ...fields } }));
    await gate("http", says(/^answers 404$/));
    await touch(agent.shared("one", "healthz"));
    await gate("http", says(/^answers 200 for /));
    await gate("http", isOpen);
    await rm(agent.shared("one", "healthz"));
    await gate("http", says(/^answers 404$/));
  });

  test("a server that is not there refuses the connection", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image, labels: { "io.balena.update.http": "8080/" } } }));
    await watchGates(agent)("http", says(/^refuses the connection$/));
  });

  test("a program that ends again and again for the monitoring time fails", async () => {
    const agent = await agentOnEngine();
    const labels = { "io.balena.update.monitor": "2s" };
    await agent.accept(target({ one: { image, labels, command: ["sh", "-c", "sleep 1; exit 7"] } }));
    const failed = await watchGates(agent)("stay-up", ({ is }) => is === "failed");
    expect(failed).toMatchObject({ detail: expect.stringMatching(/^has exited [34] times, last with code 7$/) });
  });

  test("a program that ends several times until another one is ready has not failed", async () => {
    const agent = await agentOnEngine();
    const gate = watchGates(agent);
    const labels = { "io.balena.update.monitor": "20s" };
    const waits = "test -e /tmp/balena/healthz || exit 1; trap 'exit 0' TERM; while :; do sleep 1; done";
    await agent.accept(target({ one: { image, labels, command: ["sh", "-c", waits] } }));
    await gate("stay-up", says(/^has exited [3-9] times/));
    await touch(agent.shared("one", "healthz"));
    const state = await gate("stay-up", (one) => isOpen(one) || one.is === "failed");
    expect(state.is).toBe("open");
  });

  test("a program that was stopped and started on request has not failed", async () => {
    const agent = await agentOnEngine();
    const gate = watchGates(agent);
    const labels = { "io.balena.update.monitor": "3s" };
    await agent.accept(target({ one: { image, labels } }));
    const id = (await agent.settled())["one"] ?? "";
    for (let n = 0; n < 3; n++) {
      await gate("stay-up", says(/^up for /));
      await docker.getContainer(id).restart({ t: 1 });
    }
    const state = await gate("stay-up", (one) => isOpen(one) || one.is === "failed");
    expect(state.is).toBe("open");
  });

  test("a task that fails, fails its gate at once", async () => {
    const agent = await agentOnEngine();
    const task = { image, restart: "no", labels: { "io.balena.update.monitor": "0s" } };
    await agent.accept(target({ one: { ...task, command: ["sh", "-c", "sleep 1; exit 3"] } }));
    const state = await watchGates(agent)("one-shot", ({ is }) => is === "failed");
    expect(state).toMatchObject({ detail: "has exited with code 3" });
  });
});

const addressOf = async (id: string): Promise<string> =>
  Object.values((await inspect(id)).NetworkSettings.Networks)[0]?.IPAddress ?? "";

/**
 * Asks these addresses a hundred times a second, one after the other until one serves; counts when none did. A busy machine
 * may take seconds to answer.
 */
function load(addresses: readonly string[]) {
  const asked = { times: 0, lost: 0 };
  const pending = new Set<Promise<void>>();
  const serves = (address: string) =>
    fetch(`http://${address}:8080/healthz`, { signal: AbortSignal.timeout(10_000) }).then(
      async (response) => (await response.text(), response.ok),
      () => false,
    );
  const ask = async () => {
    asked.times++;
    for (const address of addresses) if (await serves(address)) return;
    asked.lost++;
  };
  const timer = setInterval(() => {
    const one = ask().finally(() => pending.delete(one));
    pending.add(one);
  }, 10);
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(pending);
    return asked;
  };
  onTestFinished(() => void stop());
  return stop;
}

describe.skipIf(noDocker !== undefined)("under a hundred requests a second, a hand-over loses none", () => {
  beforeAll(() => makeImage(docker, image));

  const release = (commit: string, command: readonly string[], labels: object = {}) =>
    target(
      {
        one: {
          ...{ image, command, stop_grace_period: "1s" },
          labels: { "io.balena.update.strategy": "hand-over", "io.balena.update.handover-timeout": "1000", ...labels },
        },
      },
      { commit, config: { SUPERVISOR_SAFE_UPDATES: "on" } },
    );
  const gated = { "io.balena.update.http": "8080/healthz", "io.balena.update.monitor": "2s" };

  /** An agent whose service serves, the service's container, and the requests to it, and to those that follow. */
  async function serving() {
    const agent = await agentOnEngine();
    await agent.accept(release("c1", httpd));
    const { one = "" } = await agent.settled();
    await touch(agent.shared("one", "healthz"));
    const before = await inspect(one);
    const addresses = [await addressOf(one)];
    const isServing = () => httpProbe.get(`http://${addresses[0]}:8080/healthz`, AbortSignal.timeout(900));
    await expect.poll(isServing).toEqual({ status: 200 });
    const stop = load(addresses);
    /** The successor has started, and gets requests that its predecessor does not answer. */
    const succeeded = async () => {
      await expect.poll(names, { timeout: 60_000 }).toEqual(["old_one_1_1_c1", "one_1_1_c2"]);
      await expect.poll(() => addressOf("one_1_1_c2"), { timeout: 60_000 }).not.toBe("");
      addresses.push(await addressOf("one_1_1_c2"));
    };
    const isAsBefore = async () => {
      const after = await inspect(one);
      expect([after.Name, after.State.StartedAt, after.HostConfig.RestartPolicy]).toEqual([
        ...["/one_1_1_c1", before.State.StartedAt],
        before.HostConfig.RestartPolicy,
      ]);
    };
    const lost = async () => {
      const { times, lost: none } = await stop();
      expect(times).toBeGreaterThan(50);
      return none;
    };
    return { agent, one, succeeded, isAsBefore, lost };
  }

  test("that is withdrawn: the old container runs on, with its name and its restart policy", async () => {
    const { agent, one, succeeded, isAsBefore, lost } = await serving();
    await agent.accept(release("c2", ["sleep", "1000"], gated));
    await succeeded();
    await agent.accept(release("c1", httpd));
    expect(await agent.settled()).toEqual({ one });
    expect(await lost()).toBe(0);
    await isAsBefore();
  });

  test("to a good successor that takes longer than the hand-over may", async () => {
    const { agent, one, succeeded, lost } = await serving();
    await agent.accept(release("c2", ["sh", "-c", `sleep 4; exec ${httpd.join(" ")}`], gated));
    await succeeded();
    await pause(3000);
    expect(await names()).toEqual(["old_one_1_1_c1", "one_1_1_c2"]);
    expect((await agent.settled())["one"]).not.toBe(one);
    await expect.poll(names, { timeout: 60_000 }).toEqual(["one_1_1_c2"]);
    await pause(500);
    expect(await lost()).toBe(0);
  });

  test("to a bad successor: at the deadline, the old container is taken back", async () => {
    const { agent, one, succeeded, isAsBefore, lost } = await serving();
    const bad = { ...gated, "io.balena.update.deadline": "1s" };
    await agent.accept(release("c2", httpd.with(-1, "/etc"), bad));
    await succeeded();
    await expect.poll(names, { timeout: 90_000 }).toEqual(["one_1_1_c1"]);
    expect((await inspect("one_1_1_c1")).Id).toBe(one);
    await pause(500);
    expect(await lost()).toBe(0);
    await isAsBefore();
  });
});
