import * as z from "zod";
import { Grant } from "../auth/access.ts";
import type { Database } from "./database.ts";
import type { Env } from "../env.ts";

/** What the directory's handlers work with. */
export interface DirectoryContext {
  readonly db: Database;
  readonly env: Env;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /**
   * Lets the sessions of these devices know who they are now, or that they are no more. What cannot be told at once is
   * told later; until then a session holds to what it knew.
   */
  readonly syncDevices: (uuids: readonly string[]) => Promise<void>;
  /** Has these devices ask for their target state now, as far as they can be reached. Waits for none of them. */
  readonly requestUpdates: (uuids: readonly string[]) => void;
}

/** Who asks: as the Worker saw it, before the directory has looked anything up. */
export const Authentication = z.discriminatedUnion("is", [
  z.object({ is: z.literal("person"), grant: Grant }),
  /** SHA-256 as hex: of a key, and of the key of services that is derived from it if it is a device's. */
  z.object({ is: z.literal("key"), digest: z.string(), serviceKeyDigest: z.string().optional() }),
  z.object({ is: z.literal("nobody") }),
]);
export type Authentication = z.output<typeof Authentication>;

/** Who asks, once looked up. */
export type Principal =
  | { readonly is: "person"; readonly grant: Grant }
  | {
      readonly is: "device";
      readonly id: number;
      readonly uuid: string;
      readonly fleetId: number;
      /** The device's own; or the one that its services have, which reads and reports for the device. */
      readonly key: "own" | "service";
    }
  | { readonly is: "provisioning"; readonly keyId: number; readonly fleetId: number }
  | { readonly is: "nobody" };

/** What an entry of the audit log is about, as far as it is known. */
export interface AuditTarget {
  /** Absent: that of the device. */
  readonly fleetId?: number | undefined;
  readonly uuid?: string | undefined;
  /** Names and ids, such as those of what was made. */
  readonly about?: string | undefined;
}

/** Says what the entry for a request is about, where its path does not. */
export type Note = (target: AuditTarget) => void;

/** A device as a caller: of nothing but itself. */
export const deviceGrant = ({ id, uuid, fleetId }: Extract<Principal, { is: "device" }>): Grant => ({
  ...{ tokenId: `device:${id}`, fleets: [fleetId], issuedAt: 0, device: uuid },
  ...{ write: true, secrets: true, manage: true },
});

/** Whether the values of variables are for who asks. A device knows its own. */
export const readsSecrets = (principal: Principal): boolean =>
  (principal.is === "device" && principal.key === "own") || (principal.is === "person" && principal.grant.secrets);

export const isoTime = (ms: number): string => new Date(ms).toISOString();

/** SQL that is true for fleets that the caller may see, and its values. */
export const inFleets = (column: string, { fleets }: Grant): readonly [string, ...string[]] =>
  fleets === "all" ? ["TRUE"] : [`${column} IN (SELECT value FROM json_each(?))`, JSON.stringify(fleets)];

/** The devices of a fleet, or of those only that follow its release. */
export const uuidsOfFleet = (
  { db }: Pick<DirectoryContext, "db">,
  fleetId: number,
  which: "all" | "following" = "all",
): string[] =>
  db
    .all<{ uuid: string }>(
      `SELECT uuid FROM devices WHERE fleet_id = ? ${which === "following" ? "AND pinned_release_id IS NULL" : ""}`,
      fleetId,
    )
    .map(({ uuid }) => uuid);

/** The identity that belongs to what the Worker saw. A revoked token, or one of another installation, is nobody's. */
export function identify(authentication: Authentication, { db, now }: Pick<DirectoryContext, "db" | "now">): Principal {
  switch (authentication.is) {
    case "nobody":
      return authentication;
    case "person":
      return isGood(authentication.grant, db) ? authentication : { is: "nobody" };
    case "key": {
      const device = db.one<{ id: number; uuid: string; fleetId: number; isOwn: number; isOld: number }>(
        `SELECT id, uuid, fleet_id AS fleetId, key_digest = ?1 AS isOwn, service_key_digest IS NULL AS isOld
         FROM devices WHERE key_digest = ?1 OR service_key_digest = ?1`,
        authentication.digest,
      );
      if (device) {
        const { isOwn, isOld, ...rest } = device;
        // It joined before services had keys, and the key itself is nowhere but with it.
        if (isOwn === 1 && isOld === 1 && authentication.serviceKeyDigest !== undefined)
          db.run("UPDATE devices SET service_key_digest = ? WHERE id = ?", authentication.serviceKeyDigest, device.id);
        return { is: "device", ...rest, key: isOwn === 1 ? "own" : "service" };
      }
      const key = db.one<{ keyId: number; fleetId: number }>(
        `SELECT id AS keyId, fleet_id AS fleetId FROM provisioning_keys WHERE digest = ? AND ${isUsable}`,
        authentication.digest,
        isoTime(now()),
      );
      return key ? { is: "provisioning", ...key } : { is: "nobody" };
    }
  }
}

/** SQL: whether devices join with a row of `provisioning_keys`, at the time that is the next value. */
export const isUsable = "ifnull(expires_at > ?, TRUE) AND ifnull(uses_left > 0, TRUE)";

/** Not revoked; the signature was checked before. */
export const isGood = ({ tokenId }: Grant, db: Database): boolean =>
  tokenId === "admin" || db.one("SELECT 1 FROM tokens WHERE id = ? AND revoked_at IS NULL", tokenId) !== undefined;
