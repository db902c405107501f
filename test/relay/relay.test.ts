import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeFrame,
  encodeFrame,
  limits,
  ProtocolError,
  unbundle,
  type Bytes,
  type RequestHead,
} from "../../core/relay/frame.ts";
import { Requester } from "../../core/relay/requester.ts";
import { Responder } from "../../core/relay/responder.ts";
import { everything } from "../../core/model/scope.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { testDevice } from "../support/device.ts";
import { bytesOf, headOf, streamOf, textOf, tick, wireTo } from "./wire.ts";

const nothing = bytesOf("");
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Answers with a stream that counts what it has made, and learns when its reader leaves. */
function endless(chunkBytes: number) {
  const seen = { made: 0, cancelled: false, aborted: false };
  const fetch: Fetch = async ({ signal }) => {
    signal.addEventListener("abort", () => (seen.aborted = true));
    return new Response(
      new ReadableStream<Bytes>({
        pull(controller) {
          seen.made += chunkBytes;
          controller.enqueue(new Uint8Array(chunkBytes));
        },
        cancel: () => void (seen.cancelled = true),
      }),
    );
  };
  return { seen, fetch };
}

const echo: Fetch = async (request) => new Response(request.body, { headers: { "x-method": request.method } });

describe("a request", () => {
  test("is answered by the device's own fetch, with the global scope and no key", async () => {
    const device = await testDevice();
    const { requester } = wireTo((request, given) => {
      expect(given).toEqual({ scope: { ...everything, shell: false } });
      return device.fetch(request, given);
    });
    const outcome = await requester.call({ head: headOf("GET", "/v2/device/name"), body: nothing });
    expect(outcome).toMatchObject({ is: "answered", head: { status: 200 } });
    expect(JSON.parse(await textOf(outcome))).toEqual({ status: "success", deviceName: "local" });
  });

  test("without access to secrets is answered without them", async () => {
    const { requester } = wireTo((_, given) => Promise.resolve(Response.json(given)));
    const head = { ...headOf("GET", "/"), hideSecrets: true } as const;
    const outcome = await requester.call({ head, body: nothing });
    expect(JSON.parse(await textOf(outcome))).toEqual({ scope: { ...everything, secrets: "none", shell: false } });
  });

  test("with access to shells is answered with it, and names who has it", async () => {
    const { requester } = wireTo(async (_, given) => Response.json(given));
    const head = { ...headOf("GET", "/"), shell: "Token 1a2b" };
    const outcome = await requester.call({ head, body: nothing });
    expect(JSON.parse(await textOf(outcome))).toEqual({ scope: everything, name: "Token 1a2b" });
  });

  test("with a small answer is one frame each way", async () => {
    const { requester, messages } = wireTo(echo);
    const outcome = await requester.call({ head: headOf("POST", "/"), body: bytesOf("hello") });
    expect(await textOf(outcome)).toBe("hello");
    expect(messages.map(({ from, bytes }) => [from, decodeFrame(bytes).is])).toEqual([
      ["cloud", "request"],
      ["device", "response"],
    ]);
  });

  test("shares a message with others that are answered in the same turn", async () => {
    const { requester, messages } = wireTo(echo);
    const texts = ["a", "b", "c"].map(async (text) =>
      textOf(await requester.call({ head: headOf("POST", "/"), body: bytesOf(text) })),
    );
    expect(await Promise.all(texts)).toEqual(["a", "b", "c"]);
    const answers = messages.filter(({ from }) => from === "device").flatMap(({ bytes }) => unbundle(bytes.buffer));
    expect(answers).toHaveLength(3);
    expect(messages.length).toBeLessThan(6);
  });

  test("leaves at once while few wait for an answer, and with the others of its turn while many do", async () => {
    const { requester, messages } = wireTo(() => new Promise(() => {}));
    for (let n = 0; n < 20; n++) void requester.call({ head: headOf("GET", "/"), body: nothing });
    const sent = () => messages.map(({ bytes }) => unbundle(bytes.buffer).length);
    expect(sent()).toEqual(Array(7).fill(1));
    await pause(5);
    expect(sent()).toEqual([...Array(7).fill(1), 13]);
  });

  test("does not count as waiting once its answer has begun", async () => {
    const { requester, messages } = wireTo(endless(1024).fetch);
    for (let n = 0; n < 20; n++) streamOf(await requester.call({ head: headOf("GET", "/"), body: nothing }));
    const before = messages.length;
    void requester.call({ head: headOf("GET", "/"), body: nothing });
    expect(messages.length).toBe(before + 1);
  });

  test("carries status, headers and any bytes both ways, in pieces of any size", async () => {
    const { requester, responder } = wireTo(async (request) => {
      const headers = [...request.headers].filter(([name]) => name.startsWith("x-"));
      return new Response(request.body, { status: 203, headers });
    });
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(200_000)), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async (pieces, asStream) => {
        const bytes = pieces.map((size, n) => new Uint8Array(size).fill(n + 1));
        const whole = new Uint8Array(await new Blob(bytes).arrayBuffer());
        const body = asStream ? new Blob(bytes).stream() : whole;
        const outcome = await requester.call({ head: headOf("PUT", "/", [["x-a", "1"]]), body });
        if (outcome.is !== "answered") throw new Error(outcome.is);
        expect(outcome.head.status).toBe(203);
        expect(outcome.head.headers).toContainEqual(["x-a", "1"]);
        const back = new Uint8Array(await new Response(outcome.body).arrayBuffer());
        expect(Buffer.compare(back, whole)).toBe(0);
      }),
      { numRuns: 60 },
    );
    expect([requester.size, responder.size]).toEqual([0, 0]);
  });

  test("does not wait for others", async () => {
    const gates = new Map<string, () => void>();
    const { requester } = wireTo(async ({ url }) => {
      const name = new URL(url).pathname;
      await new Promise<void>((resolve) => gates.set(name, resolve));
      return new Response(name);
    });
    const names = Array.from({ length: 20 }, (_, n) => `/${n}`);
    const answers = names.map((path) => requester.call({ head: headOf("GET", path), body: nothing }));
    await expect.poll(() => gates.size).toBe(names.length);
    for (const name of names.toReversed()) {
      gates.get(name)?.();
      expect(await textOf(await (answers[Number(name.slice(1))] ?? answers[0]!))).toBe(name);
    }
  });

  test("beyond the limit of streams is refused, and accepted once another one has ended", async () => {
    const waiting: (() => void)[] = [];
    const { requester, messages } = wireTo(async () => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return new Response("done");
    });
    const ask = () => requester.call({ head: headOf("POST", "/v1/reboot"), body: nothing });
    const first = Array.from({ length: limits.streams }, ask);
    expect(await ask()).toEqual({ is: "busy" });
    await expect.poll(() => waiting.length).toBe(limits.streams);
    expect(messages.flatMap(({ bytes }) => unbundle(bytes.buffer))).toHaveLength(limits.streams);
    waiting[0]?.();
    await first[0];
    const last = ask();
    await pause(10);
    for (const resolve of waiting) resolve();
    expect(await textOf(await last)).toBe("done");
  });

  test("with too large a head is refused unsent", async () => {
    const { requester, messages } = wireTo(echo);
    const outcome = await requester.call({ head: headOf("GET", `/${"x".repeat(20_000)}`), body: nothing });
    expect(outcome.is).toBe("too large");
    expect([messages.length, requester.size]).toEqual([0, 0]);
  });

  test("that the device cannot answer is broken, with the device's reason", async () => {
    const { requester } = wireTo(async () => Promise.reject(new Error("out of memory")));
    const outcome = await requester.call({ head: headOf("GET", "/"), body: nothing });
    expect(outcome).toEqual({ is: "broken", reason: "the answer broke off: out of memory" });
  });

  test("whose answer has too large a head is broken, and others go on", async () => {
    const { requester } = wireTo(
      async ({ url }) => new Response("", { headers: url.endsWith("large") ? { "x-large": "x".repeat(20_000) } : {} }),
    );
    const large = await requester.call({ head: headOf("GET", "/large"), body: nothing });
    expect(large).toMatchObject({ is: "broken", reason: expect.stringContaining("at most 16384") });
    expect((await requester.call({ head: headOf("GET", "/small"), body: nothing })).is).toBe("answered");
  });
});

describe("a stream", () => {
  test("arrives as it is produced: its head before its first line, its first line before its second", async () => {
    const lines: ((line: string) => void)[] = [];
    const { requester } = wireTo(
      async () =>
        new Response(
          new ReadableStream<Bytes>({
            pull: (controller) =>
              new Promise<void>((resolve) =>
                lines.push((line) => {
                  controller.enqueue(bytesOf(line));
                  resolve();
                }),
              ),
          }),
        ),
    );
    const reader = streamOf(await requester.call({ head: headOf("GET", "/v2/local/logs"), body: nothing })).getReader();
    for (const line of ["one\n", "two\n"]) {
      await expect.poll(() => lines.length).toBe(1);
      lines.shift()?.(line);
      expect((await reader.read()).value).toEqual(bytesOf(line));
    }
  });

  test("of many small lines is few frames", async () => {
    let made = 0;
    const { requester, messages } = wireTo(
      async () =>
        new Response(
          new ReadableStream<Bytes>({
            pull(controller) {
              if (made === 10_000) return controller.close();
              controller.enqueue(bytesOf(`{"line":${made++}}\n`));
            },
          }),
        ),
    );
    const text = await textOf(await requester.call({ head: headOf("GET", "/"), body: nothing }));
    expect(text.split("\n").length).toBe(10_001);
    expect(messages.flatMap(({ bytes }) => unbundle(bytes.buffer)).length).toBeLessThan(20);
  });

  test("without a reader stops its producer within the window, and continues when it is read", async () => {
    const chunk = 16 * 1024;
    const { seen, fetch } = endless(chunk);
    const { requester } = wireTo(fetch);
    const reader = streamOf(await requester.call({ head: headOf("GET", "/"), body: nothing })).getReader();
    await pause(50);
    // A window at the reader, and what the maker's end has gathered for the next frame.
    const most = limits.windowBytes + 3 * limits.chunkBytes;
    expect(seen.made).toBeGreaterThanOrEqual(limits.windowBytes);
    expect(seen.made).toBeLessThanOrEqual(most);
    let read = 0;
    for (let n = 0; n < 200; n++) {
      read += (await reader.read()).value?.length ?? 0;
      await tick();
      expect(seen.made - read).toBeLessThanOrEqual(most);
    }
    expect(read).toBeGreaterThan(10 * limits.windowBytes);
    await reader.cancel();
  });

  test("of a request that the device does not read stops the sender within the window", async () => {
    let made = 0;
    const answer = Promise.withResolvers<Response>();
    const { requester, responder } = wireTo(() => answer.promise);
    const body = new ReadableStream<Bytes>(
      {
        pull(controller) {
          made += 16 * 1024;
          controller.enqueue(new Uint8Array(16 * 1024));
        },
      },
      { highWaterMark: 0 },
    );
    const outcome = requester.call({ head: headOf("POST", "/"), body });
    await pause(50);
    expect(made).toBe(limits.windowBytes + 16 * 1024);
    answer.resolve(new Response("enough"));
    expect(await textOf(await outcome)).toBe("enough");
    expect([requester.size, responder.size]).toEqual([0, 0]);
  });

  test("of a request may be as large as on the device's port, and what is beyond that is not sent", async () => {
    const device = await testDevice();
    const wire = wireTo(device.fetch);
    const json: [string, string][] = [["content-type", "application/json"]];
    const send = async (head: RequestHead, bytes: number) => {
      let sent = 0;
      const body = new ReadableStream<Bytes>({
        pull: (controller) => {
          const piece = bytesOf(sent === 0 ? '{"a":"' : "x".repeat(Math.min(65_536, bytes - 2 - sent)));
          controller.enqueue(piece);
          sent += piece.length;
          if (sent < bytes - 2) return;
          controller.enqueue(bytesOf('"}'));
          controller.close();
        },
      });
      const outcome = await wire.requester.call({ head, body });
      return { text: await textOf(outcome), status: outcome.is === "answered" ? outcome.head.status : 0, sent };
    };
    const tags = headOf("PATCH", "/v2/device/tags", json);
    expect(await send(tags, 65_536)).toMatchObject({ status: 202 });
    const refused = await send(tags, 50 * 1024 * 1024);
    expect(refused).toMatchObject({
      status: 413,
      text: expect.stringContaining("request entity too large, expected at most 65536 bytes"),
    });
    expect(refused.sent).toBeLessThan(1024 * 1024);
    const target = headOf("POST", "/v2/local/target-state", json);
    expect(await send(target, 10 * 1024 * 1024)).toMatchObject({ status: 400 });
    expect(await send(target, 10 * 1024 * 1024 + 1)).toMatchObject({ status: 413 });
    expect([wire.requester.size, wire.responder.size]).toEqual([0, 0]);
  });

  test("that is not read does not delay others", async () => {
    const { fetch } = endless(16 * 1024);
    const { requester } = wireTo((request) => (request.url.endsWith("/ping") ? echo(request) : fetch(request)));
    const slow = streamOf(await requester.call({ head: headOf("GET", "/"), body: nothing }));
    await pause(20);
    expect((await requester.call({ head: headOf("GET", "/ping"), body: nothing })).is).toBe("answered");
    await slow.cancel();
  });
});

describe("whoever leaves", () => {
  test("while waiting for the answer, aborts the handler's request", async () => {
    let heard: unknown;
    const { requester, responder } = wireTo(async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      heard = signal.reason;
      return new Response("for nobody");
    });
    const leave = new AbortController();
    const outcome = requester.call({ head: headOf("GET", "/"), body: nothing }, leave.signal);
    await pause(5);
    leave.abort("gone");
    expect(await outcome).toEqual({ is: "aborted", reason: "gone" });
    await expect.poll(() => heard).toEqual(new Error("the caller has gone"));
    expect([requester.size, responder.size]).toEqual([0, 0]);
  });

  test("while reading the answer, ends the handler's stream", async () => {
    const { seen, fetch } = endless(1024);
    const { requester, responder } = wireTo(fetch);
    const stream = streamOf(await requester.call({ head: headOf("GET", "/"), body: nothing }));
    await stream.cancel();
    await expect.poll(() => seen).toMatchObject({ cancelled: true, aborted: true });
    expect([requester.size, responder.size]).toEqual([0, 0]);
  });

  test("by a signal while reading, makes the stream fail", async () => {
    const { seen, fetch } = endless(1024);
    const { requester } = wireTo(fetch);
    const leave = new AbortController();
    const stream = streamOf(await requester.call({ head: headOf("GET", "/"), body: nothing }, leave.signal));
    leave.abort();
    await expect(new Response(stream).text()).rejects.toThrow("the caller has gone");
    await expect.poll(() => seen.cancelled).toBe(true);
  });

  test("before anything was sent, sends nothing", async () => {
    const { requester, messages } = wireTo(echo);
    const outcome = await requester.call({ head: headOf("GET", "/"), body: nothing }, AbortSignal.abort("early"));
    expect(outcome).toEqual({ is: "aborted", reason: "early" });
    expect(messages).toEqual([]);
  });

  test("in the middle of an upload, breaks the request on the device", async () => {
    let failure: unknown;
    const { requester } = wireTo(async (request) => {
      failure = await request.text().catch((error: unknown) => error);
      return new Response("");
    });
    const body = new ReadableStream<Bytes>({
      start(controller) {
        controller.enqueue(bytesOf("half"));
      },
      async pull(controller) {
        await pause(5);
        controller.error(new Error("the browser was closed"));
      },
    });
    const outcome = await requester.call({ head: headOf("POST", "/"), body });
    expect(outcome).toMatchObject({ is: "broken", reason: "the request broke off: the browser was closed" });
    await expect.poll(() => failure).toBeInstanceOf(Error);
  });
});

describe("a socket that is cut", () => {
  test("fails waiting requests and open streams: never a clean end", async () => {
    const { seen, fetch } = endless(1024);
    const { requester, responder, cut } = wireTo((request) =>
      request.url.endsWith("/never") ? new Promise(() => {}) : fetch(request),
    );
    const waiting = requester.call({ head: headOf("POST", "/never"), body: nothing });
    const stream = streamOf(await requester.call({ head: headOf("GET", "/"), body: nothing }));
    cut("the device has gone");
    expect(await waiting).toEqual({ is: "broken", reason: "the device has gone" });
    await expect(new Response(stream).text()).rejects.toThrow("the device has gone");
    await expect.poll(() => seen).toMatchObject({ cancelled: true, aborted: true });
    expect([requester.size, responder.size]).toEqual([0, 0]);
  });

  test("does not send a request twice", async () => {
    const { requester, messages, cut } = wireTo(() => new Promise(() => {}));
    const waiting = requester.call({ head: headOf("POST", "/v1/reboot"), body: nothing });
    await pause(5);
    cut("gone");
    expect((await waiting).is).toBe("broken");
    await pause(5);
    expect(messages.filter(({ from }) => from === "cloud").length).toBe(1);
  });
});

describe("the life after a hibernation", () => {
  test("ignores the device's frames for the previous one", async () => {
    const { seen, fetch } = endless(1024);
    const device = { toCloud: (_: ArrayBuffer) => {} };
    const responder = new Responder({ fetch, send: (bytes) => device.toCloud(bytes.slice().buffer), tick });
    const before = new Requester({ send: (bytes) => responder.receive(bytes.slice().buffer), tick });
    device.toCloud = (message) => before.receive(message);
    await before.call({ head: headOf("GET", "/"), body: nothing });

    const after = new Requester({
      send: (bytes) => responder.receive(bytes.slice().buffer),
      tick,
      firstId: 0x7000_0000,
    });
    device.toCloud = (message) => after.receive(message);
    await pause(5);
    after.forgetOthers();
    await expect.poll(() => seen).toMatchObject({ cancelled: true, aborted: true });
    expect(responder.size).toBe(0);
    await streamOf(await after.call({ head: headOf("GET", "/"), body: nothing })).cancel();
  });

  test("counts on beyond the largest id", async () => {
    const { responder } = wireTo(echo);
    const ids: number[] = [];
    const send = (bytes: Bytes) => {
      ids.push(decodeFrame(bytes).id);
      responder.receive(bytes.slice().buffer);
    };
    const requester = new Requester({ send, tick, firstId: 0xffffffff });
    void requester.call({ head: headOf("GET", "/"), body: nothing });
    void requester.call({ head: headOf("GET", "/"), body: nothing });
    expect(ids).toEqual([0xffffffff, 1]);
  });
});

describe("a peer that does not keep to the protocol", () => {
  const encoded = (...args: Parameters<typeof encodeFrame>) => encodeFrame(...args).buffer;
  const head = { status: 200, headers: [] };

  test.each([
    ["asks the cloud", [{ is: "request", id: 1, head: headOf("GET", "/"), body: nothing, end: true }]],
    ["sends data before its answer", [{ is: "data", id: 1, body: nothing, end: false }]],
    ["answers twice", Array(2).fill({ is: "response", id: 1, head, body: nothing, end: false })],
    ["gives credit for what was not sent", [{ is: "credit", id: 1, bytes: 1 }]],
    [
      "sends more than it has credit for",
      [
        { is: "response", id: 1, head, body: nothing, end: false },
        ...Array(5).fill({ is: "data", id: 1, body: new Uint8Array(limits.chunkBytes), end: false }),
      ],
    ],
  ] as const)("as a device that %s, is told apart", async (_, messages) => {
    const requester = new Requester({ send: () => {}, tick });
    const outcome = requester.call({ head: headOf("GET", "/"), body: nothing });
    expect(() => messages.forEach((frame) => requester.receive(encoded(frame)))).toThrow(ProtocolError);
    requester.close("protocol error");
    const { is } = await outcome;
    expect(["broken", "answered"]).toContain(is);
    expect(requester.size).toBe(0);
  });

  test.each([
    ["answers the device", [{ is: "response", id: 1, head, body: nothing, end: true }]],
    ["asks twice at once", Array(2).fill({ is: "request", id: 1, head: headOf("GET", "/"), body: nothing, end: true })],
    [
      "opens too many streams",
      Array.from({ length: limits.streams + 1 }, (_, n) => ({
        is: "request" as const,
        id: n + 1,
        head: headOf("GET", "/"),
        body: nothing,
        end: true,
      })),
    ],
    [
      "goes on after the end",
      [
        { is: "request", id: 1, head: headOf("POST", "/"), body: nothing, end: true },
        { is: "data", id: 1, body: nothing, end: false },
      ],
    ],
  ] as const)("as a cloud that %s, is told apart", async (_, messages) => {
    const responder = new Responder({ fetch: () => new Promise(() => {}), send: () => {}, tick });
    expect(() => messages.forEach((frame) => responder.receive(encoded(frame)))).toThrow(ProtocolError);
    responder.close("protocol error");
    expect(responder.size).toBe(0);
  });

  test("by any sequence of frames, makes neither end throw anything else, nor hold anything afterwards", async () => {
    const stream = fc.integer({ min: 1, max: 3 });
    const body = fc.constantFrom(nothing, bytesOf("x"), new Uint8Array(limits.chunkBytes));
    const end = fc.boolean();
    const frame = fc.oneof(
      fc.record({ is: fc.constant("request" as const), id: stream, head: fc.constant(headOf("POST", "/")), body, end }),
      fc.record({ is: fc.constant("response" as const), id: stream, head: fc.constant(head), body, end }),
      fc.record({ is: fc.constant("data" as const), id: stream, body, end }),
      fc.record({ is: fc.constant("credit" as const), id: stream, bytes: fc.integer({ min: 1, max: 1000 }) }),
      fc.record({ is: fc.constant("reset" as const), id: fc.nat({ max: 3 }), reason: fc.string() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (messages) => {
        const requester = new Requester({ send: () => {}, tick });
        const outcomes = [1, 2, 3].map(() => requester.call({ head: headOf("POST", "/"), body: bytesOf("x") }));
        const responder = new Responder({ fetch: echo, send: () => {}, tick });
        for (const end of [requester, responder])
          try {
            for (const message of messages) end.receive(encoded(message));
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          } finally {
            end.close("over");
          }
        await Promise.all(outcomes);
        await tick();
        expect([requester.size, responder.size]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
