import { expect, expectTypeOf, test } from "vitest";
import { createClient } from "../../core/api/client.ts";
import { endpoints } from "../../core/api/index.ts";
import { app, testDevice } from "../support/device.ts";
import { bearer, managedDevice } from "./managed.ts";

interface Refusal {
  status: "failed";
  message: string;
}

test("a call has a typed request and a typed reply", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ one: {} }) });
  const call = createClient({ base: "http://device", fetch: device.fetch });

  const pong = await call(endpoints.ping);
  expect(pong).toEqual({ status: 200, body: "OK" });

  const stopped = await call(endpoints.stop, { params: { appId: 1 }, body: { force: true } });
  expectTypeOf(stopped.status).toEqualTypeOf<200 | 400 | 401 | 403 | 413 | 415 | 421 | 423 | 503>();
  if (stopped.status !== 200) throw new Error(`It was not stopped: ${stopped.status}`);
  expectTypeOf(stopped.body).toEqualTypeOf<{ containerId: string }>();
  expect(stopped.body.containerId).toBe((await device.container("one")).id);
});

test("a refusal is a reply like any other", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ one: {} }) });
  device.folders.lock(1, "one");
  const call = createClient({ base: "http://device", fetch: device.fetch });
  const refused = await call(endpoints.restart, { body: { appId: 1 } });
  if (refused.status === 423) expectTypeOf(refused.body).toEqualTypeOf<Refusal>();
  if (refused.status === 200) expectTypeOf(refused.body).toEqualTypeOf<"OK">();
  expect(refused).toMatchObject({ status: 423, body: { status: "failed" } });
});

test("parameters that are not in the path go into the query", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ "one.two": {} }) });
  const call = createClient({ base: "http://device", fetch: device.fetch });
  const { id } = await device.container("one.two");
  expect(await call(endpoints.containerId, { params: { service: "one.two" } })).toEqual({
    status: 200,
    body: { status: "success", containerId: id },
  });
});

test("the key is sent with each call", async () => {
  const device = await managedDevice();
  const base = "http://device";
  const without = createClient({ base, fetch: device.fetch });
  expect(await without(endpoints.version)).toEqual({ status: 401, body: "Unauthorized" });
  const call = createClient({ base, fetch: device.fetch, headers: bearer(device.supervisor.keys.global()) });
  expect((await call(endpoints.version)).status).toBe(200);
});

test("a stream is returned as a stream, and an empty answer has no body", async () => {
  const device = await testDevice();
  const call = createClient({ base: "http://device", fetch: device.fetch });
  const logs = await call(endpoints.logs);
  if (logs.status !== 200) throw new Error(`There are no logs: ${logs.status}`);
  expectTypeOf(logs.body).toEqualTypeOf<ReadableStream<Uint8Array>>();
  const { value } = await logs.body.getReader().read();
  expect(new TextDecoder().decode(value)).toContain("Streaming logs");
  expect(await call(endpoints.update, { body: {} })).toEqual({ status: 204, body: undefined });
});

test("an undeclared answer is an error", async () => {
  const call = createClient({
    base: "http://device",
    fetch: () => Promise.resolve(new Response("<html>", { status: 502 })),
  });
  await expect(call(endpoints.ping)).rejects.toThrow(/^GET \/ping answered 502, which it does not declare: "<html>"$/);
});

test("a call that does not match its endpoint does not compile", () => {
  const call = createClient({ base: "http://device", fetch });
  // @ts-expect-error the application is missing
  const missing = () => call(endpoints.stop, { body: {} });
  // @ts-expect-error the body is missing
  const bodiless = () => call(endpoints.restart);
  // @ts-expect-error an unknown field
  const unknown = () => call(endpoints.restart, { body: { appId: 1, banana: 1 } });
  for (const one of [missing, bodiless, unknown]) expectTypeOf(one).toBeFunction();
});
