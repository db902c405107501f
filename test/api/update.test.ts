import { describe, expect, test } from "vitest";
import * as z from "zod";
import { everything } from "../../core/model/scope.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { app, testDevice } from "../support/device.ts";
import { bearer, cloudApp, managedDevice } from "./managed.ts";

/** What services and people say about an update. */

const confirm = { "io.balena.update.confirm": "true", "io.balena.features.supervisor-api": "1" };
const uuid = "0123456789abcdef0123456789abcdef";
const Shown = z.looseObject({
  state: z.string(),
  committed: z.object({ commit: z.string() }).nullable(),
  target: z.object({ commit: z.string() }).nullable(),
});

/** A managed device whose time passes only in the test. It runs release c1 of application 1. */
async function running(
  services: Record<string, object> = { web: { labels: confirm } },
  config: Record<string, string> = {},
) {
  const clock = new SimClock(new Chance(1));
  const device = await managedDevice({ clock });
  const { targets, loop } = device.supervisor;
  /** Lets time pass until the promise has settled. */
  const during = async <T>(promise: Promise<T>): Promise<T> => {
    let ended = false;
    const end = () => void (ended = true);
    promise.then(end, end);
    while (!ended) await clock.advance(10);
    return promise;
  };
  const release = async (commit: string, of: Record<string, object>) => {
    const { releases, ...fields } = Object(cloudApp(1, "first", of));
    const apps = { aaaa: { ...fields, releases: { [commit]: Object.values(Object(releases))[0] } } };
    const parsed = await during(targets.setCloud({ [uuid]: { name: "managed", config, apps } }));
    if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
    loop.retry({ force: false });
    await clock.advance(5000);
  };
  const key = device.globalKey();
  const post = (what: string, body?: object, headers: Record<string, string> = key) =>
    during(device.post(`/v3/apps/1/update/${what}`, body, headers));
  const update = async () => Shown.parse((await during(device.get("/v3/apps/1/update", key))).json);
  const keyOf = (service: string) => bearer(device.supervisor.keys.of(1, service) ?? "");
  await release("c1", services);
  return { clock, device, during, release, post, update, keyOf };
}

/** The same device, which tries release c2: its service must confirm. */
async function trying(services?: Record<string, object>, config?: Record<string, string>) {
  const world = await running(services, config);
  const next = Object.entries(services ?? { web: { labels: confirm } }).map(([name, fields]) => [
    name,
    { ...fields, environment: { V: "2" } },
  ]);
  const again = Object.fromEntries(next);
  await world.release("c2", again);
  expect(await world.update()).toMatchObject({
    state: "trying",
    committed: { commit: "c1" },
    target: { commit: "c2" },
  });
  return { ...world, again };
}

test("an application that runs its release is steady, and nothing is to be decided", async () => {
  const { update, post, keyOf, clock } = await running();
  await clock.advance(60_000);
  expect(await update()).toEqual({
    ...{ state: "steady", committed: { commit: "c1" }, target: { commit: "c1" } },
    ...{ waitsFor: [], gates: [], attempts: 0 },
  });
  for (const what of ["apply", "retry", "rollback"]) expect([what, (await post(what)).status]).toEqual([what, 409]);
  expect((await post("confirm", {}, keyOf("web"))).status).toBe(409);
  expect((await post("fail", { reason: "no" }, keyOf("web"))).status).toBe(409);
  // The answer to an earlier request may have been lost.
  expect((await post("confirm", { commit: "c1" }, keyOf("web"))).status).toBe(204);
});

test("a service confirms its update, which is committed then; a repeated confirmation changes nothing", async () => {
  const { clock, update, post, keyOf, device } = await trying();
  expect(await update()).toMatchObject({
    ...{ attempts: 1, gates: expect.arrayContaining([expect.objectContaining({ gate: "confirm", is: "closed" })]) },
    waitsFor: [],
  });
  expect(await post("confirm", { commit: "c3" }, keyOf("web"))).toMatchObject({
    ...{ status: 409, json: { type: "/docs/errors#update-state", detail: "The release that is tried is c2" } },
  });
  expect(await post("confirm", {}, keyOf("web"))).toMatchObject({ status: 204, text: "" });
  expect((await post("confirm", { commit: "c2" }, keyOf("web"))).status).toBe(204);
  await clock.advance(60_000);
  expect(await update()).toMatchObject({ state: "steady", committed: { commit: "c2" } });
  const { entries } = await device.supervisor.events.read(0, 1000);
  expect(entries.filter(({ kind }) => kind === "updateDecided")).toMatchObject([
    { appId: 1, service: "web", text: "The update was confirmed by web" },
  ]);
});

test("a service confirms only for itself; a person for all services", async () => {
  const { clock, update, post, keyOf } = await trying({ web: { labels: confirm }, db: { labels: confirm } });
  expect((await post("confirm", { service: "db" }, keyOf("web"))).status).toBe(204);
  await clock.advance(60_000);
  expect(await update()).toMatchObject({ state: "trying" });
  expect((await post("confirm", { service: "wbe" })).status).toBe(409);
  expect((await post("confirm")).status).toBe(204);
  await clock.advance(60_000);
  expect(await update()).toMatchObject({ state: "steady", committed: { commit: "c2" } });
});

test("the first release of a fleet stays, whatever comes of it: there is nothing to go back to", async () => {
  const { clock, device, during, release, update } = await running({});
  expect(await update()).toMatchObject({ state: "steady", committed: { commit: "c1" } });
  await release("c2", { web: { labels: confirm } });
  await clock.advance(600_000);
  expect(await update()).toMatchObject({ state: "steady", committed: { commit: "c2" } });
  const { containers } = await during(device.engine.look());
  expect(containers).toMatchObject([{ service: "web", state: "running" }]);
});

test("the failure of a release is not shown with the next one", async () => {
  const { clock, update, post, keyOf, device, during, release } = await trying();
  await post("fail", { reason: "the database is too old" }, keyOf("web"));
  await clock.advance(60_000);
  expect(await update()).toMatchObject({ state: "rejected", failure: { commit: "c2" } });
  await during(device.post("/v3/locks", { appId: 1, reason: "a backup", ttl: 600 }, device.globalKey()));
  await release("c3", { web: { labels: confirm, environment: { V: "3" } } });
  const next = await update();
  expect(next).toMatchObject({ state: "waiting", target: { commit: "c3" } });
  expect(next).not.toHaveProperty("failure");
});

test("a service says that its update fails: the committed release comes back, until somebody retries", async () => {
  const { clock, update, post, keyOf, device, during } = await trying();
  expect((await post("fail", { reason: "the database is too old" }, keyOf("web"))).status).toBe(202);
  await clock.advance(60_000);
  const failure = {
    ...{ commit: "c2", service: "web", message: "web says that it does not work: the database is too old" },
    ...{ lines: [], at: expect.stringMatching(/Z$/) },
  };
  expect(await update()).toMatchObject({ state: "rejected", committed: { commit: "c1" }, failure });
  expect((await device.container("web")).name).toMatch(/_c1$/);
  const plan = await during(device.get("/v3/apps/1/plan", device.globalKey()));
  expect(plan.json).toMatchObject({
    services: [{ service: "web", action: "keep" }],
    waitsFor: [expect.stringMatching(/^The release is rejected: web says that it does not work/)],
  });
  expect((await post("retry")).status).toBe(202);
  await clock.advance(5000);
  expect(await update()).toMatchObject({ state: "trying", target: { commit: "c2" } });
});

test("an update that waits for consent begins when a person consents", async () => {
  const labels = { ...confirm, "io.balena.update.confirm": "false", "io.balena.update.apply": "consent" };
  const { clock, release, update, post, keyOf, device, during } = await running({ web: { labels } });
  await release("c2", { web: { labels, environment: { V: "2" } } });
  await clock.advance(60_000);
  expect(await update()).toMatchObject({
    ...{ state: "waiting", committed: { commit: "c1" }, target: { commit: "c2" } },
    waitsFor: [expect.stringContaining("consent")],
  });
  const plan = await during(device.get("/v3/apps/1/plan", device.globalKey()));
  expect(plan.json).toMatchObject({
    services: [{ service: "web", action: "replace" }],
    waitsFor: [expect.stringContaining("consent")],
  });
  expect((await post("apply", {}, keyOf("web"))).status).toBe(401);
  expect(await post("apply", { commit: "c3" })).toMatchObject({
    ...{ status: 409, json: { type: "/docs/errors#update-state", detail: "The release that waits is c2" } },
  });
  expect((await post("apply", { commit: "c2" })).status).toBe(202);
  await clock.advance(60_000);
  expect(await update()).toMatchObject({ state: "steady", committed: { commit: "c2" } });
  expect((await post("apply")).status).toBe(409);
});

test("a person rolls an update back while it is tried", async () => {
  const { clock, update, post, device, during } = await trying();
  expect((await post("rollback", { reason: "wrong colour" })).status).toBe(202);
  await clock.advance(60_000);
  expect(await update()).toMatchObject({
    ...{ state: "rejected", committed: { commit: "c1" } },
    failure: { commit: "c2", message: "It was rolled back by device key: wrong colour" },
  });
  expect((await device.container("web")).name).toMatch(/_c1$/);
  expect((await post("rollback")).status).toBe(409);
  const { json } = await during(device.get("/v3/apps/1/history?limit=5", device.globalKey()));
  expect(json).toMatchObject({
    history: [
      { what: "updateRejected", release: "c2", why: "It was rolled back by device key: wrong colour" },
      { what: "replaced", service: "web", release: "c1" },
      { what: "updateDecided", by: "request" },
      { what: "replaced", service: "web", release: "c2" },
      { what: "updateBegun", release: "c2" },
    ],
  });
});

describe("a failed update that waits for a decision", () => {
  const services = { web: { labels: { ...confirm, "io.balena.update.failure-action": "pause" } } };
  const paused = async () => {
    const world = await trying(services);
    await world.post("fail", { reason: "too slow" }, world.keyOf("web"));
    await world.clock.advance(5000);
    expect(await world.update()).toMatchObject({ state: "paused", failure: { commit: "c2" } });
    return world;
  };

  test("is accepted by a person, and not by a service", async () => {
    const { clock, update, post, keyOf } = await paused();
    expect((await post("confirm", {}, keyOf("web"))).status).toBe(409);
    expect((await post("confirm")).status).toBe(204);
    await clock.advance(5000);
    expect(await update()).toMatchObject({ state: "steady", committed: { commit: "c2" } });
  });

  test("is rolled back", async () => {
    const { clock, update, post } = await paused();
    expect((await post("rollback")).status).toBe(202);
    await clock.advance(60_000);
    expect(await update()).toMatchObject({ state: "rejected", committed: { commit: "c1" } });
  });

  test("is tried again", async () => {
    const { clock, update, post } = await paused();
    expect((await post("retry")).status).toBe(202);
    await clock.advance(5000);
    expect(await update()).toMatchObject({ state: "trying", committed: { commit: "c1" } });
  });
});

describe("the key of a service", () => {
  test.each(["apply", "retry", "rollback"])("does not decide: %s is refused", async (what) => {
    const { post, keyOf, update } = await trying();
    expect(await post(what, {}, keyOf("web"))).toMatchObject({
      status: 401,
      json: {
        type: "/docs/errors#person-only",
        detail: "A person decides this, with the device's global key: no service may",
      },
    });
    expect(await update()).toMatchObject({ state: "trying" });
  });

  test("is for its own application", async () => {
    const { device, during, keyOf } = await trying();
    const [other, own] = [`/v3/apps/2/update`, `/v3/apps/1/update`];
    expect((await during(device.get(own, keyOf("web")))).status).toBe(200);
    expect((await during(device.get(other, keyOf("web")))).status).toBe(401);
    expect((await during(device.post(`${other}/confirm`, {}, keyOf("web")))).status).toBe(401);
  });
});

test("the cloud decides with a relayed request, and is named", async () => {
  const { device, during, update, clock } = await trying();
  const request = new Request("http://device/v3/apps/1/update/rollback", { method: "POST" });
  expect((await during(device.fetch(request, { scope: everything }))).status).toBe(202);
  await clock.advance(60_000);
  expect(await update()).toMatchObject({ failure: { message: "It was rolled back by cloud" } });
});

test.each<[string, object, string]>([
  ["fail", {}, "reason: expected a string"],
  ["fail", { reason: " " }, "reason: expected a string that is not empty"],
  ["fail", { reason: "a\nb" }, "reason: expected a single line"],
  ["fail", { reason: "a".repeat(201) }, "reason: expected at most 200 characters"],
  ["rollback", { reason: "a\u001b[2J" }, "reason: expected a single line"],
  ["confirm", { commit: 1 }, "commit: expected a string"],
])("%s with %j is answered 400", async (what, body, message) => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {} }) });
  expect(await device.post(`/v3/apps/1/update/${what}`, body)).toMatchObject({
    ...{ status: 400, json: { detail: expect.stringContaining(message) } },
  });
});

test("an unknown application is answered 404, and in local mode nothing is to be decided", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {} }) });
  expect((await device.get("/v3/apps/7/update")).status).toBe(404);
  expect((await device.post("/v3/apps/7/update/confirm")).status).toBe(404);
  expect((await device.get("/v3/apps/1/update")).json).toMatchObject({ state: "steady", committed: null });
  expect(await device.post("/v3/apps/1/update/rollback")).toMatchObject({
    ...{
      status: 409,
      json: { detail: expect.stringMatching(/^In local mode, updates are neither tried nor committed/) },
    },
  });
});
