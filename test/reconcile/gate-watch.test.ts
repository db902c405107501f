import { expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import { GateWatch } from "../../core/reconcile/gate-watch.ts";
import { created, exited, running } from "./literals.ts";

/** What is watched of a container from round to round. The clock of the watch begins anywhere. */

const web = running("web", "web:1");
const healthy: Container = { ...web, health: "healthy" };
const unhealthy: Container = { ...web, health: "unhealthy" };
/** The engine has restarted it, this often. */
const restarted = (restarts: number): Container => ({ ...web, restarts, startedAt: web.startedAt + restarts });
const restarting = (restarts: number, exitCode: number): Container => ({
  ...restarted(restarts),
  ...{ state: "restarting", startedAt: web.startedAt + restarts - 1, exitCode },
});

/** What the last of these rounds shows of the container. */
function after(...rounds: readonly (readonly [number, Container])[]) {
  const watch = new GateWatch();
  const facts = rounds.map(([ms, container]) => watch.note([container], ms).get(container.id));
  return facts.at(-1);
}

test("a container counts as up from the round on that saw it first", () => {
  expect(after([5_000, web])).toEqual({ upForMs: 0, exits: 0 });
  expect(after([5_000, web], [6_000, web], [12_500, web])).toEqual({ upForMs: 7_500, exits: 0 });
});

test("a container that was only created is not up", () => {
  expect(after([0, created("web", "web:1")], [1_000, created("web", "web:1")])).toEqual({ upForMs: 0, exits: 0 });
  expect(after([0, created("web", "web:1")], [1_000, web], [3_000, web])).toMatchObject({ upForMs: 2_000 });
});

test("health is measured from its last change", () => {
  expect(after([0, { ...web, health: "starting" }], [1_000, healthy], [4_000, healthy])).toEqual({
    ...{ upForMs: 4_000, healthyForMs: 3_000, exits: 0 },
  });
  expect(after([0, healthy], [1_000, unhealthy], [4_000, unhealthy])).toEqual({
    ...{ upForMs: 4_000, unhealthyForMs: 3_000, exits: 0 },
  });
});

test("health that flaps begins anew each time", () => {
  expect(after([0, healthy], [8_000, unhealthy], [9_000, healthy])).toMatchObject({ healthyForMs: 0, upForMs: 9_000 });
});

test("a restart by the engine begins everything anew and counts as an exit, even if no round saw it down", () => {
  const rows = [0, 9_000] as const;
  expect(after([rows[0], healthy], [rows[1], { ...restarted(1), health: "healthy" }])).toEqual({
    ...{ upForMs: 0, healthyForMs: 0, exits: 1 },
  });
});

test("exits between two rounds all count; the last code is kept when the engine has forgotten it", () => {
  expect(after([0, web], [100, restarting(1, 3)])).toEqual({ upForMs: 0, exits: 1, code: 3 });
  expect(after([0, web], [100, restarting(1, 3)], [200, restarted(3)])).toEqual({
    ...{ upForMs: 0, exits: 3, exitsOverMs: 100, code: 3 },
  });
});

test("the time of exits is that from the first to the last, however long the last run is", () => {
  const rounds = [
    [0, web],
    [1_000, restarted(1)],
    [9_000, restarted(2)],
    [50_000, restarted(2)],
  ] as const;
  expect(after(...rounds)).toMatchObject({ exits: 2, exitsOverMs: 8_000 });
});

test("exits before the watch do not count", () => {
  expect(after([0, restarted(7)])).toEqual({ upForMs: 0, exits: 0 });
  expect(after([0, restarted(7)], [100, restarted(8)])).toMatchObject({ exits: 1 });
});

test("a stop and a start on request are no exit, but the run is another one", () => {
  const again = { ...web, startedAt: web.startedAt + 60_000 };
  expect(after([0, web], [1_000, exited("web", "web:1")])).toEqual({ upForMs: 0, exits: 0, code: 0 });
  expect(after([0, web], [1_000, exited("web", "web:1")], [2_000, again], [2_500, again])).toMatchObject({
    ...{ upForMs: 500, exits: 0 },
  });
  // The engine counts anew after a start on request.
  expect(after([0, restarted(2)], [1_000, again])).toMatchObject({ upForMs: 0, exits: 0 });
});

test("a reset begins the watch of one application anew", () => {
  const watch = new GateWatch();
  const other = { ...web, id: "other", appId: 2 };
  watch.note([web, other], 0);
  watch.note([restarted(1), other], 1_000);
  watch.reset(1);
  const facts = watch.note([restarted(1), other], 5_000);
  expect(facts.get("web")).toEqual({ upForMs: 0, exits: 0 });
  expect(facts.get("other")).toEqual({ upForMs: 5_000, exits: 0 });
});

test("answers of the http gate count from the start of the run on at the earliest", () => {
  const watch = new GateWatch();
  const answer = (sinceMs: number, ok = true) => new Map([["web", { ok, detail: "answers 200", sinceMs }]]);
  watch.note([web], 1_000);
  expect(watch.note([web], 4_000, answer(3_000)).get("web")).toMatchObject({
    ...{ httpOkForMs: 1_000, httpDetail: "answers 200" },
  });
  expect(watch.note([restarted(1)], 9_000, answer(3_000)).get("web")).toMatchObject({ httpOkForMs: 0 });
  expect(watch.note([restarted(1)], 9_500, answer(9_200, false)).get("web")).not.toHaveProperty("httpOkForMs");
  expect(watch.note([restarting(2, 1)], 9_900, answer(3_000)).get("web")).not.toHaveProperty("httpOkForMs");
});

test("a container that is gone is forgotten", () => {
  const watch = new GateWatch();
  watch.note([web], 0);
  watch.note([], 1_000);
  expect(watch.note([web], 2_000).get("web")).toEqual({ upForMs: 0, exits: 0 });
});
