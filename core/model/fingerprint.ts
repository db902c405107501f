import type { App } from "./target.ts";
import type { UpdateFailure, UpdateRecord } from "./update.ts";

const known = new WeakMap<App, string>();

/**
 * Identifies the content of an application's target: equal for targets that ask for the same, whatever the order of their
 * keys. `running` is left out: what stops and starts a service is no update. 64 bits; nobody attacks it, since who can choose
 * a target need not forge one.
 */
export function fingerprintOf(app: App): string {
  const before = known.get(app);
  if (before !== undefined) return before;
  const { rejected: _, temporary: __, services, ...rest } = app;
  const found = hash(canonical({ ...rest, services: services.map(({ running: ___, ...service }) => service) }));
  known.set(app, found);
  return found;
}

/** Why a target is not tried again, if it has failed before. */
export const rejectionOf = (app: App, record: UpdateRecord | undefined): UpdateFailure | undefined =>
  record?.phase === "rejected" && record.fingerprint === fingerprintOf(app) ? record.failure : undefined;

/** Whether a target has failed, so that nothing of it is applied any more. */
export const isGivenUp = (app: App, record: UpdateRecord | undefined): boolean =>
  record?.phase === "back" ? record.fingerprint === fingerprintOf(app) : rejectionOf(app, record) !== undefined;

/** JSON with sorted keys. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

/** FNV-1a, twice with 32 bits. Source: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv */
function hash(text: string): string {
  let [one, two] = [0x811c9dc5, 0x01000193];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    one = Math.imul(one ^ code, 0x01000193);
    two = Math.imul(two ^ (code + at), 0x01000193);
  }
  return [one, two].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}
