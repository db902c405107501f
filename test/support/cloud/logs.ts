import { LogLine, ndjson } from "../../../core/api/cloud/logs.ts";
import type { Tables } from "./tables.ts";
import { empty, html, json, keyRequired, parse, type Answer, type Question } from "./wire.ts";

const windowMs = 450;
const linesInWindow = 50;

/** `POST /device/v2/:uuid/log-stream`. Of too many lines at once, the last 50 are stored; the answer is still 201. */
export function logStream(tables: Tables, uuid: string, { key, headers, body }: Question): Answer {
  if (!tables.isKey(key)) return keyRequired;
  const device = tables.devices.get(uuid);
  // The public cloud needs 55 seconds for this answer.
  if (!device || device.key !== key) return empty(401);
  if (headers["content-type"] !== ndjson) return json(415, `Streaming requests require Content-Type ${ndjson}`);
  const rows = body
    .toString()
    .split("\n")
    .filter((row) => row !== "");
  const values = rows.map((row) => parse(Buffer.from(row)));
  const lines = values.flatMap((value) => LogLine.safeParse(value).data ?? []);

  const now = tables.now();
  const recent = (tables.recentLines.get(uuid) ?? []).filter((at) => now - at < windowMs);
  tables.recentLines.set(uuid, [...recent, ...lines.map(() => now)]);
  const suppressed = Math.max(0, lines.length - Math.max(0, linesInWindow - recent.length));
  if (suppressed > 0) {
    const message = `Warning: Suppressed ${suppressed} message(s) due to rate limiting`;
    device.logs.push({ message, timestamp: now, isSystem: true, isStdErr: true });
  }
  device.logs.push(...lines.slice(suppressed));
  const broken = rows[values.indexOf(undefined)];
  return broken === undefined ? empty(201) : html(400, `Could not parse row ${broken}...`);
}
