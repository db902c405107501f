import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bundle,
  decodeFrame,
  encodeFrame,
  HeadTooLarge,
  limits,
  ProtocolError,
  unbundle,
  type Bytes,
  type Frame,
} from "../../core/relay/frame.ts";
import { bytesOf, headOf } from "./wire.ts";

const id = fc.integer({ min: 1, max: 0xffffffff });
const body = fc.uint8Array({ maxLength: 2000 }).map((bytes) => new Uint8Array(bytes));
const end = fc.boolean();
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
const value = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,50}$/);
const headers = fc.array(fc.tuple(name, value), { maxLength: 20 });
const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS");
const path = fc.stringMatching(/^\/[\x21-\x7e]{0,100}$/);
const request = fc.record({ method, path, headers });
const response = fc.record({ status: fc.integer({ min: 200, max: 599 }), headers });
const frames: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ is: fc.constant("request" as const), id, head: request, body, end }),
  fc.record({ is: fc.constant("response" as const), id, head: response, body, end }),
  fc.record({ is: fc.constant("data" as const), id, body, end }),
  fc.record({ is: fc.constant("credit" as const), id, bytes: fc.integer({ min: 1, max: limits.windowBytes }) }),
  fc.record({
    is: fc.constant("reset" as const),
    id: fc.nat(),
    reason: fc.string({ unit: "grapheme", maxLength: 50 }),
  }),
);

/** A frame of any kind with any bytes behind it. */
function raw(kind: number, flags: number, stream: number, rest: Uint8Array): Bytes {
  const bytes = new Uint8Array(6 + rest.length);
  bytes.set([kind, flags, stream >>> 24, (stream >>> 16) & 0xff, (stream >>> 8) & 0xff, stream & 0xff]);
  bytes.set(rest, 6);
  return bytes;
}

const withHead = (kind: number, head: unknown): Bytes => {
  const json = bytesOf(typeof head === "string" ? head : JSON.stringify(head));
  return raw(kind, 1, 7, new Uint8Array([json.length >> 8, json.length & 0xff, ...json]));
};

describe("a frame", () => {
  test("arrives as it was sent", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
      }),
    );
  });

  test("of a small request costs eight bytes beside its head and body", () => {
    const head = headOf("POST", "/v1/blink");
    const bytes = encodeFrame({ is: "request", id: 1, head, body: bytesOf("{}"), end: true });
    expect(bytes.length).toBe(8 + JSON.stringify(head).length + 2);
  });

  test("of any bytes at all is a frame or a ProtocolError, and nothing else", () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => new Uint8Array(bytes)),
      fc
        .tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 2 }), fc.nat({ max: 3 }), fc.uint8Array())
        .map(([kind, flags, stream, rest]) => raw(kind, flags, stream, rest)),
      fc.tuple(fc.constantFrom(1, 2), fc.json()).map(([kind, json]) => withHead(kind, json)),
      // One that was right, with one byte changed.
      fc.tuple(frames, fc.nat(), fc.nat({ max: 255 })).map(([frame, at, byte]) => {
        const bytes = encodeFrame(frame);
        bytes[at % bytes.length] = byte;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(hostile, (bytes) => {
        try {
          const frame = decodeFrame(bytes);
          expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["shorter than any", new Uint8Array(5), "expected at least 6"],
    ["of an unknown kind", raw(9, 0, 1, new Uint8Array(0)), "kind 9"],
    ["with unknown flags", raw(3, 2, 1, new Uint8Array(0)), "expected 0 or 1"],
    ["of data on stream 0", raw(3, 0, 0, new Uint8Array(0)), "1 or more"],
    ["with a head beyond its end", raw(1, 0, 1, new Uint8Array([1, 0])), "whole head"],
    ["with a head over the limit", raw(1, 0, 1, new Uint8Array([0xff, 0xff, ...Array(65535).fill(32)])), "whole head"],
    ["with too large a body", raw(3, 0, 1, new Uint8Array(limits.chunkBytes + 1)), "at most 65536"],
    ["of no credit", raw(4, 0, 1, new Uint8Array(4)), "1 to 262144"],
    ["of endless credit", raw(4, 0, 1, new Uint8Array([255, 255, 255, 255])), "1 to 262144"],
    ["with an endless reason", raw(5, 0, 1, new Uint8Array(limits.reasonBytes + 1)), "at most 1024"],
    ["with a head that is not JSON", withHead(1, "{"), "not JSON"],
    ["with a method that is none", withHead(1, { method: "BREW", path: "/", headers: [] }), "method"],
    ["with a path to elsewhere", withHead(1, { method: "GET", path: "http://evil/", headers: [] }), "path"],
    ["with a path of two lines", withHead(1, { method: "GET", path: "/\r\nx: y", headers: [] }), "path"],
    ["with a header of two lines", withHead(1, { method: "GET", path: "/", headers: [["a", "b\nc"]] }), "headers.0.1"],
    ["with a header without name", withHead(2, { status: 200, headers: [["", "b"]] }), "headers.0.0"],
    ["with a status that is none", withHead(2, { status: 101, headers: [] }), "status"],
    ["with a hundred and one headers", withHead(2, { status: 200, headers: Array(101).fill(["a", "b"]) }), "headers"],
  ])("%s", (_, bytes, complaint) => {
    expect(() => decodeFrame(bytes)).toThrow(complaint);
  });

  test("with too large a head is not encoded", () => {
    const head = headOf("GET", `/${"x".repeat(limits.headBytes)}`);
    expect(() => encodeFrame({ is: "request", id: 1, head, body: bytesOf(""), end: true })).toThrow(HeadTooLarge);
  });

  test("with a long reason is cut between characters", () => {
    const frame = decodeFrame(encodeFrame({ is: "reset", id: 1, reason: "€".repeat(1000) }));
    expect(frame).toEqual({ is: "reset", id: 1, reason: "€".repeat(341) });
  });
});

describe("a message", () => {
  test("carries one frame or several, in their order", () => {
    fc.assert(
      fc.property(fc.array(frames, { minLength: 1, maxLength: 5 }), (all) => {
        expect(unbundle(bundle(all.map(encodeFrame)).buffer).map(decodeFrame)).toEqual(all);
      }),
    );
  });

  test("of one frame is that frame", () => {
    const frame = encodeFrame({ is: "credit", id: 1, bytes: 1 });
    expect(bundle([frame])).toBe(frame);
  });

  test("of any bytes at all is frames or a ProtocolError, and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, several) => {
        const message = new Uint8Array(several ? [6, ...bytes] : bytes);
        try {
          const size = unbundle(message.buffer).reduce((sum, { length }) => sum + length, 0);
          expect(size).toBeLessThanOrEqual(message.length);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["ends within a length", [6, 0, 0, 0]],
    ["ends within a frame", [6, 0, 0, 0, 3, 1, 2]],
    ["names an endless frame", [6, 255, 255, 255, 255, 1]],
  ])("that %s is refused", (_, bytes) => {
    expect(() => unbundle(new Uint8Array(bytes).buffer)).toThrow(ProtocolError);
  });
});
