import { describe, expect, test } from "vitest";
import * as z from "zod";
import { RunningOperation } from "../../core/api/once.ts";
import { MemoryRequestJournal } from "../../core/embedded/request-journal.ts";
import { mostRunning } from "../../core/operations/running.ts";
import { app, testDevice, type Answer, type TestDevice } from "../support/device.ts";
import { failed, refused, seen } from "./answers.ts";
import { cloudApp, managedDevice } from "./managed.ts";

const async = { prefer: "respond-async" };
const started = ({ json }: Answer) => RunningOperation.parse(json);
const shown = async (device: TestDevice, id: string, wait = 20) =>
  RunningOperation.parse((await device.get(`/v3/operations/${id}?wait=${wait}`)).json);

async function running(): Promise<TestDevice> {
  const device = await testDevice();
  await device.run({ "1": app({ one: {} }) });
  return device;
}

describe("Prefer: respond-async", () => {
  test("answers at once with the operation, which holds the answer once it has ended", async () => {
    const device = await running();
    const answer = await device.post("/v1/restart", { appId: 1 }, async);
    const { id, state, request, startedAt } = started(answer);
    expect([answer.status, answer.headers.get("location"), answer.headers.get("preference-applied")]).toEqual([
      ...[202, `/v3/operations/${id}`, "respond-async"],
    ]);
    expect([state, request, Date.parse(startedAt) <= Date.now()]).toEqual(["running", "POST /v1/restart", true]);
    expect(await shown(device, id)).toMatchObject({
      ...{ id, state: "done", cancellable: false },
      answer: { status: 200, contentType: "text/plain; charset=utf-8", body: "OK" },
    });
  });

  test("of a request that fails: the answer is the refusal, JSON as a value", async () => {
    const device = await running();
    const { id } = started(await device.post("/v1/restart", { appId: 9 }, async));
    const message = "Application with ID 9 is not in the current state";
    expect(await shown(device, id)).toMatchObject({
      state: "failed",
      answer: { status: 503, body: { status: "failed", message } },
    });
  });

  test("with wait=: the answer itself, if it comes in this time", async () => {
    const device = await running();
    const answer = await device.post("/v1/restart", { appId: 1 }, { prefer: "respond-async, wait=30" });
    expect([answer.status, answer.text]).toEqual([200, "OK"]);
  });

  test("is not for what is invalid, out of scope, secret or only read", async () => {
    const device = await running();
    expect((await device.post("/v1/restart", {}, async)).status).toBe(400);
    expect((await device.get("/v3/locks", async)).status).toBe(200);
    expect((await device.post("/v3/apps/1/plan", { local: { apps: {} } }, async)).status).toBeLessThan(500);
    expect((await device.post("/v1/regenerate-api-key", undefined, async)).status).toBe(503);
    expect((await device.get("/v3/operations")).json).toEqual({ operations: [] });
  });

  test("and an Idempotency-Key: a repetition is the same operation", async () => {
    const device = await running();
    const headers = { ...async, "idempotency-key": "k" };
    const first = started(await device.post("/v1/restart", { appId: 1 }, headers));
    await shown(device, first.id);
    expect(started(await device.post("/v1/restart", { appId: 1 }, headers))).toEqual(first);
  });
});

test("the operations of a key are listed, the newest first, and those of others are not found", async () => {
  const device = await managedDevice();
  await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) });
  const [owner, web] = [device.globalKey(), await device.keyOf(1, "web")];
  const one = started(await device.post("/v1/blink", undefined, { ...owner, ...async }));
  const two = started(await device.post("/v1/blink", undefined, { ...owner, ...async }));
  const List = z.object({ operations: z.array(RunningOperation) });
  const idsOf = async (key: Record<string, string>) =>
    List.parse((await device.get("/v3/operations", key)).json).operations.map(({ id }) => id);
  expect([await idsOf(owner), await idsOf(web)]).toEqual([[two.id, one.id], []]);
  const unknown = refused("unknown-operation", "This key has begun no such operation, or it is no longer kept");
  expect(seen(await device.get(`/v3/operations/${one.id}`, web))).toEqual(unknown);
  expect(seen(await device.send("DELETE", `/v3/operations/${one.id}`, { headers: web }))).toEqual(unknown);
});

describe("DELETE /v3/operations/:id", () => {
  test("cancels an operation that waits for its turn, which then does nothing", async () => {
    const device = await running();
    const before = (await device.container("one")).id;
    const held = Promise.withResolvers<void>();
    const busy = device.supervisor.loop.exclusively(1, () => held.promise);
    const { id } = started(await device.post("/v2/applications/1/restart-service", { serviceName: "one" }, async));
    expect((await shown(device, id, 0)).cancellable).toBe(true);
    expect((await device.send("DELETE", `/v3/operations/${id}`)).status).toBe(204);
    expect(await shown(device, id)).toMatchObject({ state: "cancelled", cancellable: false });
    held.resolve();
    await busy;
    await device.settled();
    const after = await device.container("one");
    expect([after.id, after.startedAt]).toEqual([before, (await device.container("one")).startedAt]);
    expect(device.log.lines.filter((line) => /failed/i.test(line))).toEqual([]);
    expect((await device.post("/v1/restart", { appId: 1 })).status).toBe(200);
  });

  test("says that an operation which acts, or has ended, is not undone", async () => {
    const device = await running();
    const held = Promise.withResolvers<void>();
    const { goDown } = device.power;
    device.power.goDown = async (how) => {
      await held.promise;
      return goDown.call(device.power, how);
    };
    const { id } = started(await device.post("/v1/reboot", {}, async));
    const cancel = async () => seen(await device.send("DELETE", `/v3/operations/${id}`));
    expect(await cancel()).toEqual(
      refused("already-acting", "The operation has begun to act, and is not undone; it ends by itself"),
    );
    held.resolve();
    expect((await shown(device, id)).state).toBe("done");
    expect(await cancel()).toEqual(
      refused("operation-ended", `The operation has ended: GET /v3/operations/${id} has its answer`),
    );
  });
});

test("an operation that a restart of the agent has interrupted says so; one that has ended keeps its answer", async () => {
  const requestJournal = new MemoryRequestJournal();
  const first = await testDevice({ ports: { requestJournal } });
  const done = started(await first.post("/v1/blink", undefined, async));
  await shown(first, done.id);
  first.power.goDown = () => new Promise(() => {});
  const cut = started(await first.post("/v1/reboot", {}, async));
  const second = await testDevice({ ports: { requestJournal } });
  expect(await shown(second, done.id)).toMatchObject({ state: "done", answer: { status: 200 } });
  expect(await shown(second, cut.id)).toMatchObject({
    ...{ state: "failed", cancellable: false },
    why: "It was interrupted, and may have acted",
  });
});

test("too many operations at once are refused, and nothing is done", async () => {
  const device = await testDevice();
  device.power.goDown = () => new Promise(() => {});
  for (let n = 0; n < mostRunning; n++) await device.post("/v1/reboot", {}, async);
  expect(seen(await device.post("/v1/blink", undefined, async))).toEqual(
    failed(503, "There are too many operations in progress; try again later"),
  );
  expect(device.led.blinks).toBe(0);
});
