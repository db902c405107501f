import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { build } from "esbuild";
import { describe, expect, expectTypeOf, test } from "vitest";
import { createClient, Refusal } from "../../core/client/index.ts";
import { impatient } from "./impatient.ts";
import { app, testDevice } from "../support/device.ts";
import { managedDevice } from "../api/managed.ts";

async function deviceWith(services: Record<string, object>) {
  const device = await testDevice();
  await device.run({ "1": app(services) });
  return { device, client: createClient({ fetch: device.fetch }) };
}

describe("an operation of the client", () => {
  test("resolves with the body of a success", async () => {
    const { device, client } = await deviceWith({ one: {} });
    expect(await client.ping()).toBe("OK");
    const stopped = await client.stop({ params: { appId: 1 }, body: { force: true } });
    expectTypeOf(stopped).toEqualTypeOf<{ containerId: string }>();
    expect(stopped.containerId).toBe((await device.container("one")).id);
  });

  test("puts parameters into the path, the query and the headers", async () => {
    const requests: Request[] = [];
    const client = createClient({
      baseUrl: "http://board/behind/",
      key: "k e y",
      fetch: (request) => {
        requests.push(request);
        return Promise.resolve(Response.json({}));
      },
    });
    await client.updateState({ params: { appId: 7 } });
    await client.containerId({ params: { service: "a b&c" } });
    await client.events({ params: { after: 3, accept: "application/json" } });
    await client.failUpdate({ params: { appId: 7 }, body: { reason: "no" } });
    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "GET http://board/behind/v3/apps/7/update",
      "GET http://board/behind/v2/containerId?service=a+b%26c",
      "GET http://board/behind/v3/events?after=3",
      "POST http://board/behind/v3/apps/7/update/fail",
    ]);
    expect(requests.map(({ headers }) => headers.get("authorization"))).toEqual(Array(4).fill("Bearer k e y"));
    expect(requests[2]?.headers.get("accept")).toBe("application/json");
    expect(requests[2]?.headers.get("content-type")).toBeNull();
    expect(await requests[3]?.json()).toEqual({ reason: "no" });
  });

  test("rejects with what the device says, which narrows by its status", async () => {
    const { device, client } = await deviceWith({ one: {} });
    device.folders.lock(1, "one");
    const error: unknown = await client.restart({ body: { appId: 1 } }).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(Refusal);
    expect(String(error)).toMatch(/^Refusal: restart was refused with 423: /);
    expect(client.stop.refused(error)).toBe(false);
    if (!client.restart.refused(error)) throw error;
    if (error.reply.status === 423)
      expectTypeOf(error.reply.body).toEqualTypeOf<{ status: "failed"; message: string }>();
    expect(error.reply).toMatchObject({ status: 423, body: { status: "failed" } });
  });

  test("can be asked for its answer, whatever it is", async () => {
    const { device, client } = await deviceWith({ one: {} });
    device.folders.lock(1, "one");
    const answer = await client.restart.reply({ body: { appId: 1 } });
    if (answer.status === 200) expectTypeOf(answer.body).toEqualTypeOf<"OK">();
    expect(answer).toMatchObject({ status: 423, body: { status: "failed" } });
  });

  test("needs the key of a managed device", async () => {
    const device = await managedDevice();
    const version = (key?: string) =>
      createClient({ fetch: device.fetch, ...(key !== undefined && { key }) }).version.reply();
    expect(await version()).toEqual({ status: 401, body: "Unauthorized" });
    expect((await version(device.supervisor.keys.global())).status).toBe(200);
  });

  test("returns a stream as a stream, and no body as undefined", async () => {
    const { client } = await deviceWith({ one: {} });
    const logs = await client.serviceLogs();
    expect(logs).toBeInstanceOf(ReadableStream);
    await logs.cancel();
    expect(await client.blink.reply()).toEqual({ status: 200, body: undefined });
  });
});

describe("after a failure", () => {
  /** Fails so often, then answers. */
  function failing(times: number, fail: () => Promise<Response>) {
    const asked: string[] = [];
    const fetch = (request: Request) => {
      asked.push(request.method);
      return asked.length <= times ? fail() : Promise.resolve(Response.json({ status: "success" }));
    };
    return { asked, client: createClient({ fetch, clock: impatient }) };
  }
  const unreachable = () => Promise.reject(new TypeError("fetch failed"));
  const busy = () => Promise.resolve(new Response("busy", { status: 503 }));

  test.each([unreachable, busy])("what only reads is repeated, twice at most (%#)", async (fail) => {
    const once = failing(1, fail);
    expect(await once.client.version()).toEqual({ status: "success" });
    expect(once.asked).toEqual(["GET", "GET"]);
    const never = failing(9, fail);
    await expect(never.client.version()).rejects.toThrow(/fetch failed|503: busy/);
    expect(never.asked).toHaveLength(3);
  });

  test("what changes something is not repeated to a server that knows no Idempotency-Key", async () => {
    const { asked, client } = failing(1, unreachable);
    await expect(client.reboot()).rejects.toThrow("fetch failed");
    expect(asked).toEqual(["POST", "GET"]);
  });

  test("what changes something is done once by a device, whose answers are cut", async () => {
    const device = await testDevice();
    const keys = new Set<string | null>();
    let cuts = 0;
    const fetch = async (request: Request) => {
      const isPost = request.method === "POST";
      if (isPost) keys.add(request.headers.get("idempotency-key"));
      const answer = await device.fetch(request);
      if (isPost && cuts++ < 2) throw new TypeError("fetch failed");
      return answer;
    };
    await createClient({ fetch, clock: impatient }).blink();
    expect([cuts, device.led.blinks, keys.size]).toEqual([3, 1, 1]);
    await createClient({ fetch, clock: impatient }).blink();
    expect([device.led.blinks, keys.size]).toEqual([2, 2]);
  });

  test("an operation is begun, and has its answer later", async () => {
    const { client } = await deviceWith({ one: {} });
    const { id, state } = await client.restart.begin({ body: { appId: 1 } });
    expect(state).toBe("running");
    expect(await client.operation({ params: { id, wait: 20 } })).toMatchObject({
      ...{ state: "done" },
      answer: { status: 200, body: "OK" },
    });
  });

  test("nothing is repeated when the caller has given up", async () => {
    const end = new AbortController();
    const { asked, client } = failing(9, async () => {
      end.abort(new Error("enough"));
      return busy();
    });
    await expect(client.version({ signal: end.signal })).rejects.toThrow("enough");
    expect(asked).toHaveLength(1);
  });
});

test("an answer that the check does not accept is an error, and is not asked for again", async () => {
  const asked: string[] = [];
  const client = createClient({
    fetch: ({ url }) => {
      asked.push(url);
      return Promise.resolve(new Response("<html>", { headers: { "content-type": "text/html" } }));
    },
    check: ({ method, path }, { status, body }) => {
      throw new Error(`${method} ${path}: ${status} ${String(body)}`);
    },
  });
  await expect(client.version()).rejects.toThrow("GET /v2/version: 200 <html>");
  expect(asked).toHaveLength(1);
});

test("a call that does not match its operation does not compile", () => {
  const client = createClient({ fetch });
  // @ts-expect-error the application is missing
  const missing = () => client.stop({ body: {} });
  // @ts-expect-error the body is missing
  const bodiless = () => client.restart();
  // @ts-expect-error an unknown field
  const unknown = () => client.restart({ body: { appId: 1, banana: 1 } });
  for (const one of [missing, bodiless, unknown]) expectTypeOf(one).toBeFunction();
});

test("it is small, and brings no schemas", async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "../../core/client/index.ts")],
    ...{ bundle: true, minify: true, format: "esm", target: "es2022", platform: "browser", write: false },
  });
  const code = outputFiles.map(({ text }) => text).join("");
  expect(code).not.toMatch(/zod|ZodError/i);
  expect(gzipSync(code).length).toBeLessThan(10_240);
});
