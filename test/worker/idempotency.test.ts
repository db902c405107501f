import { expect, test } from "vitest";
import * as z from "zod";
import { adminSecret, startCloud } from "./cloud.ts";
import { newToken } from "./people.ts";
import { connected, joinAgent, startRelay } from "./devices.ts";

/** Requests with an Idempotency-Key, to the administration and through the relay. */

const cloud = startCloud();
const relay = startRelay();

async function post(path: string, body: object, key: string, bearer = adminSecret) {
  const answer = await fetch(cloud.url() + path, {
    method: "POST",
    headers: {
      ...{ authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      "idempotency-key": `"${key}"`,
    },
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: z.looseObject({}).parse(await answer.json()) };
}

test("a change of the cloud is made once, also after an eviction of the directory", async () => {
  const made = await post("/admin/v1/fleets", { name: "once" }, "fleet");
  expect(made.status).toBe(201);
  expect(await post("/admin/v1/fleets", { name: "once" }, "fleet")).toEqual(made);
  await cloud.worker.getWorker().evictDurableObject("Directory", { name: "directory" });
  expect(await post("/admin/v1/fleets", { name: "once" }, "fleet")).toEqual(made);
  expect(await post("/admin/v1/fleets", { name: "twice" }, "fleet")).toMatchObject({
    ...{ status: 422, json: { type: "/docs/errors#key-reused" } },
  });
  // Without the key it exists already, and another token has keys of its own.
  expect((await post("/admin/v1/fleets", { name: "once" }, "other")).status).toBe(409);
  const { token } = await newToken(cloud, { write: true });
  expect((await post("/admin/v1/fleets", { name: "once" }, "fleet", token)).status).not.toBe(201);
});

test("a token is created once, and its answer is not kept", async () => {
  const body = { name: "robot", fleets: "all" };
  expect((await post("/admin/v1/tokens", body, "token")).status).toBe(201);
  expect(await post("/admin/v1/tokens", body, "token")).toMatchObject({
    ...{ status: 409, json: { type: "/docs/errors#answer-not-kept" } },
  });
  const Named = z.array(z.object({ name: z.string() }));
  const tokens = await cloud.get(Named, "/admin/v1/tokens");
  expect(tokens.filter(({ name }) => name === "robot")).toHaveLength(1);
});

test("a relayed request acts once, also when the relay is cut in between", async () => {
  const { agent, uuid, tunnel } = await joinAgent(relay);
  const blink = (key: string) => relay.relay("/v1/blink", { uuid }, { headers: { "idempotency-key": key } });
  expect([(await blink("a")).status, (await blink('"a"')).status, agent.led.blinks]).toEqual([200, 200, 1]);
  expect([(await blink("b")).status, agent.led.blinks]).toEqual([200, 2]);
  await relay.deploy();
  await expect.poll(() => tunnel.state().is, { timeout: 20_000 }).not.toBe("connected");
  await connected(tunnel);
  expect([(await blink("a")).status, agent.led.blinks]).toEqual([200, 2]);
  const invalid = await blink("a, b");
  expect([invalid.status, await invalid.text()]).toEqual([400, expect.stringContaining("Idempotency-Key: expected")]);
  const ping = await relay.relay("/ping", { uuid, method: "GET" });
  expect(ping.headers.get("accept-idempotency-key")).toBe("?1");
});
