import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ContainerLine } from "../../core/ports/engine.ts";
import { jsonLines, logLines } from "../../runtimes/node/engine/docker-streams.ts";

async function* chunks(parts: Iterable<Buffer | string>): AsyncIterable<Buffer | string> {
  yield* parts;
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

/** The bytes, cut into pieces at these offsets. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, n) => bytes.subarray(n === 0 ? 0 : ends[n - 1], end));
}

const places = fc.array(fc.nat({ max: 100_000 }), { maxLength: 30 });

const at = (ms: number) => new Date(ms).toISOString().replace("Z", "000000Z");

/** One log message of the engine; without a terminal it has a header. */
function frame({ message, isStdErr, timestamp }: ContainerLine, end = "\n"): Buffer {
  const text = Buffer.from(`${at(timestamp)} ${message}${end}`);
  const header = Buffer.alloc(8);
  header[0] = isStdErr ? 2 : 1;
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, text]);
}

const line = (message: string, isStdErr = false, timestamp = Date.UTC(2026, 0, 1)): ContainerLine => ({
  message,
  isStdErr,
  timestamp,
});

const plain = (lines: readonly ContainerLine[], end = "\r\n") =>
  Buffer.from(lines.map(({ message, timestamp }) => `${at(timestamp)} ${message}${end}`).join(""));

/** Any text that a program may write on one line. */
const message = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => text.toWellFormed().replace(/[\r\n]/g, " ")),
  fc.constantFrom("", " ", "two words", "ünïcode → ☃ 🚢", "2026-01-01T00:00:00Z not a timestamp", "\t{}"),
);
const lines = fc.array(
  fc.record({
    message,
    isStdErr: fc.boolean(),
    timestamp: fc.integer({ min: 1, max: Date.UTC(2100, 0, 1) }),
  }),
);

describe("the log of a container without a terminal", () => {
  test("is read unchanged, wherever the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(lines, places, async (written, where) => {
        const bytes = Buffer.concat(written.map((one) => frame(one)));
        expect(await all(logLines(chunks(cut(bytes, where)), false))).toEqual(written);
      }),
    );
  });

  test("may come byte by byte", async () => {
    const written = [line("schön"), line("🚢", true), line("")];
    const bytes = Buffer.concat(written.map((one) => frame(one)));
    const single = [...bytes].map((byte) => Buffer.from([byte]));
    expect(await all(logLines(chunks(single), false))).toEqual(written);
  });

  test("keeps its two streams apart", async () => {
    const bytes = [frame(line("half a "), ""), frame(line("oops", true)), frame(line("line"))];
    const found = await all(logLines(chunks(bytes), false));
    expect(found.filter(({ isStdErr }) => isStdErr)).toEqual([line("oops", true)]);
  });

  test("may be empty", async () => {
    expect(await all(logLines(chunks([]), false))).toEqual([]);
    expect(await all(logLines(chunks([Buffer.alloc(0)]), false))).toEqual([]);
  });

  // Docker cuts lines at 16 KiB, and puts the time before each piece.
  test("has a long line as one line with one time", async () => {
    const long = "a".repeat(40_000);
    const bytes = [
      frame(line(long.slice(0, 16_384)), ""),
      frame(line(long.slice(16_384, 32_768)), ""),
      frame(line(`${long.slice(32_768)} end`)),
      frame(line("next")),
    ];
    const found = await all(logLines(chunks(bytes), false));
    expect(found.map((one) => one.message.length)).toEqual([40_004, 4]);
    expect(found).toEqual([line(`${long} end`), line("next")]);
  });

  test("includes a last line without a line break", async () => {
    const bytes = [frame(line("ready")), frame(line("panic: no such file", true), "")];
    expect(await all(logLines(chunks(bytes), false))).toEqual([line("ready"), line("panic: no such file", true)]);
  });
});

describe("the log of a container with a terminal", () => {
  test("is read unchanged as standard output, wherever the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(lines, places, async (written, where) => {
        const found = await all(logLines(chunks(cut(plain(written), where)), true));
        expect(found).toEqual(written.map((one) => ({ ...one, isStdErr: false })));
      }),
    );
  });

  test.each(["\n", "\r\n"])("may end its lines with %j", async (end) => {
    expect(await all(logLines(chunks([plain([line("a"), line("b")], end)]), true))).toEqual([line("a"), line("b")]);
  });

  test("keeps a carriage return within a line, which progress bars use", async () => {
    expect(await all(logLines(chunks([plain([line("10%\r20%")])]), true))).toEqual([line("10%\r20%")]);
  });

  test("includes a last line without a line break", async () => {
    expect(await all(logLines(chunks([plain([line("ready")]), plain([line("login:")], "")]), true))).toEqual([
      line("ready"),
      line("login:"),
    ]);
  });
});

test("a character that is cut in two is decoded correctly", async () => {
  const bytes = plain([line("ä")]);
  const middle = bytes.indexOf(0xc3) + 1;
  expect(await all(logLines(chunks([bytes.subarray(0, middle), bytes.subarray(middle)]), true))).toEqual([line("ä")]);
});

test("a time that cannot be read is 0, and the line is still there", async () => {
  expect(await all(logLines(chunks(["yesterday it rained\n"]), true))).toMatchObject([
    { message: "it rained", timestamp: 0 },
  ]);
});

describe("a line without an end", () => {
  const endless = "x y ".repeat(50_000);

  test("is passed on in pieces before it ends, without loss", async () => {
    async function* forever() {
      yield Buffer.from(`${at(line("").timestamp)} `);
      for (let n = 0; n < endless.length; n += 1000) yield Buffer.from(endless.slice(n, n + 1000));
      yield Buffer.from("\n");
    }
    const found = await all(logLines(forever(), true));
    expect(found.length).toBeGreaterThan(1);
    expect(found.map((one) => one.message).join("")).toBe(endless);
    expect(new Set(found.map(({ timestamp }) => timestamp))).toEqual(new Set([line("").timestamp]));
  });
});

describe("a stream of JSON", () => {
  test("is read unchanged, wherever the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), places, fc.constantFrom("\n", "\r\n"), async (values, where, end) => {
        const texts = values.map((value) => JSON.stringify(value));
        const bytes = Buffer.from(texts.map((text) => text + end).join(""));
        expect(await all(jsonLines(chunks(cut(bytes, where))))).toEqual(texts.map((text): unknown => JSON.parse(text)));
      }),
    );
  });

  test("may contain empty lines", async () => {
    expect(await all(jsonLines(chunks(["\n", '{"a":1}\n\r\n', "2\n"])))).toEqual([{ a: 1 }, 2]);
  });

  test("may end without a line break", async () => {
    expect(await all(jsonLines(chunks(['{"a":1}\n{"error":', '"no space left"}'])))).toEqual([
      { a: 1 },
      { error: "no space left" },
    ]);
  });

  test("that is not JSON is an error", async () => {
    await expect(all(jsonLines(chunks(["oops\n"])))).rejects.toThrow();
  });

  test("may contain values of any length", async () => {
    const long = { text: "x".repeat(200_000) };
    expect(await all(jsonLines(chunks([JSON.stringify(long), "\n"])))).toEqual([long]);
    const text = `${JSON.stringify(long)}\n`;
    expect(await all(jsonLines(chunks([text.slice(0, 100_000), text.slice(100_000)])))).toEqual([long]);
  });
});
