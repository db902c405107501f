import * as api from "../../../core/api/cloud/state.ts";
import { targetState, targetStateV2, type Shown, type TargetInput } from "../../../core/fleet/target.ts";
import { coversFleet } from "../auth/grant.ts";
import { isoTime, type Database } from "../database.ts";
import { readsSecrets, type Principal } from "../directory/principal.ts";
import { targetInputOfDevice, targetInputOfFleet } from "../directory/releases.ts";
import { emptyError, objectError, type Route } from "../http.ts";
import { deviceRoute } from "./route.ts";

const mayRead = (principal: Principal, fleetId: number, uuid?: string): boolean =>
  (principal.is === "device" && (uuid === undefined ? principal.fleetId === fleetId : principal.uuid === uuid)) ||
  (principal.is === "person" && coversFleet(principal.grant, fleetId));

/** An unknown or deleted device must not give up what it runs: 304 without an ETag, for any credential. */
const deviceState = (name: "deviceState" | "deviceStateV2", toState: ToState): Route =>
  deviceRoute(name, {
    answer: async (request, { params: { uuid = "" }, principal: { principal } }, { db, now }) => {
      const input = targetInputOfDevice(db, uuid);
      if (!input) return emptyError(304);
      if (!mayRead(principal, input.fleet.id, uuid)) return emptyError(401);
      const answer = await stateOf(principal, request, input, toState);
      if (principal.is !== "device" || principal.key !== "own") return answer;
      recordContact(db, principal.id, now());
      answer.headers.set(api.derivesServiceKeys, "1");
      answer.headers.set(api.takesProblems, "1");
      return answer;
    },
  });

type ToState = (input: TargetInput, how: Shown) => object;

/** Without the values of variables, and marked as no target for a device, if the principal may not read secrets. */
async function stateOf(principal: Principal, request: Request, input: TargetInput, to: ToState): Promise<Response> {
  const hideValues = !readsSecrets(principal);
  const answer = await tagged(request, to(input, { hideValues }), hideValues ? "-hidden" : "");
  if (hideValues) answer.headers.set(api.hidesValues, "1");
  return answer;
}

const fleetState = deviceRoute("fleetState", {
  answer: (request, { params: { fleetUuid = "", releaseUuid }, principal: { principal } }, { db }) => {
    const input = targetInputOfFleet(db, fleetUuid, releaseUuid || undefined);
    return input && mayRead(principal, input.fleet.id)
      ? stateOf(principal, request, input, targetState)
      : emptyError(401);
  },
});

/** Precise to the minute, which saves a write for most requests. */
const recordContact = (db: Database, deviceId: number, nowMs: number): void => {
  db.run(
    `UPDATE devices SET heard_at = ?, offline_at = NULL
     WHERE id = ? AND (ifnull(heard_at < ?, TRUE) OR offline_at IS NOT NULL)`,
    ...[isoTime(nowMs), deviceId, isoTime(nowMs - 60_000)],
  );
};

const utf8 = new TextEncoder();

/** It contains the variables for all services once for each service. */
const largestState = 10 * 1024 * 1024;

/** With the entity tag that the public cloud computes; 304 if the client has it and does not send `no-cache`. */
async function tagged(request: Request, state: object, suffix: string): Promise<Response> {
  const text = JSON.stringify(state);
  if (text.length > largestState)
    return objectError(413, `The target state is larger than ${largestState} bytes: give its services fewer variables`);
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

export const stateRoutes: readonly Route[] = [
  deviceState("deviceState", targetState),
  deviceState("deviceStateV2", targetStateV2),
  fleetState,
];
