import { describe, expect, test } from "vitest";
import type { CurrentState } from "../../core/reconcile/current.ts";
import type { Container } from "../../core/model/container.ts";
import { app, created, device, exited, held, running, sentences, times } from "./literals.ts";

describe("a service with `running: false`", () => {
  const stopped = app({ web: { image: "web:1", running: false } });

  test("is created, but not started", () => {
    expect(sentences(device([], { images: ["web:1"] }), stopped)).toEqual(["install web"]);
    expect(sentences(device([created("web", "web:1")]), stopped)).toEqual([]);
  });

  test("is stopped under the locks if it runs", () => {
    expect(sentences(device([running("web", "web:1")], { locks: held("web") }), stopped)).toEqual(["stop web"]);
  });

  test.each(["paused", "restarting"] as const)("is stopped when it is %s", (state) => {
    expect(sentences(device([{ ...running("web", "web:1"), state }], { locks: held("web") }), stopped)).toEqual([
      "stop web",
    ]);
  });

  test("stays stopped, also after a restart of the agent or the machine", () => {
    const containers = [exited("web", "web:1")];
    expect(sentences(device(containers), stopped)).toEqual([]);
    expect(sentences(device(containers, { bootedAt: times.now, stoppedBefore: new Set(["1/web"]) }), stopped)).toEqual(
      [],
    );
  });

  test("is started again if the target state wants it to run", () => {
    expect(sentences(device([exited("web", "web:1")]), app({ web: "web:1" }))).toEqual(["start web"]);
  });

  test("is replaced without being started", () => {
    const current = device([exited("web", "web:0")], { images: ["web:1"] });
    expect(sentences(current, stopped)).toEqual(['kill web (image: "web:0" → "web:1")']);
  });

  test("does not affect the others", () => {
    const current = device([running("web", "web:1")], { images: ["db:1"], locks: held("web") });
    expect(sentences(current, app({ web: { image: "web:1", running: false }, db: "db:1" }))).toEqual(["stop web"]);
  });
});

test("a container that was created and not started is started", () => {
  expect(sentences(device([created("web", "web:1")], { seen: new Set(["web"]) }), app({ web: "web:1" }))).toEqual([
    "start web",
  ]);
});

test.each(["paused", "restarting", "removing"] as const)("a container that is %s is left to the engine", (state) => {
  expect(sentences(device([{ ...running("web", "web:1"), state }]), app({ web: "web:1" }))).toEqual([]);
});

describe("a container that has exited", () => {
  /** What is planned for it, by how it ended, and what else is known. */
  const planned = (restart: string, exitCode: number, more: Partial<CurrentState>, facts: Partial<Container> = {}) =>
    sentences(
      device([{ ...exited("web", "web:1", { restart }), exitCode, ...facts }], more),
      app({ web: { image: "web:1", restart } }),
    );
  const start = ["start web"];
  const seen = new Set(["web"]);
  const key = new Set(["1/web"]);

  describe("before this run of the agent", () => {
    const rows: readonly [string, string, number, string[]][] = [
      ["always", "with 0", 0, start],
      ["always", "with an error", 1, start],
      ["unless-stopped", "with 0", 0, start],
      ["no", "with 0", 0, []],
      ["no", "with an error", 1, []],
      ["no", "on SIGTERM", 143, start],
      ["no", "on SIGKILL", 137, start],
      ["on-failure", "with 0", 0, []],
      ["on-failure", "with an error", 1, start],
      ["on-failure", "on SIGTERM", 143, start],
    ];
    test.each(rows)("and restarts %s, %s", (restart, _, exitCode, sentences) => {
      expect(planned(restart, exitCode, {})).toEqual(sentences);
    });
  });

  test.each(["no", "on-failure"])("and restarts %s is started again after the machine has started again", (restart) => {
    expect(planned(restart, 0, { bootedAt: times.started + 1 })).toEqual(start);
    expect(planned(restart, 0, { bootedAt: times.started })).toEqual([]);
  });

  test("because a person stopped it stays stopped", () => {
    expect(planned("always", 0, { seen })).toEqual([]);
  });

  test("because the API stopped it in this run of the agent stays stopped", () => {
    expect(planned("always", 143, { seen, stoppedNow: key, stoppedBefore: key })).toEqual([]);
  });

  test("because the API stopped it in an earlier run of the agent starts again", () => {
    expect(planned("no", 0, { stoppedBefore: key })).toEqual(start);
  });

  describe("because an earlier run of the agent, which was killed meanwhile, had stopped it", () => {
    /** It ran before this run of the agent began, and stopped after that. */
    const interrupted = (stoppedAfterMs: number, more: Partial<CurrentState> = {}) =>
      planned(
        "always",
        143,
        { seen, ...more },
        { startedAt: times.agent - 1, finishedAt: times.agent + stoppedAfterMs },
      );

    test("starts again", () => {
      expect(interrupted(29_999)).toEqual(start);
    });

    test("stays stopped if that was half a minute later, since a person did it", () => {
      expect(interrupted(30_000)).toEqual([]);
    });

    test("starts again, although the clock was set back before, so that it has started in the future", () => {
      const started = (startedAt: number) =>
        planned("always", 143, { seen }, { startedAt, finishedAt: times.agent + 1 });
      expect(started(times.now + 1)).toEqual(start);
      expect(started(times.now)).toEqual([]);
    });

    test("starts again, although the clock was set forward in between", () => {
      const years = 10 * 365 * 86_400_000;
      const set = { runningSinceBySetClock: times.agent + years };
      expect(interrupted(years + 1, set)).toEqual(start);
      expect(interrupted(1, set)).toEqual(start);
      expect(interrupted(years + 30_000, set)).toEqual([]);
      expect(interrupted(years - 1, set)).toEqual([]);
    });

    test("stays stopped if the API has stopped it in this run of the agent", () => {
      expect(interrupted(1, { stoppedNow: key })).toEqual([]);
    });
  });

  test("stays stopped if this run of the agent had started it", () => {
    const facts = { startedAt: times.agent, finishedAt: times.agent + 1 };
    expect(planned("always", 143, { seen }, facts)).toEqual([]);
  });
});

describe("a release that does not change a service", () => {
  const next = { commit: "c2", releaseId: 11 };

  test("renames its container", () => {
    expect(sentences(device([running("web", "web:1")]), app({ web: "web:1" }, next))).toEqual([
      "rename web to web_1_11_c2",
    ]);
  });

  test("renames a container that is stopped", () => {
    const current = device([exited("web", "web:1")], { seen: new Set(["web"]) });
    expect(sentences(current, app({ web: "web:1" }, next))).toEqual(["rename web to web_1_11_c2"]);
  });

  test("starts a stopped container before it renames it", () => {
    expect(sentences(device([created("web", "web:1")]), app({ web: "web:1" }, next))).toEqual(["start web"]);
  });
});
