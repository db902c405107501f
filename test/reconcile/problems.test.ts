import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { Event } from "../../core/model/event.ts";
import { longestMessage, mostProblems } from "../../core/model/problem.ts";
import type { App } from "../../core/model/target.ts";
import type { CurrentState } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { Problems } from "../../core/reconcile/problems.ts";
import type { Failure, View } from "../../core/reconcile/view.ts";
import { app, created, device, exited, running, target, times } from "./literals.ts";

/** What is wrong, from literals: an observation, the target state and the failures of steps. */

function viewOf(current: CurrentState, ...apps: readonly App[]): View {
  const wanted = target(apps);
  return { current, target: wanted, plan: plan(current, wanted), temporary: new Set() };
}

/** "web crashLoop: It has …", of one round. */
function found(view: View, failures: Readonly<Record<string, readonly Failure[]>> = {}): string[] {
  const problems = new Problems({ emit: () => {} });
  problems.note(view, (subject) => failures[String(subject)] ?? []);
  return sentences(problems);
}

const sentences = (problems: Problems): string[] =>
  problems.list().map(({ service = "-", kind, message }) => `${service} ${kind}: ${message}`);

const web = app({ web: "web:1" });

describe("nothing is wrong", () => {
  test.each<[string, CurrentState]>([
    ["with a service that runs", device([running("web", "web:1")])],
    ["while its image is downloaded", device([], { downloads: new Map([["web:1", { is: "running", percent: 5 }]]) })],
    ["with a service that has been stopped by somebody", device([{ ...exited("web", "web:1"), exitCode: 137 }])],
    ["with one that the engine has restarted long ago", device([{ ...running("web", "web:1"), restarts: 7 }])],
    [
      "with an engine that does not say for which machine an image is",
      device([{ ...exited("web", "web:1"), exitCode: 1 }]),
    ],
  ])("%s", (_, current) => {
    expect(found(viewOf(current, web))).toEqual([]);
  });

  test("with a program that has done its work", () => {
    const once = { restart: "no" };
    const job = app({ job: { image: "job:1", ...once } });
    expect(found(viewOf(device([exited("job", "job:1", once)]), job))).toEqual([]);
  });

  test("with a service that was stopped through the API", () => {
    const once = { restart: "no" };
    const job = app({ job: { image: "job:1", ...once } });
    const stopped = { ...exited("job", "job:1", once), exitCode: 1 };
    expect(found(viewOf(device([stopped], { stoppedNow: new Set(["1/job"]) }), job))).toEqual([]);
    expect(found(viewOf(device([stopped]), job))).toEqual(["job exited: It has exited with exit code 1"]);
  });
});

describe("a crash loop", () => {
  /** The container after this many restarts, of which the last was at `startedAt`. */
  const after = (restarts: number, startedAt: number, more: Partial<Container> = {}): Container => ({
    ...running("web", "web:1", { environment: { TOKEN: "very secret token" } }),
    ...{ restarts, startedAt, finishedAt: startedAt - 100, ...more },
  });
  const withToken = app({ web: { image: "web:1", environment: { TOKEN: "very secret token" } } });

  function lived(...rounds: readonly (readonly [atMs: number, container: Container, line?: string])[]) {
    const events: Event[] = [];
    const problems = new Problems({ emit: (event) => void events.push(event) });
    const seen = rounds.map(([at, container, line]) => {
      const lastLines = new Map(line === undefined ? [] : [[container.id, line]]);
      const now = times.now + at;
      const recheckMs = problems.note(viewOf(device([container], { now, lastLines }), withToken), () => []);
      return { problems: problems.list(), recheckMs };
    });
    return { seen, events };
  }

  const at = (ms: number) => times.now + ms;
  const restarting = { state: "restarting", exitCode: 3 } as const;

  test("is a third exit in a row, with its number, its code and the last line, without secrets", () => {
    const { seen, events } = lived(
      [0, after(0, at(-60_000))],
      [100, after(1, at(-60_000), { ...restarting, finishedAt: at(90) })],
      [300, after(1, at(200))],
      [500, after(2, at(200), { ...restarting, finishedAt: at(400) })],
      [1000, after(3, at(700), { ...restarting, finishedAt: at(900) }), "no database at very secret token\u001b[0m"],
      [2000, after(3, at(1900))],
      [3000, after(4, at(1900), { ...restarting, finishedAt: at(2900) }), "no database"],
    );
    const since = new Date(at(1000)).toISOString();
    const crashLoop = { appId: 1, app: "1", service: "web", kind: "crashLoop", since };
    expect(seen.map(({ problems }) => problems)).toEqual([
      ...[[], [], [], []],
      [{ ...crashLoop, message: "It has exited 3 times, last with exit code 3: no database at (hidden)" }],
      [{ ...crashLoop, message: "It has exited 3 times, last with exit code 3" }],
      [{ ...crashLoop, message: "It has exited 4 times, last with exit code 3: no database" }],
    ]);
    expect(events.map(({ kind }) => kind)).toEqual(["problemFound"]);
  });

  test("is over when the service has run twice as long as before, of which no event of the engine tells", () => {
    const { seen, events } = lived(
      [0, after(0, at(-20_000))],
      [20_000, after(1, at(20_000))],
      [40_000, after(2, at(40_000))],
      [60_000, after(3, at(60_000), { finishedAt: at(59_000) })],
      [100_000, after(3, at(60_000))],
      [139_999, after(3, at(60_000))],
      [140_000, after(3, at(60_000))],
    );
    expect(seen.map(({ problems, recheckMs }) => [problems.length, recheckMs])).toEqual([
      ...[
        [0, undefined],
        [0, undefined],
        [0, undefined],
      ],
      ...[
        [1, 79_800],
        [1, 39_800],
        [0, undefined],
        [0, undefined],
      ],
    ]);
    expect(events.at(-1)).toMatchObject({ kind: "problemEnded", service: "web", lastedMs: 79_999 });
  });

  test("is none when the service runs for long in between, or is stopped", () => {
    const long = lived(
      [0, after(0, at(-1_000_000))],
      [1000, after(1, at(1000))],
      [702_000, after(2, at(702_000))],
      [1_403_000, after(3, at(1_403_000))],
    );
    expect(long.seen.flatMap(({ problems }) => problems)).toEqual([]);
    const stopped = lived(
      [0, after(2, at(-1000), restarting)],
      [100, after(3, at(-1000), restarting)],
      [200, after(3, at(-1000), { state: "exited", exitCode: 143 })],
    );
    expect(stopped.seen.map(({ problems }) => problems.length)).toEqual([0, 1, 0]);
  });

  test("goes on when the agent starts", () => {
    expect(lived([0, after(8, at(-1000), restarting), "boom"]).seen[0]?.problems).toMatchObject([
      { message: "It has exited 8 times, last with exit code 3: boom" },
    ]);
  });
});

describe("an image", () => {
  const failed = (reason: string) =>
    found(
      viewOf(device([], { downloads: new Map([["web:1", { is: "failed", reason, retryAt: times.now + 1 }]]) }), web),
    );

  test.each([
    ["imageNotFound", "manifest for web:1 not found: manifest unknown: manifest unknown"],
    ["registryRefused", "pull access denied for web, repository does not exist or may require 'docker login'"],
    ["registryRefused", "unauthorized: authentication required"],
    ["wrongArchitecture", "no matching manifest for linux/amd64 in the manifest list entries"],
    ["diskFull", "write /var/lib/docker/tmp/GetImageBlob1: no space left on device"],
    ["imageUnavailable", "dial tcp: lookup registry.example: no such host"],
  ])("%s: %s", (kind, reason) => {
    expect(failed(reason)).toEqual([`web ${kind}: Image web:1: ${reason}`]);
  });

  test("stays a problem while its download is tried again", () => {
    const downloads = new Map([["web:1", { is: "running", percent: 0, lastFailure: "no such host" } as const]]);
    expect(found(viewOf(device([], { downloads }), web))).toEqual(["web imageUnavailable: Image web:1: no such host"]);
  });

  test("for another machine is named when its program fails, and not when it runs", () => {
    const config = { ...device([running("web", "web:1")]).imageConfigs.get("web:1"), architecture: "arm64" };
    const withArm = (container: Container, line?: string) => {
      const current = device([container]);
      const [plain] = current.imageConfigs.values();
      if (!plain) throw new Error("no image");
      const imageConfigs = new Map([["web:1", { ...plain, architecture: config.architecture }]]);
      return viewOf({ ...current, imageConfigs, lastLines: new Map(line === undefined ? [] : [["web", line]]) }, web);
    };
    const restarting = { ...running("web", "web:1"), state: "restarting", restarts: 1, exitCode: 1 } as const;
    expect(found(withArm(restarting, "exec /bin/sh: exec format error"))).toEqual([
      "web wrongArchitecture: The image is for arm64, and this machine is amd64: exec /bin/sh: exec format error",
    ]);
    expect(found(withArm(running("web", "web:1")))).toEqual([]);
    const lastLines = new Map([["web", "exec /bin/sh: exec format error"]]);
    expect(found(viewOf(device([restarting], { lastLines }), web))).toEqual([
      "web wrongArchitecture: A program of the image is not for this machine, which is amd64: exec /bin/sh: exec format error",
    ]);
  });
});

describe("a start that the engine refuses", () => {
  const taken =
    "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated";
  const ports = { ports: ["80:8080"] };
  const web80 = app({ web: { image: "web:1", ...ports } });
  const refused = (error: string): Container => ({ ...created("web", "web:1", ports), error });

  test("names the service that has the port", () => {
    const other = running("shop", "shop:1", { ports: ["80:1"] }, { appId: 2 });
    expect(found(viewOf(device([refused(taken), other]), web80, app({ shop: "shop:1" }, { appId: 2 })))).toEqual([
      `web portTaken: Host port 80 is taken by service shop of application fleet: ${taken}`,
    ]);
    const sibling = running("shop", "shop:1", { ports: ["80:1"] });
    expect(found(viewOf(device([refused(taken), sibling]), web80))).toEqual([
      `web portTaken: Host port 80 is taken by service shop: ${taken}`,
    ]);
    expect(found(viewOf(device([refused(taken)]), web80))).toEqual([
      `web portTaken: Host port 80 is taken by another process or container of this machine: ${taken}`,
    ]);
  });

  test("is said once, with the engine's sentence", () => {
    const reason =
      'error gathering device information while adding custom device "/dev/none": no such file or directory';
    const failure: Failure = { is: "failed", message: `Failed to start web: ${reason}`, service: "web", reason };
    expect(found(viewOf(device([refused(reason)]), web80), { 1: [failure] })).toEqual([`web refused: ${reason}`]);
    expect(found(viewOf(device([]), web80), { 1: [failure] })).toEqual([`web refused: Failed to start web: ${reason}`]);
  });

  test("of several services names each, and the device's own steps no application", () => {
    const refusal = (service: string): Failure => ({
      is: "failed",
      message: `Failed to start ${service}: no`,
      service,
      reason: "no",
    });
    const failures = {
      1: [refusal("web"), refusal("db")],
      device: [{ is: "failed", message: "Failed to set the firewall: no" } as const],
    };
    expect(found(viewOf(device([]), app({ web: "web:1", db: "db:1" })), failures)).toEqual([
      "web refused: Failed to start web: no",
      "db refused: Failed to start db: no",
      "- refused: Failed to set the firewall: no",
    ]);
  });
});

test("an update lock names the service that holds it", () => {
  const failure: Failure = { is: "locked", message: "Lockfile exists for { appId: 1, service: db }", service: "db" };
  expect(found(viewOf(device([running("db", "db:1")]), app({ db: "db:2" })), { 1: [failure] })).toEqual([
    "db locked: The update waits: service db holds its update lock (updates.lock or resin-updates.lock in /tmp/balena)",
  ]);
});

test("a service whose healthcheck fails, and a release that this device rejects", () => {
  const unhealthy = { ...running("web", "web:1"), health: "unhealthy" } as const;
  expect(found(viewOf(device([unhealthy]), web))).toEqual(["web unhealthy: Its healthcheck fails"]);
  expect(found(viewOf(device([]), app({ web: "web:1" }, { rejected: "needs a GPU" })))).toEqual([
    "- rejected: needs a GPU",
  ]);
});

test("messages and their number are limited", () => {
  const names = Array.from({ length: mostProblems + 5 }, (_, n) => `s${n}`);
  const failures = names.map((service): Failure => ({ is: "failed", message: "x\n".repeat(1000), service }));
  const problems = new Problems({ emit: () => {} });
  problems.note(viewOf(device([]), web), (subject) => (subject === 1 ? failures : []));
  expect(problems.list()).toHaveLength(mostProblems);
  expect(problems.list()[0]?.message).toMatch(new RegExp(`^(x ){${longestMessage / 2 - 1}}x…$`));
});
