import type { Authentication, Grant } from "../auth/grant.ts";
import { isoTime, type Database } from "../database.ts";

/** Who sent a request, looked up in the directory. */
export type Principal =
  | { readonly is: "person"; readonly grant: Grant }
  | {
      readonly is: "device";
      readonly id: number;
      readonly uuid: string;
      readonly fleetId: number;
      /** The device's own key, or that of its services, which reads and reports for the device. */
      readonly key: "own" | "service";
    }
  | { readonly is: "provisioning"; readonly keyId: number; readonly fleetId: number }
  | { readonly is: "nobody" };

/** Looks up the principal of a request. A token that is revoked, or of another installation, makes nobody. */
export function identify(authentication: Authentication, db: Database, nowMs: number): Principal {
  switch (authentication.is) {
    case "nobody":
      return authentication;
    case "person":
      return isValid(authentication.grant, db) ? authentication : { is: "nobody" };
    case "key":
      return identifyKey(authentication, db, nowMs);
  }
}

function identifyKey(
  { digest, serviceKeyDigest }: Extract<Authentication, { is: "key" }>,
  db: Database,
  nowMs: number,
): Principal {
  const device = db.one<{ id: number; uuid: string; fleetId: number; isOwn: number; isOld: number }>(
    `SELECT id, uuid, fleet_id AS fleetId, key_digest = ?1 AS isOwn, service_key_digest IS NULL AS isOld
     FROM devices WHERE key_digest = ?1 OR service_key_digest = ?1`,
    digest,
  );
  if (device) {
    const { isOwn, isOld, ...ids } = device;
    // The device registered before services had keys. The directory has only the digest of its key.
    if (isOwn === 1 && isOld === 1 && serviceKeyDigest !== undefined)
      db.run("UPDATE devices SET service_key_digest = ? WHERE id = ?", serviceKeyDigest, device.id);
    return { is: "device", ...ids, key: isOwn === 1 ? "own" : "service" };
  }
  const key = db.one<{ keyId: number; fleetId: number }>(
    `SELECT id AS keyId, fleet_id AS fleetId FROM provisioning_keys WHERE digest = ? AND ${isUsable}`,
    ...[digest, isoTime(nowMs)],
  );
  return key ? { is: "provisioning", ...key } : { is: "nobody" };
}

/** SQL: whether devices can register with a row of `provisioning_keys`, at the time that is the next value. */
export const isUsable = "ifnull(expires_at > ?, TRUE) AND ifnull(uses_left > 0, TRUE)";

/** Whether the token is not revoked; its signature was verified before. */
export const isValid = ({ tokenId }: Grant, db: Database): boolean =>
  tokenId === "admin" || db.one("SELECT 1 FROM tokens WHERE id = ? AND revoked_at IS NULL", tokenId) !== undefined;

/** A device's grant covers only the device. */
export const deviceGrant = ({ id, uuid, fleetId }: Extract<Principal, { is: "device" }>): Grant => ({
  ...{ tokenId: `device:${id}`, fleets: [fleetId], issuedAt: 0, device: uuid },
  ...{ write: true, secrets: true, manage: true, shell: false },
});

/** Whether the principal may read the values of variables. A device may read its own. */
export const readsSecrets = (principal: Principal): boolean =>
  (principal.is === "device" && principal.key === "own") || (principal.is === "person" && principal.grant.secrets);

/** The principal's name in the audit log. */
export function nameOf(principal: Principal): string {
  switch (principal.is) {
    case "person":
      return principal.grant.tokenId;
    case "device":
      return `${principal.key === "own" ? "device" : "service"}:${principal.id}`;
    case "provisioning":
      return `key:${principal.keyId}`;
    case "nobody":
      return "nobody";
  }
}

/** SQL that is true for the fleets of a grant, and its values. */
export const inFleets = (column: string, { fleets }: Grant): readonly [string, ...string[]] =>
  fleets === "all" ? ["TRUE"] : [`${column} IN (SELECT value FROM json_each(?))`, JSON.stringify(fleets)];
