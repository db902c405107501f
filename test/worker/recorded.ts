import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as z from "zod";

/** Exchanges with the public cloud, as they were recorded; `<device-key>` and the like stand for keys. */

const Exchange = z.object({
  name: z.string(),
  request: z.object({
    method: z.string(),
    path: z.string(),
    headers: z.record(z.string(), z.union([z.string(), z.number()])),
    body: z.unknown().optional(),
  }),
  response: z.object({
    status: z.number(),
    headers: z.record(z.string(), z.string().nullable()),
    body: z.unknown().optional(),
  }),
});
export type Exchange = z.output<typeof Exchange>;

const Recording = z.object({ entries: z.array(z.union([z.object({ note: z.string() }), Exchange])) });

export const recordedUuid = "aaaa0000bbbb1111cccc2222dddd3333";
export const recordedFleet = "e9eb9c68bb8547caa6b002595b443009";

/** With what stands for something in the recording replaced by what it is here. */
export function exchanges(file: string, replaced: Readonly<Record<string, string>>): readonly Exchange[] {
  const text = readFileSync(join(import.meta.dirname, "../cloud/recorded", `${file}.json`), "utf8");
  const ours = Object.entries(replaced).reduce((made, [theirs, our]) => made.replaceAll(theirs, our), text);
  return Recording.parse(JSON.parse(ours)).entries.flatMap((entry) => ("note" in entry ? [] : [entry]));
}

/** The body as it went over the wire; where the recording only describes it, what it describes. */
export function bodyOf({ request: { body, headers } }: Exchange): Buffer | undefined {
  if (body === null || body === undefined) return undefined;
  if (typeof body !== "string") return Buffer.from(JSON.stringify(body));
  const [, size] = /"x"\*(\d+)/.exec(body) ?? [];
  if (size !== undefined)
    return Buffer.from(JSON.stringify({ [recordedUuid]: { status: "Idle", foo: "x".repeat(Number(size)) } }));
  if (body.startsWith("message of 40000")) return Buffer.from(line("m".repeat(40_000)));
  if (body.startsWith("300 lines"))
    return Buffer.from(Array.from({ length: 300 }, (_, n) => line(`burst ${n}`)).join(""));
  if (body.startsWith("(binary")) return gzipSync(`[${line("packed").trim()}]`);
  if (headers["Content-Encoding"] === "gzip" && body.startsWith("(gzip of")) {
    const packed = body.replace(/^\(gzip of\)? ?/, "").replace(/\)$/, "");
    return gzipSync(packed.replace("{uuid:{status:Idle}}", JSON.stringify({ [recordedUuid]: { status: "Idle" } })));
  }
  return Buffer.from(body);
}

const line = (message: string): string =>
  `${JSON.stringify({ message, timestamp: 1795470252949, isSystem: false, isStdErr: false })}\n`;

/** An answer, as far as it is compared. */
export interface Said {
  readonly status: number;
  /** JSON, a text, or null for an empty one. */
  readonly body: unknown;
}

export async function ask(url: string, exchange: Exchange): Promise<Said & { readonly headers: Headers }> {
  const { method, path, headers } = exchange.request;
  const body = bodyOf(exchange);
  const sent = Object.entries(headers).filter(([name]) => !/^content-length$/i.test(name));
  const response = await fetch(url + path.replaceAll(" ", "%20"), {
    method,
    headers: [
      // Without it, fetch adds `no-cache` of its own to a request with If-None-Match.
      ...("Cache-Control" in headers ? [] : [["cache-control", "max-age=0"] as [string, string]]),
      ...sent.map(([name, value]): [string, string] => [name, String(value)]),
    ],
    ...(body && { body: new Uint8Array(body) }),
  });
  return { status: response.status, headers: response.headers, body: read(await response.text()) };
}

function read(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The paths at which two values differ. */
export function differences(a: unknown, b: unknown, path = ""): readonly string[] {
  if (isObject(a) && isObject(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
      differences(a[key], b[key], path === "" ? key : `${path}.${key}`),
    );
  return JSON.stringify(a) === JSON.stringify(b) ? [] : [path];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
