import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import * as z from "zod";
import { deviations } from "./deviations.ts";

/**
 * The recordings of the reference implementation, and how our answers are compared with them. In the recordings, <GLOBAL>
 * and <DEVICE> stand for keys and `x * 100` for that many letters. The journal's lines are shortened.
 */

// ── The recordings ───────────────────────────────────────────────────────────────────────────────────────────────────

export const Exchange = z.object({
  name: z.string(),
  request: z.object({
    method: z.string(),
    path: z.string(),
    headers: z.record(z.string(), z.string()),
    body: z.string().optional(),
  }),
  /** Absent if the reference implementation crashed. */
  response: z
    .object({ status: z.number(), headers: z.record(z.string(), z.string().nullable()), body: z.string() })
    .optional(),
});
export type Exchange = z.output<typeof Exchange>;
const Note = z.object({ note: z.record(z.string(), z.unknown()) });
/** The bytes on the wire. */
const Raw = z.object({ name: z.string(), raw_request: z.string(), raw_response: z.string() });

const Recording = z.object({ entries: z.array(z.union([Note, Raw, Exchange])) });

const folder = join(import.meta.dirname, "../recorded");

export const recordings = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));
export const readRecording = (scenario: string) =>
  Recording.parse(JSON.parse(readFileSync(join(folder, `${scenario}.json`), "utf8"))).entries;

/** A note of what `docker ps` showed. */
export const ContainerList = z.array(
  z.object({ id: z.string(), name: z.string(), image: z.string(), state: z.string() }),
);

/** `x * 100` in a recording stands for that many letters. */
export const expand = (text: string): string =>
  text.replace(/([ax]) \* (\d+)/g, (_, letter: string, times: string) => letter.repeat(Number(times)));

// ── What is compared ─────────────────────────────────────────────────────────────────────────────────────────────────

export interface Compared {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

const html = "text/html; charset=utf-8";
const plain = "text/plain; charset=utf-8";
export const jsonType = "application/json; charset=utf-8";
const ndjson = "application/x-ndjson";

interface Rule {
  readonly because: string;
  readonly applies: (recorded: Compared, path: string) => boolean;
  readonly change: (recorded: Compared) => Compared;
}

/** Intended differences between all answers of a kind and the recorded ones. */
export const rules: readonly Rule[] = [
  {
    because: "what is not there is said as text, not as a page",
    applies: ({ status, body }) => status === 404 && /<pre>/.test(String(body)),
    change: (recorded) => ({ ...recorded, body: /<pre>(.*)<\/pre>/.exec(String(recorded.body))?.[1] }),
  },
  {
    because: "text is text/plain everywhere",
    applies: ({ type }) => type === html,
    change: (recorded) => ({ ...recorded, type: plain }),
  },
  {
    because: "a stream of JSON lines says that it is one",
    applies: ({ status, type }, path) => status === 200 && type === null && path === "/v2/local/logs",
    change: (recorded) => ({ ...recorded, type: ndjson }),
  },
  {
    because: "the journal says that it is text",
    applies: ({ status, type }, path) => status === 200 && type === null && path === "/v2/journal-logs",
    change: (recorded) => ({ ...recorded, type: plain }),
  },
];
/** The answer that we expect for a recorded one, before its own deviation is applied. */
export function ruled(recorded: Compared, path: string): Compared {
  let changed = recorded;
  for (const rule of rules) if (rule.applies(changed, path)) changed = rule.change(changed);
  return changed;
}

const typeOf = (body: string | object): string | null =>
  typeof body !== "string" ? jsonType : body === "" ? null : plain;

/** Compares the answers of a scenario with the recorded ones or with their intended deviations. */
export function createComparison(scenario: string) {
  const rows = deviations[scenario] ?? {};
  const times = new Map<string, number>();
  const keyOf = (name: string): string => {
    const n = (times.get(name) ?? 0) + 1;
    times.set(name, n);
    return n === 1 ? name : `${name} (${n})`;
  };
  const seen = new Set<string>();
  return {
    compare: (name: string, ours: Compared, recorded: Compared | undefined): void => {
      const entry = keyOf(name);
      seen.add(entry);
      const row = rows[entry];
      if (!row) {
        expect.soft(ours, entry).toEqual(recorded);
        return;
      }
      const meant: Compared = {
        status: row.status ?? recorded?.status ?? 0,
        type: row.type ?? (recorded?.type === ndjson ? ndjson : typeOf(row.body)),
        body: row.body,
      };
      expect.soft(ours, `${entry} (${row.because})`).toEqual(meant);
      expect.soft(recorded, `${entry} deviates no longer (${row.because})`).not.toEqual(meant);
    },
    end: (): void => {
      const idle = Object.keys(rows).filter((entry) => !seen.has(entry));
      expect.soft(idle, "deviations of what is not there").toEqual([]);
    },
  };
}

/** Replaces ids and times by names: the first id is "id 1" on both sides, and so on. */
export function createNormaliser(): (body: string) => unknown {
  const ids = new Map<string, string>();
  return (body) => {
    const parsed = parseJson(body);
    if (parsed === undefined) return body;
    const named = JSON.stringify(sorted(parsed))
      .replace(/[0-9a-f]{64}/g, (id) => {
        if (!ids.has(id)) ids.set(id, `id ${ids.size + 1}`);
        return ids.get(id) ?? id;
      })
      .replace(/"createdAt":"[^"]+"/g, '"createdAt":"then"');
    return JSON.parse(named);
  };
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

const LogLine = z.object({
  message: z.string(),
  serviceName: z.string().optional(),
  serviceId: z.number().optional(),
});

/** A log's lines by service, because lines of different services have no fixed order. */
export function byVoice(lines: readonly unknown[]): Record<string, string[]> {
  const voices: Record<string, string[]> = {};
  for (const { message, serviceName, serviceId } of lines.map((line) => LogLine.parse(line))) {
    const about = /'(\w+) sha256:/.exec(message)?.[1];
    const voice = serviceName ?? (about ? `about ${about}` : "the agent");
    const said = message.replace(/sha256:[0-9a-f]{64}/g, "<image>");
    (voices[voice] ??= []).push(serviceName ? `${serviceId ?? "?"} ${said}` : said);
  }
  return voices;
}
