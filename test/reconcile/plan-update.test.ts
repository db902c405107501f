import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../core/model/fingerprint.ts";
import type { App } from "../../core/model/target.ts";
import { defaultRules, type UpdateRecord, type UpdateRules } from "../../core/model/update.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { planUpdate } from "../../core/reconcile/plan-update.ts";
import { describe as describeStep } from "../../core/reconcile/step.ts";
import type { CurrentState } from "../../core/reconcile/current.ts";
import type { UpdateFacts } from "../../core/model/update-facts.ts";
import {
  app,
  created,
  device,
  downloading,
  held,
  running,
  sentences,
  times,
  network,
  prepared,
  strategy,
  target,
} from "./literals.ts";

/** Which release the planner gets, and what is recorded first. */

const [v1, v2, v3] = ["web:1", "web:2", "web:3"].map((image, n) => app({ web: image }, { commit: `c${n + 1}` })) as [
  App,
  App,
  App,
];
const checked = { healthcheck: { test: ["CMD", "true"] } };
const gated = app({ web: { image: "web:2", ...checked } }, { commit: "c2" });
const withRules = (rules: Partial<UpdateRules>, release = gated): App => ({
  ...release,
  update: { ...defaultRules, ...rules },
});

const committed = { app: v1, fingerprint: fingerprintOf(v1), images: {} };
const of = (release: App) => ({ fingerprint: fingerprintOf(release), commit: release.commit });
const trying = (release: App, attempts = 1): UpdateRecord => ({
  phase: "trying",
  ...of(release),
  attempts,
  confirmed: [],
});
const failure = { message: "web: it did not get healthy" };

const old = running("web", "web:1");
const fresh = running("web", "web:2", {}, { commit: "c2" });
const unhealthy = { ...running("web", "web:2", checked, { commit: "c2" }), health: "starting" } as const;

/** A device with this container, all images, and a committed release. */
const at = (container = old, facts: UpdateFacts = {}, more: Partial<CurrentState> = {}) =>
  device([container], {
    images: ["web:1", "web:2", "web:3"],
    updates: new Map([[1, { committed, ...facts }]]),
    ...more,
  });
const minutes = (n: number) => n * 60_000;

describe("a target", () => {
  test("that is committed needs nothing", () => {
    expect(sentences(at(), v1)).toEqual([]);
  });

  test("is committed as soon as it is reached, if there is no release to go back to", () => {
    const first = at(old, { committed: undefined });
    expect(sentences(first, v1)).toEqual(["commit release c1 of app 1"]);
    expect(sentences(device([], { images: ["web:1"], updates: new Map([[1, {}]]) }), v1)).toEqual([
      "install and start web",
    ]);
  });

  test("that follows one without services is not tried, since nothing would be there instead", () => {
    const none = app({}, { commit: "" });
    const before = { app: none, fingerprint: fingerprintOf(none), images: {} };
    const first = (present: CurrentState["containers"]) =>
      device(present, { images: ["web:2"], updates: new Map([[1, { committed: before }]]) });
    expect(sentences(first([]), gated)).toEqual(["install and start web"]);
    expect(sentences(first([unhealthy]), gated)).toEqual(["commit release c2 of app 1"]);
    expect(sentences({ ...first([]), networks: [] }, none)).toEqual([]);
  });

  test("is downloaded while the committed release goes on", () => {
    const coming = { ...at(), images: at().images.slice(0, 1) };
    expect(sentences(coming, v2)).toEqual(["fetch image web:2"]);
    expect(sentences({ ...coming, containers: [], downloads: downloading("web:2") }, v2)).toEqual([
      "install and start web",
      "wait for image web:2",
    ]);
  });

  test("does not compete with an image that has made room for it", () => {
    const small = { ...at(), containers: [], images: [], downloads: downloading("web:2") };
    const steps = planUpdate(1, v2, small, new Set(["web:2"]), undefined);
    expect(steps.map(describeStep)).toEqual(["wait for image web:2"]);
  });

  test("is recorded when the locks are taken, before anything stops", () => {
    expect(sentences(at(), v2)).toEqual(["take the update locks of app 1", '… to kill web (image: "web:1" → "web:2")']);
    expect(sentences(at(old, {}, { locks: held("web") }), v2)).toEqual([
      "record that release c2 of app 1 is tried (1)",
    ]);
  });

  test("does not begin with a network that nobody uses, before its images are here", () => {
    const changed = app({ web: "web:2" }, { commit: "c2", networks: { spare: { internal: true } } });
    const coming = { ...at(), images: at().images.slice(0, 1), networks: [network("default"), network("spare")] };
    const before = { ...committed, app: app({ web: "web:1" }, { networks: { spare: {} } }) };
    expect(sentences({ ...coming, updates: new Map([[1, { committed: before }]]) }, changed)).toEqual([
      "fetch image web:2",
    ]);
  });

  test("that replaces nothing is committed without a trial", () => {
    const renamed = app({ web: "web:1" }, { commit: "c9" });
    expect(sentences(at(), renamed)).toEqual(["rename web to web_1_10_c9"]);
    expect(sentences(at({ ...old, name: "web_1_10_c9" }), renamed)).toEqual(["commit release c9 of app 1"]);
  });

  test("that leaves the application forgets its releases at the end", () => {
    expect(sentences(at(old, {}, { locks: held("web") }))).toEqual(["kill web (no longer in the target state)"]);
    const gone = { ...at(), containers: [], networks: [] };
    expect(sentences(gone)).toEqual(["forget the committed release of app 1"]);
    expect(sentences({ ...gone, updates: new Map([[1, { record: trying(v2) }]]) })).toEqual([
      "forget the committed release of app 1",
    ]);
    expect(sentences({ ...gone, updates: new Map([[1, {}]]) })).toEqual([]);
  });
});

describe("a target that is tried", () => {
  const tried = (release: App, container = old, triedMs = 0, more: Partial<CurrentState> = {}) =>
    sentences(at(container, { record: trying(release), triedMs }, { locks: held("web"), ...more }), release);

  test("replaces the committed release", () => {
    expect(tried(v2)).toEqual(['kill web (image: "web:1" → "web:2")']);
  });

  test("without gates is committed when its services have started", () => {
    expect(tried(v2, fresh, 0, { locks: new Map() })).toEqual(["commit release c2 of app 1"]);
  });

  test("waits for its gates, and is committed when all are open", () => {
    const waiting = tried(gated, unhealthy, 0, { locks: new Map() });
    expect(waiting).toHaveLength(2);
    expect(waiting[0]).toMatch(/^wait for the update of web to prove itself \(healthy: /);
    const watch = new Map([["web", { upForMs: 20_000, healthyForMs: 20_000, exits: 0 }]]);
    expect(tried(gated, { ...unhealthy, health: "healthy" }, 0, { locks: new Map(), watch })).toEqual([
      "commit release c2 of app 1",
    ]);
  });

  test("goes back when its deadline has passed", () => {
    expect(tried(gated, unhealthy, minutes(4), { locks: new Map() })[0]).toMatch(/^wait for/);
    expect(tried(gated, unhealthy, minutes(20), { locks: new Map() })).toEqual([
      expect.stringMatching(/^record that app 1 goes back: web: it did not get healthy \(/),
    ]);
  });

  test("goes back at once when it cannot stay up", () => {
    const watch = new Map([["web", { upForMs: 0, exits: 3, exitsOverMs: 10_000, code: 1 }]]);
    expect(tried(gated, { ...unhealthy, state: "restarting" }, 1000, { locks: new Map(), watch })).toEqual([
      expect.stringMatching(
        /^record that app 1 goes back: web: it did not stay up \(has exited 3 times, last with code 1\)/,
      ),
    ]);
  });

  test("without gates goes back only if the engine has refused it until the deadline", () => {
    const stuck = created("web", "web:2", {}, { commit: "c2" });
    expect(tried(v2, stuck, minutes(9), { locks: new Map() })[0]).toBe("start web");
    const failures = new Map([[1, "Failed to start web: no such device"]]);
    expect(tried(v2, stuck, minutes(4), { locks: new Map(), failures })[0]).toBe("start web");
    expect(tried(v2, stuck, minutes(6), { locks: new Map(), failures })).toEqual([
      "record that app 1 goes back: Failed to start web: no such device",
    ]);
  });

  test("without gates is committed at its deadline, if a service waits for another one", () => {
    const parts = { web: { image: "web:2", depends_on: ["db"] }, db: { image: "web:1", running: false } };
    const whole = app(parts, { commit: "c2" });
    const db = created("db", "web:1", {}, { commit: "c2" });
    const web = created("web", "web:2", { depends_on: ["db"] }, { commit: "c2" });
    const after = (triedMs: number, more: Partial<CurrentState> = {}) => {
      const facts = { committed, record: trying(whole), triedMs };
      return sentences({ ...at(web), containers: [web, db], updates: new Map([[1, facts]]), ...more }, whole);
    };
    const wait = "wait for db to start, on which web depends";
    const proof = "wait for the update of web to prove itself (started: has not started yet)";
    expect(after(minutes(4))).toEqual([wait, proof]);
    expect(after(minutes(6))).toEqual([wait, "commit release c2 of app 1"]);
    expect(after(minutes(6), { rebootRequired: true })).toEqual([wait, proof]);
  });

  test("has time for its downloads, but not for those that fail", () => {
    const label = { "io.balena.update.strategy": "kill-then-download" };
    const killed = app({ web: { image: "web:9", ...checked, labels: label } }, { commit: "c2" });
    const after = (begunMs: number, downloads: CurrentState["downloads"]) => {
      const facts = { committed, record: trying(killed), begunMs, triedMs: 0 };
      return sentences(device([], { images: ["web:1"], updates: new Map([[1, facts]]), downloads }), killed)[0];
    };
    expect(after(minutes(60), downloading("web:9"))).toBe("wait for image web:9");
    const failed = new Map([["web:9", { is: "failed", reason: "not found", retryAt: times.now + 1 } as const]]);
    expect(after(minutes(4), failed)).toMatch(/^wait for another try to fetch web:9/);
    expect(after(minutes(20), failed)).toBe("record that app 1 goes back: An image cannot be downloaded: not found");
  });

  test("goes back when it is not complete at its deadline, if it has a gate", () => {
    const parts = { web: { image: "web:2", ...checked, depends_on: ["db"] }, db: { image: "web:1", running: true } };
    const whole = app(parts, { commit: "c2" });
    const web = {
      ...running("web", "web:2", { ...checked, depends_on: ["db"] }, { commit: "c2" }),
      health: "healthy",
    } as const;
    const watch = new Map([["web", { upForMs: 60_000, healthyForMs: 60_000, exits: 0 }]]);
    const lastLines = new Map([["web", "cannot open /etc/app"]]);
    const after = (more: Partial<CurrentState>) => {
      const facts = { committed, record: trying(whole), triedMs: minutes(20) };
      return sentences({ ...at(web), updates: new Map([[1, facts]]), watch, ...more }, whole).at(-1);
    };
    expect(after({})).toBe("record that app 1 goes back: db: it did not start (has no container yet)");
    const both = [web, running("db", "web:1", {}, { commit: "c2" })];
    expect(after({ containers: both, networks: [] })).toBe("record that app 1 goes back: It is not complete in time");
    const sick = { ...web, health: "unhealthy" } as const;
    const late = plan(
      { ...at(sick), updates: new Map([[1, { committed, record: trying(gated), triedMs: minutes(20) }]]), lastLines },
      target([gated]),
    );
    expect(late.get(1)).toMatchObject([
      { record: { failure: { service: "web", gate: "healthy", lines: ["cannot open /etc/app"] } } },
    ]);
    const telling = { ...sick, spec: { ...sick.spec, environment: { PASSWORD: "correct horse" } } };
    const told = plan(
      {
        ...{ ...at(telling), updates: new Map([[1, { committed, record: trying(gated), triedMs: minutes(20) }]]) },
        lastLines: new Map([["web", "refused: correct horse"]]),
      },
      target([gated]),
    );
    expect(JSON.stringify(told.get(1)?.filter(({ action }) => action === "recordUpdate"))).toMatch(
      /refused: (?!correct)/,
    );
    expect(after({ containers: both })).toBe("commit release c2 of app 1");
  });

  test("asks each second whether a service has confirmed it", () => {
    const confirming = app(
      { web: { image: "web:2", labels: { "io.balena.update.confirm": "true" } } },
      { commit: "c2" },
    );
    const watch = new Map([["web", { upForMs: 60_000, exits: 0 }]]);
    const facts = { committed, record: trying(confirming), triedMs: 0 };
    const current = { ...at(fresh), updates: new Map([[1, facts]]), watch };
    expect(plan(current, target([confirming])).get(1)).toMatchObject([{ action: "wait", recheckMs: 1000 }]);
    expect(sentences({ ...current, confirmed: new Set(["1/web"]) }, confirming)).toEqual([
      "commit release c2 of app 1",
    ]);
  });

  test("stays if it is to be paused or continued", () => {
    const late = (rules: Partial<UpdateRules>) => tried(withRules(rules), unhealthy, minutes(20), { locks: new Map() });
    expect(late({ failureAction: "pause" })[0]).toMatch(/^record that the update of app 1 is paused: web: it did not/);
    expect(late({ failureAction: "continue" })).toEqual(["commit release c2 of app 1"]);
  });

  test("is resumed after a restart of the agent, and fails after the third", () => {
    const resumed = (attempts: number) => sentences(at(fresh, { record: trying(v2, attempts) }), v2);
    expect(resumed(1)).toEqual(["record that release c2 of app 1 is tried (2)"]);
    expect(resumed(2)).toEqual(["record that release c2 of app 1 is tried (3)"]);
    expect(resumed(3)).toEqual([
      "record that app 1 goes back: The agent or the machine restarted 3 times during the update",
    ]);
  });

  test("proves itself after the reboot that it needs", () => {
    const rebooting = { locks: new Map(), rebootRequired: true };
    expect(tried(gated, unhealthy, 0, rebooting).filter((step) => !step.startsWith("wait"))).toEqual([
      "reboot, for what takes effect only then",
    ]);
    expect(tried(v2, fresh, 0, rebooting)).toEqual(["reboot, for what takes effect only then"]);
  });
});

describe("a target that changes during a trial", () => {
  const facts = (record = trying(v2)): UpdateFacts => ({ record, triedMs: 1000 });

  test("to the committed release takes the update back", () => {
    expect(sentences(at(fresh, facts()), v1)).toEqual(["record that app 1 goes back: The update was withdrawn"]);
  });

  test("to another release is tried instead, once it is complete", () => {
    expect(sentences(at(fresh, facts(), { locks: held("web") }), v3)).toEqual([
      "record that release c3 of app 1 is tried (1)",
    ]);
    const coming = { ...at(fresh, facts()), images: at().images.slice(0, 2) };
    expect(sentences(coming, v3)).toEqual(["fetch image web:3", "wait for the images of the new target"]);
    const resumed = { ...coming, updates: new Map([[1, { committed, record: trying(v2) }]]) };
    expect(sentences(resumed, v3)).toEqual(["record that app 1 goes back: Another target has replaced the update"]);
    const late = { ...coming, updates: new Map([[1, { committed, record: trying(v2), triedMs: minutes(6) }]]) };
    expect(sentences(late, v3)).toEqual(["record that app 1 goes back: Another target has replaced the update"]);
  });

  test("never turns an application forward that goes back", () => {
    const record: UpdateRecord = { phase: "back", ...of(v2), failure, rejects: true };
    const stopped = { ...fresh, state: "exited" } as const;
    expect(sentences(at(stopped, { record }, { locks: held("web") }), v3)).toEqual([
      'kill web (image: "web:2" → "web:1")',
    ]);
  });
});

describe("an application that goes back", () => {
  const record: UpdateRecord = { phase: "back", ...of(v2), failure, rejects: true };

  test("gets the committed release, and then rejects the target", () => {
    const back = { record };
    expect(sentences(at(fresh, back), v2)).toEqual(["create the next container of web"]);
    const ready = at(fresh, back, { locks: held("web"), prepared: [prepared("web", "web:1")] });
    expect(sentences(ready, v2)).toEqual(['kill web (image: "web:2" → "web:1")']);
    expect(sentences({ ...ready, containers: [] }, v2)).toEqual(["start web", "release the update locks of app 1"]);
    expect(sentences({ ...at(fresh, back), containers: [] }, v2)).toEqual(["install and start web"]);
    expect(sentences(at(old, back), v2)).toEqual([
      "record that release c2 of app 1 is rejected: web: it did not get healthy",
    ]);
    expect(sentences(at(old, { record: { ...record, rejects: false } }), v2)).toEqual([
      "record that app 1 has no update",
    ]);
  });

  test("does not count the lock of a service that does not run", () => {
    const crashing = { ...fresh, state: "restarting" } as const;
    const db = running("db", "web:2", {}, { commit: "c2" });
    const both = at(crashing, { record }, { prepared: [prepared("web", "web:1")] });
    expect(sentences({ ...both, containers: [crashing, db] }, v2)).toEqual([
      "take the update locks of app 1",
      '… to kill web (image: "web:2" → "web:1")',
      "… to kill db (no longer in the target state)",
    ]);
    expect(sentences({ ...both, containers: [crashing, db], locks: held("db") }, v2)).toHaveLength(2);
    expect(sentences(both, v2)).toEqual(['kill web (image: "web:2" → "web:1")']);
  });

  test("is restarted as a whole, before the target is rejected", () => {
    expect(sentences({ ...at(old, { record }), containers: [] }, { ...v2, temporary: "stopped" })).toEqual([]);
  });

  test("stays with the committed release until the target changes", () => {
    const rejected = at(old, { record: { phase: "rejected", ...of(v2), failure, at: times.now } });
    expect(sentences(rejected, v2)).toEqual([]);
    expect(sentences({ ...rejected, containers: [] }, v2)).toEqual(["install and start web"]);
    expect(sentences(rejected, v3)[0]).toBe("take the update locks of app 1");
    const running0 = { ...v2, services: v2.services.map((service) => ({ ...service, running: false })) };
    expect(sentences(rejected, running0)).toEqual([]);
  });
});

describe("a paused update", () => {
  const record: UpdateRecord = { phase: "paused", ...of(v2), failure };

  test("is committed when somebody has confirmed it", () => {
    const accepted: UpdateRecord = { ...record, accepted: true };
    expect(sentences(at(fresh, { record: accepted }), v2)).toEqual(["commit release c2 of app 1"]);
    const alone = { ...at(fresh, { record: accepted }), containers: [] };
    expect(sentences(alone, v2)).toEqual(["install and start web"]);
  });

  test("stays while another target is downloaded", () => {
    const coming = { ...at(fresh, { record }), images: at().images.slice(0, 2) };
    expect(sentences(coming, v3)).toEqual(["fetch image web:3", "wait for the images of the new target"]);
  });

  test("goes on as it is, until somebody decides", () => {
    expect(sentences(at(fresh, { record }), v2)).toEqual([
      "wait for somebody to confirm the failed update, or to roll it back",
    ]);
    expect(sentences(at(fresh, { record }), v1)).toEqual(["record that app 1 goes back: The update was withdrawn"]);
  });
});

describe("an update with a policy", () => {
  const asks = withRules({ apply: [{ is: "consent" }] }, v2);
  const waiting: UpdateRecord = { phase: "waiting", ...of(asks), bootId: "" };

  test("is recorded as complete, and waits", () => {
    expect(sentences(at(), asks)).toEqual(["record that the update of app 1 is complete and waits"]);
    expect(sentences(at(old, { record: waiting }), asks)).toEqual(["wait for consent through the API"]);
  });

  test("waits while the committed release is repaired and restarted", () => {
    const alone = { ...at(old, { record: waiting }), containers: [] };
    expect(sentences(alone, asks)).toEqual(["install and start web", "wait for consent through the API"]);
    const restarted = { ...asks, temporary: "stopped" } as const;
    expect(sentences(at(old, { record: waiting }, { locks: held("web") }), restarted)).toEqual([
      "kill web (the application is restarted)",
    ]);
  });

  test("creates no network of the release meanwhile, which the committed release would remove again", () => {
    const bare = app({ same: "web:1" }, { commit: "c1" });
    const web = { image: "web:2", networks: ["back"] };
    const release = app({ same: "web:1", web }, { commit: "c2", networks: { back: { internal: true } } });
    const extended = withRules({ apply: [{ is: "consent" }] }, release);
    const record: UpdateRecord = { phase: "waiting", ...of(extended), bootId: "" };
    const facts = { committed: { app: bare, fingerprint: fingerprintOf(bare), images: {} }, record };
    const without = at(running("same", "web:1"), facts);
    expect(sentences(without, extended)).toEqual(["wait for consent through the API"]);
    const allowed = new Map([[1, { ...facts, record: { ...record, consent: "device key" } }]]);
    expect(sentences({ ...without, updates: allowed }, extended)).toEqual([
      ...["create network 1_back", "rename same to same_1_10_c2", "wait for network 1_back"],
    ]);
  });

  test.each<[string, UpdateFacts, Partial<CurrentState>, App]>([
    ["consent", { record: { ...waiting, consent: "device key" } }, {}, asks],
    ["force", { record: waiting }, { forced: new Set([1]) }, asks],
    [
      "a reboot",
      { record: { ...waiting, ...of(withRules({ apply: [{ is: "reboot" }] }, v2)) } },
      { bootId: "2" },
      withRules({ apply: [{ is: "reboot" }] }, v2),
    ],
  ])("begins after %s", (_, facts, more, release) => {
    expect(sentences(at(old, facts, more), release)[0]).toBe("take the update locks of app 1");
  });

  test("waits no longer than it may", () => {
    const soon = withRules({ apply: [{ is: "consent" }], applyByMs: 60_000 }, v2);
    expect(sentences({ ...at(), now: 1_000 }, soon)).toEqual(["record that the update of app 1 is complete and waits"]);
    const now = Date.UTC(2026, 0, 1);
    const since = (ms: number): UpdateFacts => ({
      record: { phase: "waiting", ...of(soon), bootId: "", since: now - ms },
    });
    expect(plan({ ...at(), now }, target([soon])).get(1)).toMatchObject([{ record: { since: now } }]);
    expect(sentences(at(old, since(50_000), { now }), soon)).toEqual(["wait for consent through the API"]);
    expect(sentences(at(old, since(60_000), { now }), soon)[0]).toBe("take the update locks of app 1");
  });

  test("waits until nobody has held a lock for some time", () => {
    const idle = withRules({ apply: [{ is: "idle", forMs: 60_000 }] }, v2);
    const record: UpdateRecord = { phase: "waiting", ...of(idle), bootId: "" };
    const after = (ms: number) => sentences(at(old, { record }, { unlockedMs: new Map([[1, ms]]) }), idle)[0];
    expect(after(50_000)).toBe("wait for 1 min without an update lock, of which 50 s have passed");
    expect(after(60_000)).toBe("take the update locks of app 1");
  });
});

describe("the images of the committed release", () => {
  const record = (...names: string[]) =>
    names.map((name) => ({ name, appId: 1, serviceName: "web", imageId: 1, dockerImageId: name }));
  const during = (release: App) =>
    sentences(
      at(
        fresh,
        { committed: { ...committed, images: { web: "kept:1" } }, record: trying(release), triedMs: 0 },
        { imageRecords: record("web:1", "kept:1") },
      ),
      release,
    ).filter((step) => step.startsWith("remove"));

  test("stay until the target is committed", () => {
    expect(during(v2)).toEqual([]);
    const after = {
      ...at(fresh, {}, { imageRecords: record("web:1") }),
      updates: new Map([[1, { committed: { app: v2, fingerprint: fingerprintOf(v2), images: {} } }]]),
    };
    expect(sentences(after, v2)).toEqual(["remove image web:1"]);
  });

  test("stay under their other names, too, but for those of services that make space", () => {
    const deletes = { ...strategy("delete-then-download"), image: "web:2" };
    const release = app({ web: deletes, other: "other:1" }, { commit: "c2" });
    const before = app({ web: "web:1", other: "other:1" }, { commit: "c1" });
    const kept = { web: "kept:web", other: "kept:other" };
    const facts = { committed: { app: before, fingerprint: fingerprintOf(before), images: kept } };
    const current = at(
      fresh,
      { ...facts, record: trying(release), triedMs: 0 },
      {
        imageRecords: record("web:1", "kept:web", "other:1", "kept:other"),
      },
    );
    expect(sentences(current, release).filter((step) => step.startsWith("remove"))).toEqual([
      "remove image web:1",
      "remove image kept:web",
    ]);
  });

  test("are all that stays of a release that has failed before its images were here", () => {
    const killed = { ...strategy("kill-then-download"), image: "web:9" };
    const release = app({ web: killed }, { commit: "c9" });
    const imageRecords = record("web:1", "web:2");
    const after = (update: UpdateRecord) =>
      sentences({ ...at(old, { record: update }, { imageRecords }) }, release).filter((one) =>
        one.startsWith("remove"),
      );
    expect(after({ phase: "rejected", ...of(release), failure, at: 0 })).toEqual(["remove image web:2"]);
    expect(after({ phase: "back", ...of(release), failure, rejects: true })).toEqual(["remove image web:2"]);
    expect(after(trying(release))).toEqual([]);
  });

  test("make room with delete-then-download", () => {
    const small = app(
      { web: { image: "web:2", labels: { "io.balena.update.strategy": "delete-then-download" } } },
      { commit: "c2" },
    );
    expect(during(small)).toContain("remove image web:1");
  });
});
