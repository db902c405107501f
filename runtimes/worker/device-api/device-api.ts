import * as z from "zod";
import { StateReport } from "../../../core/api/cloud/report.ts";
import { derivesServiceKeys, hidesValues } from "../../../core/api/cloud/state.ts";
import { Tags } from "../../../core/api/cloud/tags.ts";
import {
  fieldsAfter,
  installsAfter,
  updateStatusOf,
  type Fields,
  type Install,
  type KnownRelease,
} from "../../../core/fleet/reported-state.ts";
import { targetState, targetStateV2, type Shown, type Wanted } from "../../../core/fleet/target.ts";
import { readBody } from "../../../core/http/body.ts";
import { coversFleet } from "../auth/access.ts";
import type { Database } from "../directory/database.ts";
import { isoTime, readsSecrets, type Principal } from "../directory/context.ts";
import { keyRequired, limitBytes, refuse, type Route } from "../http.ts";
import { imagesOf, releaseIdOf, wantedOfDevice, wantedOfFleet } from "../directory/releases.ts";
import { tagsFault } from "../public-api/writes.ts";

/** What devices ask and tell. Answers are those recorded of the public cloud; where they differ, it says so. */

const nothing = (status: number): Response => new Response(null, { status });
const unauthorized = (): Response => nothing(401);

const mayRead = (principal: Principal, fleetId: number, uuid?: string): boolean =>
  (principal.is === "device" && (uuid === undefined ? principal.fleetId === fleetId : principal.uuid === uuid)) ||
  (principal.is === "person" && coversFleet(principal.grant, fleetId));

/** A device that is not there (any more) is not told to give up what it runs: 304, without an ETag and for everybody. */
const deviceState = (version: "v2" | "v3", toState: ToState): Route => ({
  method: "GET",
  path: `/device/${version}/:uuid/state`,
  anonymous: unauthorized,
  answer: async (request, { params: { uuid = "" }, principal }, { db, now }) => {
    const wanted = wantedOfDevice(db, uuid);
    if (!wanted) return nothing(304);
    if (!mayRead(principal, wanted.fleet.id, uuid)) return nothing(401);
    const answer = await stateFor(principal, request, wanted, toState);
    if (principal.is !== "device" || principal.key !== "own") return answer;
    heard(db, principal.id, now());
    answer.headers.set(derivesServiceKeys, "1");
    return answer;
  },
});

type ToState = (wanted: Wanted, how: Shown) => object;

/** Whole, or for who may not read secrets without the values of variables, and marked as no target for any device. */
async function stateFor(principal: Principal, request: Request, wanted: Wanted, toState: ToState): Promise<Response> {
  const hideValues = !readsSecrets(principal);
  const answer = await tagged(request, toState(wanted, { hideValues }), hideValues ? "-hidden" : "");
  if (hideValues) answer.headers.set(hidesValues, "1");
  return answer;
}

const fleetState: Route = {
  method: "GET",
  path: "/device/v3/fleet/:fleetUuid/state",
  anonymous: unauthorized,
  answer: (request, { params: { fleetUuid = "", releaseUuid }, principal }, { db }) => {
    const wanted = wantedOfFleet(db, fleetUuid, releaseUuid || undefined);
    return wanted && mayRead(principal, wanted.fleet.id)
      ? stateFor(principal, request, wanted, targetState)
      : nothing(401);
  },
};

/** To the minute: a device that asks often is not worth a write each time. */
const heard = (db: Database, deviceId: number, nowMs: number): void => {
  db.run(
    "UPDATE devices SET heard_at = ? WHERE id = ? AND ifnull(heard_at < ?, TRUE)",
    ...[isoTime(nowMs), deviceId, isoTime(nowMs - 60_000)],
  );
};

const utf8 = new TextEncoder();

/** The variables for all services are in it once for each service. */
const largestState = 10 * 1024 * 1024;

/** With the entity tag that the public cloud makes; 304 for whoever has it, unless they say `no-cache`. */
async function tagged(request: Request, state: object, suffix: string): Promise<Response> {
  const text = JSON.stringify(state);
  if (text.length > largestState)
    return refuse(413, `The target state is larger than ${largestState} bytes: give its services fewer variables`);
  const body = utf8.encode(text);
  const sha1 = new Uint8Array(await crypto.subtle.digest("SHA-1", body));
  const tag = `"${body.length.toString(16)}-${btoa(String.fromCharCode(...sha1)).slice(0, 27)}${suffix}"`;
  const etag = `W/${tag}`;
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""));
  const isFresh = /no-cache/.test(request.headers.get("cache-control") ?? "");
  if (!isFresh && (known.includes(tag) || known.includes("*")))
    return new Response(null, { status: 304, headers: { etag } });
  return new Response(body, { headers: { "content-type": "application/json; charset=utf-8", etag } });
}

/** What a device sends about itself, by its uuid; or the answer that refuses it. */
async function ownPart(request: Request, principal: Principal): Promise<{ part: unknown; id: number } | Response> {
  if (principal.is === "person" || principal.is === "nobody") return keyRequired();
  if (principal.is === "provisioning") return nothing(401);
  const sent = await readBody(request, { limitBytes });
  if (!sent.ok) return refuse(sent.status, sent.message);
  const body = sent.contentType === "application/json" ? AnyObject.safeParse(sent.value).data : undefined;
  const part = body?.[principal.uuid];
  const isOwn = Object.keys(body ?? {}).every((uuid) => uuid === principal.uuid);
  return isOwn && typeof part === "object" && part !== null ? { part, id: principal.id } : nothing(401);
}

const AnyObject = z.record(z.string(), z.unknown());

/**
 * `PATCH /device/v3/state`. Unlike the public cloud's: numbers are rounded; a release or image that is not known loses
 * nothing but itself; the same image may be there under two names; progress and metrics are never thrown away; and 400
 * says why.
 */
const report: Route = {
  method: "PATCH",
  path: "/device/v3/state",
  anonymous: keyRequired,
  answer: async (request, { principal }, { db, now }) => {
    const own = await ownPart(request, principal);
    if (own instanceof Response) return own;
    const parsed = StateReport.safeParse(own.part);
    if (!parsed.success)
      return refuse(400, parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n"));
    db.transaction(() => take(db, own.id, parsed.data, isoTime(now())));
    return nothing(200);
  },
};

interface Known extends Record<string, SqlStorageValue> {
  readonly fleetId: number;
  readonly fleetUuid: string;
  readonly report: string;
  readonly running: number | null;
  readonly supervisor_version: string | null;
  readonly os_version: string | null;
  readonly os_variant: string | null;
  readonly mac_address: string | null;
}

const Kept = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

function take(db: Database, deviceId: number, given: StateReport, at: string): void {
  const known = db.one<Known>(
    `SELECT fleet_id AS fleetId, fleets.uuid AS fleetUuid, report, running_release_id AS running,
       supervisor_version, os_version, os_variant, mac_address
     FROM devices JOIN fleets ON fleets.id = fleet_id WHERE devices.id = ?`,
    deviceId,
  );
  if (!known) return;
  const { fleetId, fleetUuid, report: before, running, ...columns } = known;
  const app = given.apps?.[fleetUuid];
  const updateStatus = updateStatusOf(app);
  const { supervisor_version, os_version, os_variant, mac_address, ...rest } = fieldsAfter(
    {
      ...columns,
      ...Kept.parse(JSON.parse(before)),
      ...(updateStatus && { update_status: updateStatus, update_status_at: at }),
    },
    given,
  );
  const reached = app?.release_uuid === undefined ? undefined : releaseIdOf(db, fleetId, app.release_uuid);
  db.run(
    `UPDATE devices SET supervisor_version = ?, os_version = ?, os_variant = ?, mac_address = ?, report = ?,
       running_release_id = ?, heard_at = ? WHERE id = ?`,
    ...[supervisor_version, os_version, os_variant, mac_address].map(toText),
    ...[JSON.stringify(rest), reached ?? running, at, deviceId],
  );
  if (given.apps === undefined) return;
  const installs = installsOf(db, deviceId);
  const after = installsAfter(installs, app, knownReleases(db, fleetId, Object.keys(app?.releases ?? {})));
  for (const install of after)
    if (!installs.some((one) => isSame(one, install))) keepInstall(db, deviceId, install, at);
  forgetDeleted(db, deviceId);
}

/** Of what was on a device once, the latest. */
const mostDeleted = 100;

const forgetDeleted = (db: Database, deviceId: number): number =>
  db.run(
    `DELETE FROM installs WHERE id IN
       (SELECT id FROM installs WHERE device_id = ? AND status = 'deleted' ORDER BY id DESC LIMIT -1 OFFSET ?)`,
    ...[deviceId, mostDeleted],
  );

const toText = (value: Fields[string] | undefined): string | null => (typeof value === "string" ? value : null);

const isSame = (a: Install, b: Install): boolean =>
  a.imageId === b.imageId && a.releaseId === b.releaseId && a.status === b.status && a.progress === b.progress;

const installsOf = (db: Database, deviceId: number): readonly Install[] =>
  db.all<{ imageId: number; releaseId: number; status: string; progress: number | null }>(
    `SELECT image_id AS imageId, release_id AS releaseId, status, download_progress AS progress
     FROM installs WHERE device_id = ?`,
    deviceId,
  );

const keepInstall = (
  db: Database,
  deviceId: number,
  { imageId, releaseId, status, progress }: Install,
  at: string,
): number =>
  db.run(
    `INSERT INTO installs (device_id, image_id, release_id, status, download_progress, installed_at)
     VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (device_id, image_id) DO UPDATE SET release_id = excluded.release_id, status = excluded.status,
       download_progress = excluded.download_progress`,
    ...[deviceId, imageId, releaseId, status, progress, at],
  );

const knownReleases = (db: Database, fleetId: number, commits: readonly string[]): readonly KnownRelease[] =>
  commits.flatMap((commit) => {
    const id = releaseIdOf(db, fleetId, commit);
    if (id === undefined) return [];
    const images = imagesOf(db, id).map(({ imageId, service, location }) => ({ id: imageId, service, location }));
    return [{ id, commit, images }];
  });

/** Sets some tags; the others stay. One that is refused refuses all. */
const tags: Route = {
  method: "PATCH",
  path: "/device/v3/tags",
  anonymous: keyRequired,
  operation: "setTags",
  answer: async (request, { principal, note }, { db }) => {
    const own = await ownPart(request, principal);
    if (own instanceof Response) return own;
    if (principal.is === "device") note({ uuid: principal.uuid });
    const parsed = Tags.safeParse(own.part);
    if (!parsed.success)
      return Response.json(
        parsed.error.issues
          .map((issue) =>
            issue.code === "invalid_key" ? issue.issues[0]?.message : `${issue.path.join(".")}: ${issue.message}`,
          )
          .join("; "),
        { status: 400 },
      );
    const given = Object.entries(parsed.data);
    if (given.length === 0) return Response.json("No tags were sent to be updated.", { status: 400 });
    const fault = tagsFault(
      db,
      own.id,
      given.map(([key]) => key),
    );
    if (fault !== undefined) return Response.json(fault, { status: 400 });
    db.transaction(() => {
      for (const [key, value] of given)
        db.run(
          `INSERT INTO tags (device_id, tag_key, value) VALUES (?, ?, ?)
           ON CONFLICT (device_id, tag_key) DO UPDATE SET value = excluded.value`,
          ...[own.id, key, value],
        );
    });
    return nothing(200);
  },
};

export const deviceRoutes: readonly Route[] = [
  deviceState("v3", targetState),
  deviceState("v2", targetStateV2),
  fleetState,
  report,
  tags,
];
