import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as z from "zod";
import type { CloudAnswer } from "../../core/ports/cloud.ts";
import type { Measurements } from "../../core/ports/metrics.ts";

/** Recorded exchanges with the public cloud. Placeholders such as <device-key> stand for keys. */

const Exchange = z.object({
  name: z.string(),
  /** What the recording omits from the answer. */
  note: z.string().optional(),
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
  /** For a streamed answer: what arrived, while another request sent this. */
  events: z
    .array(
      z.object({
        from: z.enum(["reader", "writer"]),
        data: z.string().optional(),
        sent: z.string().optional(),
        status: z.number().optional(),
      }),
    )
    .optional(),
});
export type Exchange = z.output<typeof Exchange>;

const Recording = z.object({ entries: z.array(Exchange) });

/** Replaces the recording's placeholders with the values of this test. */
export function exchanges(file: string, replaced: Readonly<Record<string, string>> = {}): Exchange[] {
  const text = readFileSync(join(import.meta.dirname, "recorded", `${file}.json`), "utf8");
  const ours = Object.entries(replaced).reduce((made, [theirs, our]) => made.replaceAll(theirs, our), text);
  return Recording.parse(JSON.parse(ours)).entries;
}

/** The values of the recorded metrics. */
export const measured: Required<Omit<Measurements, "cpuBusyMs" | "cpuIdleMs">> = {
  memoryUsedMb: 600,
  memoryTotalMb: 2000,
  storageUsedMb: 300,
  storageTotalMb: 14000,
  storageDevice: "/dev/mmcblk0p6",
  cpuCelsius: 44,
  cpuPercent: 12,
  cpuId: "ABCDEF0123",
  isUndervolted: false,
};

export function exchange(file: string, name: string): Exchange {
  const found = exchanges(file).find((one) => one.name === name);
  if (!found) throw new Error(`${file} has no ${name}`);
  return found;
}

/** The answer in the port's form. */
export function answerOf({ response: { status, headers, body } }: Exchange): CloudAnswer {
  const isJson = headers["content-type"]?.startsWith("application/json") ?? false;
  const text = body === null ? "" : isJson ? JSON.stringify(body) : String(body);
  return { status, header: (name) => headers[name] ?? undefined, text };
}

/** The body as sent. If the recording only describes it, it is built from the description. */
export function bodyOf({ request: { body, headers } }: Exchange): Buffer | undefined {
  if (body === null || body === undefined) return undefined;
  if (typeof body !== "string") return Buffer.from(JSON.stringify(body));
  const [, size] = /"x"\*(\d+)/.exec(body) ?? [];
  if (size !== undefined)
    return Buffer.from(JSON.stringify({ [uuid]: { status: "Idle", foo: "x".repeat(Number(size)) } }));
  if (body.startsWith("message of 40000")) return Buffer.from(line("L".repeat(40_000)));
  if (body.startsWith("300 lines"))
    return Buffer.from(Array.from({ length: 300 }, (_, n) => line(`burst ${n}`)).join(""));
  if (body.startsWith("(binary")) return gzipSync(`[${line("packed").trim()}]`);
  if (headers["Content-Encoding"] === "gzip" && body.startsWith("(gzip of")) {
    const packed = body.replace(/^\(gzip of\)? ?/, "").replace(/\)$/, "");
    return gzipSync(packed.replace("{uuid:{status:Idle}}", JSON.stringify({ [uuid]: { status: "Idle" } })));
  }
  return Buffer.from(body);
}

export const uuid = "aaaa0000bbbb1111cccc2222dddd3333";

const line = (message: string): string =>
  `${JSON.stringify({ message, timestamp: 1795470252949, isSystem: false, isStdErr: false })}\n`;
