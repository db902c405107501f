import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { endpoints as administration } from "../../core/api/admin/index.ts";
import type { Endpoint, Replies } from "../../core/api/endpoint.ts";
import { endpoints } from "../../core/api/index.ts";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { MemoryLed, MemoryStore } from "../../core/embedded/ports.ts";
import { MemoryRequestJournal } from "../../core/embedded/request-journal.ts";
import type { KeptRequest } from "../../core/model/kept-request.ts";
import { everything } from "../../core/model/scope.ts";
import type { RequestJournal } from "../../core/ports/request-journal.ts";
import { Chance } from "../simulation/clock.ts";
import { app, testDevice } from "../support/device.ts";
import { failed, refused, seen } from "./answers.ts";
import { cloudApp, managedDevice } from "./managed.ts";

const key = (text: string) => ({ "idempotency-key": text });

describe("a request with an Idempotency-Key", () => {
  test("acts once, and a repetition gets the same answer", async () => {
    const device = await testDevice();
    const first = await device.post("/v1/blink", undefined, key('"a"'));
    const again = await device.post("/v1/blink", undefined, key("a"));
    expect([first.status, again.status, device.led.blinks]).toEqual([200, 200, 1]);
    await device.post("/v1/blink", undefined, key('"b"'));
    await device.post("/v1/blink");
    await device.post("/v1/blink");
    expect(device.led.blinks).toBe(4);
  });

  test("gets the body and the headers of the first answer, also of a refusal", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const body = { appId: 1, service: "one", reason: "upload", ttl: 60 };
    const first = await device.post("/v3/locks", body, key("k"));
    const again = await device.post("/v3/locks", body, key("k"));
    expect(first.status).toBe(201);
    expect([seen(again), again.headers.get("etag")]).toEqual([seen(first), first.headers.get("etag")]);
    const [one, two] = [
      await device.post("/v3/apps/1/update/retry", undefined, key("r")),
      await device.post("/v3/apps/1/update/retry", undefined, key("r")),
    ];
    expect([one.status, seen(two)]).toEqual([409, seen(one)]);
  });

  test("waits for the first one if that is still acting", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const before = (await device.container("one")).id;
    const answers = await Promise.all([1, 2, 3].map(() => device.post("/v1/restart", { appId: 1 }, key("k"))));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await device.container("one")).id).not.toBe(before);
    const { json } = await device.get("/v3/history?limit=1000");
    expect(JSON.stringify(json ?? {})).not.toContain("requestFailed");
  });

  test("is refused with another body, another path or another method", async () => {
    const device = await testDevice();
    const reused = refused("key-reused", "This Idempotency-Key came with another request; each request needs its own");
    await device.post("/v1/update", { force: true }, key("k"));
    expect(seen(await device.post("/v1/update", { force: false }, key("k")))).toEqual(reused);
    expect(seen(await device.post("/v1/blink", undefined, key("k")))).toEqual(reused);
    expect(seen(await device.patch("/v2/device/tags", { force: "1" }, key("k")))).toEqual(reused);
    expect(device.led.blinks).toBe(0);
  });

  test.each(["", '"', "a, b", 'a"b', "ü", "x".repeat(129)])(
    "is refused with a key of another form: %s",
    async (text) => {
      const device = await testDevice();
      const answer = await device.post("/v1/blink", undefined, key(text));
      expect(seen(answer)).toEqual(
        failed(
          400,
          'Idempotency-Key: expected one text of 1 to 128 visible characters without quotes, commas and "\\"',
        ),
      );
      expect(device.led.blinks).toBe(0);
    },
  );

  test("that is invalid uses up no key", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect((await device.post("/v1/restart", {}, key("k"))).status).toBe(400);
    expect((await device.post("/v1/restart", { appId: 1 }, key("k"))).status).toBe(200);
  });

  test("belongs to its caller: another one acts with the same key", async () => {
    const device = await managedDevice();
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) });
    const blink = async (headers: Record<string, string>) =>
      (await device.post("/v1/blink", undefined, { ...headers, ...key("k") })).status;
    const one = await device.keyOf(1, "web");
    expect([await blink(device.globalKey()), await blink(one), await blink(one)]).toEqual([200, 200, 200]);
    expect(device.led.blinks).toBe(2);
    expect((await device.post("/v1/blink", undefined, { authorization: "Bearer no", ...key("k") })).status).toBe(401);
  });

  test("for a new API key acts once, and the answer with the key is not kept", async () => {
    const stored: KeptRequest[] = [];
    const requestJournal = new MemoryRequestJournal();
    const end = requestJournal.end.bind(requestJournal);
    requestJournal.end = (request) => {
      stored.push(request);
      return end(request);
    };
    const device = await managedDevice({ ports: { requestJournal } });
    const ask = () =>
      device.fetch(new Request("http://device/v1/regenerate-api-key", { method: "POST", headers: key("k") }), {
        scope: everything,
      });
    const made = await (await ask()).text();
    expect(made).toBe(device.supervisor.keys.global());
    const again = await ask();
    expect([again.status, await again.text()]).toEqual([409, expect.stringContaining("/docs/errors#answer-not-kept")]);
    expect(device.supervisor.keys.global()).toBe(made);
    expect(stored).toMatchObject([{ caller: "cloud", answer: { status: 200, without: "secret" } }]);
    expect(JSON.stringify(stored)).not.toContain(made);
  });

  test("is refused while it cannot be stored, and does nothing", async () => {
    const requestJournal = broken("begin");
    const device = await testDevice({ ports: { requestJournal } });
    const answer = await device.post("/v1/blink", undefined, key("k"));
    expect(seen(answer)).toEqual(failed(503, "The request could not be stored, and nothing was done; try again"));
    expect(device.led.blinks).toBe(0);
  });

  test("whose answer was lost with the agent is not done again, and says that it may have acted", async () => {
    const requestJournal = broken("end");
    const led = new MemoryLed();
    const ports = { requestJournal, led };
    await (await testDevice({ ports })).post("/v1/blink", undefined, key("k"));
    const answer = await (await testDevice({ ports })).post("/v1/blink", undefined, key("k"));
    expect([answer.status, answer.json]).toMatchObject([409, { type: "/docs/errors#may-have-acted" }]);
    expect(led.blinks).toBe(1);
  });
});

test("no answer that has a key, a token or a secret is kept", () => {
  const all: readonly Pick<Endpoint<unknown, unknown, Replies>, "method" | "path" | "replies" | "secretAnswer">[] = [
    ...Object.values(endpoints),
    ...Object.values(administration),
  ];
  const hasSecret = ({ replies }: { readonly replies: Replies }) =>
    [200, 201].some((status) => {
      const schema = replies[status]?.schema;
      const { properties = {} } = schema ? z.toJSONSchema(schema, { io: "output", unrepresentable: "any" }) : {};
      return ["key", "token", "secret", "password"].some((name) => name in properties);
    });
  const found = all.filter((one) => one.method !== "GET" && hasSecret(one));
  expect(found.map(({ path }) => path)).toContain("/admin/v1/tokens");
  expect(found.filter(({ secretAnswer }) => !secretAnswer).map(({ path }) => path)).toEqual([]);
});

test("without the header nothing is stored", async () => {
  const device = await testDevice({ ports: { requestJournal: broken("begin") } });
  expect((await device.post("/v1/blink")).status).toBe(200);
  expect((await device.get("/v3/locks", key("k"))).status).toBe(200);
});

test("a client learns from /ping that requests act once", async () => {
  const device = await testDevice();
  expect((await device.get("/ping")).headers.get("accept-idempotency-key")).toBe("?1");
});

/**
 * The connection is cut before or after the device has acted, or the agent restarts; the client sends the same again until it
 * has an answer. IDEMPOTENT_POSTS=10000 makes more of them.
 */
const posts = Number(process.env["IDEMPOTENT_POSTS"] ?? 300);

test("requests that are repeated after cuts and restarts act once each", { timeout: 60_000 + posts * 50 }, async () => {
  const led = new MemoryLed();
  const ports = { led, store: new MemoryStore(), requestJournal: new MemoryRequestJournal() };
  let device = await createMemoryDevice({ ports });
  onTestFinished(() => device.stop());
  const chance = new Chance(7);
  const outcomes = { acted: 0, cuts: 0, restarts: 0, interrupted: 0, doubled: 0 };
  for (let n = 0; n < posts; n++) {
    const before = led.blinks;
    const send = () =>
      device.fetch(new Request("http://device/v1/blink", { method: "POST", headers: key(`post-${n}`) }));
    for (let isAnswered = false; !isAnswered;) {
      const fault = chance.below(8);
      if (fault === 0) {
        // Cut before the device has it.
        outcomes.cuts++;
        continue;
      }
      const answer = send();
      if (fault === 1) {
        // Cut while it acts: the next one may arrive before this one is answered.
        outcomes.cuts++;
        void answer;
        continue;
      }
      if (fault === 2 && chance.below(4) === 0) {
        outcomes.restarts++;
        await device.stop();
        device = await createMemoryDevice({ ports });
        continue;
      }
      const { status } = await answer;
      if (fault === 3) {
        // The answer is cut.
        outcomes.cuts++;
        continue;
      }
      expect([200, 409]).toContain(status);
      if (status === 409) outcomes.interrupted++;
      isAnswered = true;
    }
    outcomes.acted += led.blinks - before;
    if (led.blinks - before > 1) outcomes.doubled++;
  }
  if (posts >= 3000) console.log(`${posts} requests: ${JSON.stringify(outcomes)}`);
  expect(outcomes.doubled).toBe(0);
  expect(outcomes.acted + outcomes.interrupted).toBeGreaterThanOrEqual(posts);
  expect(Math.min(outcomes.cuts, outcomes.restarts)).toBeGreaterThan(0);
});

/** A journal on a disk that is full: it refuses to store this. */
function broken(what: "begin" | "end"): RequestJournal {
  const journal = new MemoryRequestJournal();
  const refuse = async () => {
    throw new Error("disk full");
  };
  return {
    read: (id) => journal.read(id),
    begin: (request: KeptRequest) => (what === "begin" ? refuse() : journal.begin(request)),
    end: refuse,
    operations: (caller, limit) => journal.operations(caller, limit),
  };
}
