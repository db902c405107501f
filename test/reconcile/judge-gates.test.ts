import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { App } from "../../core/model/target.ts";
import type { Gates, WatchedContainer } from "../../core/model/update.ts";
import { deadlineOf, gatedServices, isGated, judgeGates, recheckMs } from "../../core/reconcile/judge-gates.ts";
import { app, aside, created, exited, running } from "./literals.ts";

/** The gates of a release: the release, its containers and what was watched of them, as literals; then the gates. */

const healthcheck = { healthcheck: { test: ["CMD", "check"] } };
const healthy = { ...running("web", "web:1", healthcheck), health: "healthy" as const };
const web = running("web", "web:1");
const checked = app({ web: { image: "web:1", ...healthcheck } });

/** The release with these gates of the service web. */
const gated = (gates: Gates, release: App = app({ web: "web:1" })): App => ({
  ...release,
  services: release.services.map((service) => (service.name === "web" ? { ...service, gates } : service)),
});

const told = { confirmed: [], cloudReached: undefined, stoppedNow: new Set<string>() };

/** The gates as lines. */
function gates(
  release: App,
  containers: readonly Container[],
  watched: Readonly<Record<string, Partial<WatchedContainer>>> = {},
  more: Partial<Parameters<typeof judgeGates>[3]> = {},
): string[] {
  const watch = new Map(Object.entries(watched).map(([id, one]) => [id, { upForMs: 0, exits: 0, ...one }]));
  return judgeGates(release, containers, watch, { ...told, ...more }).map(
    ({ service, gate, ...verdict }) =>
      `${service} ${gate} ${verdict.is}${verdict.is === "open" ? "" : `: ${verdict.detail}`}`,
  );
}

/** The line of this gate. */
const one = (gate: string, ...given: Parameters<typeof gates>): string | undefined =>
  gates(...given).find((line) => line.includes(` ${gate} `));

describe("started", () => {
  const rows: readonly [string, readonly Container[], string][] = [
    ["without a container", [], "closed: has no container yet"],
    ["created", [created("web", "web:1")], "closed: has not started yet"],
    ["running", [web], "open"],
    ["has run", [exited("web", "web:1")], "open"],
    ["only that of another application runs", [{ ...web, appId: 2 }], "closed: has no container yet"],
    ["only the predecessor runs", [aside(web)], "closed: has no container yet"],
    [
      "refused by the engine, whose words may quote a variable",
      [{ ...created("web", "web:1", { environment: { TOKEN: "0123456789" } }), error: "bad TOKEN=0123456789" }],
      "closed: cannot start: bad TOKEN=(hidden)",
    ],
  ];
  test.each(rows)("%s", (_, containers, expected) => {
    expect(gates(app({ web: "web:1" }), containers)).toEqual([`web started ${expected}`]);
  });

  test("is the only gate of a service without gates, and needs no time", () => {
    expect(gates(app({ web: "web:1" }), [web], { web: { upForMs: 0 } })).toEqual(["web started open"]);
  });

  test("a service that is not to run needs only its container", () => {
    const wanted = app({ web: { image: "web:1", running: false, ...healthcheck } });
    expect(gates(wanted, [created("web", "web:1")])).toEqual(["web started open"]);
    expect(gates(wanted, [])).toEqual(["web started closed: has no container yet"]);
  });

  test("a service that was stopped through the API holds nothing up", () => {
    const stoppedNow = new Set(["1/web"]);
    expect(gates(checked, [exited("web", "web:1", healthcheck)], {}, { stoppedNow })).toEqual(["web started open"]);
  });
});

describe("healthy", () => {
  const rows: readonly [string, Container, Partial<WatchedContainer>, string][] = [
    ["long enough", healthy, { healthyForMs: 10_000 }, "open"],
    ["not long enough", healthy, { healthyForMs: 9_999 }, "closed: healthy for 9 s of 10 s"],
    ["not yet", { ...healthy, health: "starting" }, {}, "closed: its healthcheck has given no result yet"],
    ["never fails early", healthy, { unhealthyForMs: 99_000 }, "closed: unhealthy for 1 min"],
    ["flaps", healthy, { unhealthyForMs: 12_000 }, "closed: unhealthy for 12 s"],
    [
      "restarts",
      { ...healthy, state: "restarting" },
      { exits: 1, code: 3 },
      "closed: has exited once, last with code 3",
    ],
    ["stands still", { ...healthy, state: "paused" }, {}, "closed: is paused"],
    ["is down", { ...healthy, state: "exited", exitCode: 4 }, {}, "closed: has exited with code 4"],
    ["is not started", { ...healthy, state: "created", startedAt: 0 }, {}, "closed: has not started yet"],
  ];
  test.each(rows)("%s", (_, container, watched, expected) => {
    expect(one("healthy", checked, [container], { web: watched })).toBe(`web healthy ${expected}`);
  });

  test("counts if only the image has a healthcheck", () => {
    expect(one("healthy", app({ web: "web:1" }), [healthy], { web: { healthyForMs: 10_000 } })).toBe(
      "web healthy open",
    );
    expect(one("healthy", gated({}), [web])).toBeUndefined();
  });

  test("is asked for before there is a container", () => {
    expect(one("healthy", checked, [])).toBe("web healthy closed: has not started yet");
    const disabled = app({ web: { image: "web:1", healthcheck: { disable: true } } });
    expect(gates(disabled, [])).toEqual(["web started closed: has no container yet"]);
  });

  test("the release names the time", () => {
    const release = gated({ monitorMs: 0 }, checked);
    expect(one("healthy", release, [healthy], { web: { healthyForMs: 0 } })).toBe("web healthy open");
    expect(one("healthy", gated({ monitorMs: 60_000 }), [healthy], { web: { healthyForMs: 59_000 } })).toBe(
      "web healthy closed: healthy for 59 s of 1 min",
    );
  });
});

describe("http", () => {
  const release = gated({ http: { port: 80, path: "/" } });
  const rows: readonly [string, Container, Partial<WatchedContainer>, string][] = [
    ["not asked yet", web, {}, "closed: has not answered yet"],
    ["answers badly", web, { httpDetail: "answers 503" }, "closed: answers 503"],
    ["not long enough", web, { httpDetail: "answers 200", httpOkForMs: 1_000 }, "closed: answers 200 for 1 s of 10 s"],
    ["long enough", web, { httpDetail: "answers 200", httpOkForMs: 10_000 }, "open"],
    ["is down", { ...web, state: "restarting" }, { exits: 2, code: 1 }, "closed: has exited 2 times, last with code 1"],
  ];
  test.each(rows)("%s", (_, container, watched, expected) => {
    expect(one("http", release, [container], { web: watched })).toBe(`web http ${expected}`);
  });
});

describe("stay-up", () => {
  const release = gated({ monitorMs: 5_000 });
  const rows: readonly [string, Container, Partial<WatchedContainer>, string][] = [
    ["long enough", web, { upForMs: 5_000 }, "open"],
    ["not long enough", web, { upForMs: 4_000 }, "closed: up for 4 s of 5 s"],
    ["two exits do not fail", { ...web, state: "restarting" }, { exits: 2 }, "closed: has exited 2 times"],
    ["up long enough after two exits", web, { exits: 2, upForMs: 5_000 }, "open"],
    [
      "many exits in a short time do not fail",
      { ...web, state: "restarting" },
      { exits: 7, exitsOverMs: 4_900 },
      "closed: has exited 7 times",
    ],
    ["up long enough after them", web, { exits: 7, exitsOverMs: 4_900, upForMs: 5_000 }, "open"],
    ["two exits over a long time do not fail", web, { exits: 2, exitsOverMs: 90_000, upForMs: 5_000 }, "open"],
    [
      "three exits over the monitoring time fail",
      web,
      { exits: 3, exitsOverMs: 5_000, code: 1, upForMs: 9_000 },
      "failed: has exited 3 times, last with code 1",
    ],
    ["down", { ...web, state: "exited", exitCode: 0 }, {}, "closed: has exited with code 0"],
  ];
  test.each(rows)("%s", (_, container, watched, expected) => {
    expect(one("stay-up", release, [container], { web: watched })).toBe(`web stay-up ${expected}`);
  });

  test("a long monitoring time does not make a crash loop last", () => {
    const judge = (exitsOverMs: number) =>
      one("stay-up", gated({ monitorMs: 600_000 }), [web], { web: { exits: 9, exitsOverMs } });
    expect([judge(29_000), judge(30_000)]).toEqual([
      "web stay-up closed: up for 0 s of 10 min",
      "web stay-up failed: has exited 9 times",
    ]);
  });
});

describe("one-shot", () => {
  const awaited = app({
    migrate: "migrate:1",
    web: { image: "web:1", depends_on: { migrate: { condition: "service_completed_successfully" } } },
  });
  const once = { restart: "no" };
  const migrate = (state: Container["state"], exitCode = 0): Container => ({
    ...exited("migrate", "migrate:1", once),
    ...{ state, exitCode },
  });
  const rows: readonly [string, Container, string][] = [
    ["runs", migrate("running"), "closed: has not completed yet"],
    ["waits to start", created("migrate", "migrate:1", once), "closed: has not completed yet"],
    ["has ended well", migrate("exited"), "open"],
    ["has failed", migrate("exited", 3), "failed: has exited with code 3"],
    ["was stopped", migrate("exited", 143), "closed: has exited with code 143"],
    ["was killed", migrate("exited", 137), "closed: has exited with code 137"],
    ["the engine tries again", migrate("restarting", 1), "closed: has not completed yet"],
  ];
  test.each(rows)("that another service awaits: %s", (_, container, expected) => {
    expect(one("one-shot", awaited, [container])).toBe(`migrate one-shot ${expected}`);
  });

  const two = { migrate: { image: "migrate:1", ...once }, web: { image: "web:1", ...healthcheck } };
  test("beside a gated service must not fail, but may go on running: its owner may start and stop it by hand", () => {
    const release = app(two);
    expect(one("one-shot", release, [migrate("running")])).toBe("migrate one-shot open");
    expect(one("one-shot", release, [migrate("exited")])).toBe("migrate one-shot open");
    expect(one("one-shot", release, [migrate("exited", 1)])).toBe("migrate one-shot failed: has exited with code 1");
    expect(one("one-shot", release, [])).toBe("migrate one-shot closed: has not completed yet");
  });

  test("that nobody awaits must complete within its monitoring time, or run on", () => {
    const release = gated({ monitorMs: 5_000 }, app({ web: { image: "web:1", ...once } }));
    const up = (upForMs: number) => gates(release, [running("web", "web:1", once)], { web: { upForMs } });
    expect(up(4_000)).toEqual(["web started open", "web one-shot closed: up for 4 s of 5 s"]);
    expect(up(5_000)).toEqual(["web started open", "web one-shot open"]);
  });

  test("in a release without gates is no gate", () => {
    expect(gates(app({ migrate: { image: "migrate:1", ...once } }), [migrate("exited", 1)])).toEqual([
      "migrate started open",
    ]);
  });

  test("a service with a healthcheck is none, whatever its restart policy", () => {
    const server = running("web", "web:1", { ...once, ...healthcheck });
    expect(gates(app({ web: { image: "web:1", ...once, ...healthcheck } }), [server])).toEqual([
      "web started open",
      "web healthy closed: its healthcheck has given no result yet",
      "web stay-up closed: up for 0 s of 10 s",
    ]);
  });
});

describe("what is said", () => {
  test("a service must confirm the update", () => {
    const release = gated({ confirm: true });
    expect(one("confirm", release, [web])).toBe("web confirm closed: has not confirmed the update yet");
    expect(one("confirm", release, [web], {}, { confirmed: ["db"] })).toContain("closed");
    expect(one("confirm", release, [web], {}, { confirmed: ["web"] })).toBe("web confirm open");
  });

  test("the cloud must be reached again, if it was reached before", () => {
    const release = gated({ cloud: true });
    expect(one("cloud", release, [web], {}, { cloudReached: false })).toBe(
      "web cloud closed: the cloud has not been reached since the update began",
    );
    expect(one("cloud", release, [web], {}, { cloudReached: true })).toBe("web cloud open");
    expect(one("cloud", release, [web], {}, { cloudReached: undefined })).toBe("web cloud open");
  });
});

test("the gates of all services are listed, in the order of the release", () => {
  const release = app({ db: "db:1", web: { image: "web:1", ...healthcheck } });
  expect(gates(release, [healthy, running("db", "db:1")], { web: { healthyForMs: 10_000, upForMs: 10_000 } })).toEqual([
    "db started open",
    "web started open",
    "web healthy open",
    "web stay-up open",
  ]);
});

test("a release is gated by a healthcheck in the composition or the image, or by a word", () => {
  expect(isGated(app({ web: "web:1" }), [web])).toBe(false);
  expect(isGated(checked, [])).toBe(true);
  expect(isGated(app({ web: "web:1" }), [healthy])).toBe(true);
  expect(isGated(gated({ monitorMs: 0 }), [])).toBe(true);
  expect(gatedServices(app({ db: "db:1", web: { image: "web:1", ...healthcheck } }), [])).toEqual(["web"]);
});

describe("the deadline", () => {
  const slow = (fields: object) => app({ web: { image: "web:1", healthcheck: { test: ["CMD", "check"], ...fields } } });
  const update = (deadlineMs: number): Pick<App, "update"> => ({
    update: { failureAction: "rollback", deadlineMs, apply: [], onDiskShort: "wait" },
  });
  const rows: readonly [string, App, readonly Container[], number][] = [
    ["is five minutes", app({ web: "web:1" }), [web], 300_000],
    ["is what the release says", { ...app({ web: "web:1" }), ...update(60_000) }, [web], 60_000],
    [
      "is long enough for the slowest healthcheck, with the engine's defaults",
      { ...slow({ start_period: "10m" }), ...update(1_000) },
      [],
      600_000 + 3 * 60_000 + 10_000 + 30_000,
    ],
    [
      "and with what the composition says",
      { ...slow({ interval: "50s", timeout: "10s", retries: 10 }), ...update(1_000) },
      [],
      10 * 60_000 + 10_000 + 30_000,
    ],
    [
      "covers the time to hand over",
      app({
        web: {
          image: "web:1",
          labels: { "io.balena.update.strategy": "hand-over", "io.balena.update.handover-timeout": "900000" },
        },
      }),
      [],
      930_000,
    ],
    ["covers the monitoring time", gated({ monitorMs: 600_000 }), [], 630_000],
    [
      "counts the healthcheck of the image",
      app({ web: "web:1" }),
      [running("web", "web:1", { healthcheck: { test: ["CMD", "check"], start_period: "20m" } })],
      1_200_000 + 3 * 60_000 + 10_000 + 30_000,
    ],
  ];
  test.each(rows)("%s", (_, release, containers, expected) => {
    expect(deadlineOf(release, containers)).toBe(expected);
  });
});

test("a round is due when the first gate may open by time alone", () => {
  const release = app({ web: { image: "web:1", ...healthcheck } });
  const states = (watched: WatchedContainer) => judgeGates(release, [healthy], new Map([["web", watched]]), told);
  expect(recheckMs(states({ upForMs: 7_500, healthyForMs: 1_000, exits: 0 }))).toBe(2_500);
  expect(recheckMs(states({ upForMs: 12_000, healthyForMs: 1_000, exits: 0 }))).toBe(9_000);
  expect(recheckMs(states({ upForMs: 12_000, healthyForMs: 12_000, exits: 0 }))).toBeUndefined();
  expect(recheckMs(states({ upForMs: 12_000, unhealthyForMs: 12_000, exits: 0 }))).toBeUndefined();
});
