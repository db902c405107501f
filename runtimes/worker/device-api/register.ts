import { Registration, uuidTaken } from "../../../core/api/cloud/register.ts";
import { readBody } from "../../../core/http/body.ts";
import { digestsOf, isLongEnough, newKey } from "../auth/credential.ts";
import { isoTime, type Database } from "../database.ts";
import { isUsable } from "../directory/principal.ts";
import { emptyError, keyRequired, limitBytes, sentenceError, type Route } from "../http.ts";
import { nameFor } from "./device-name.ts";
import { deviceRoute } from "./route.ts";

/**
 * Exchanges a provisioning key for a device key. Answers are those recorded of the public cloud; every device type with the
 * format of one exists, and a key that is too short is replaced by a generated one.
 */
const register = deviceRoute("register", {
  operation: "register",
  answer: async (request, { principal: { principal, note } }, context) => {
    if (principal.is !== "provisioning") return keyRequired();
    note({ fleetId: principal.fleetId });
    const sent = await readBody(request, { limitBytes });
    if (!sent.ok) return sentenceError(sent.status, sent.message);
    const parsed = Registration.safeParse(sent.value);
    if (!parsed.success) return emptyError(400);
    const { application, device_type: deviceType, uuid, api_key: brought, ...versions } = parsed.data;
    const fleetId = Number(application);
    if (application === "" || !Number.isInteger(fleetId))
      return sentenceError(400, "Application ID must be a valid integer");
    if (!deviceType) return sentenceError(400, "Device type must be specified");
    if (!uuid) return sentenceError(400, "UUID must be specified");
    if (!/^([0-9a-f]{32}|[0-9a-f]{62})$/.test(uuid))
      return sentenceError(400, "Device UUID must be a 32 or 62 character long lower case hex string.");
    if (!/^[a-z0-9][a-z0-9._-]{0,99}$/.test(deviceType)) return sentenceError(404, `Unknown device type ${deviceType}`);
    if (fleetId !== principal.fleetId) return emptyError(401);
    note({ uuid });

    const key = brought !== undefined && isLongEnough(brought) ? brought : newKey();
    const { digest, serviceKeyDigest } = await digestsOf(key);
    const { db } = context;
    // As text and with the quotes: agents compare it with this text.
    if (db.one("SELECT 1 FROM devices WHERE uuid = ?", uuid))
      return new Response(uuidTaken, {
        status: 409,
        headers: { "content-type": "text/html; charset=utf-8" },
      });
    if (db.count("devices WHERE fleet_id = ?", fleetId) >= mostDevices)
      return sentenceError(400, `A fleet has at most ${mostDevices} devices`);
    if (isKeyInUse(db, digest)) return sentenceError(409, '"key" must be unique.');
    const isAdmitted = db.transaction(() => {
      const at = isoTime(context.now());
      // Checked again: while the body arrived, the key may have been used, deleted or have expired.
      const used = db.one<{ madeBy: string | null }>(
        `UPDATE provisioning_keys SET uses_left = uses_left - 1 WHERE id = ? AND ${isUsable} RETURNING made_by AS madeBy`,
        ...[principal.keyId, at],
      );
      if (!used) return false;
      db.run(
        `INSERT INTO devices (uuid, name, fleet_id, device_type, key_digest, service_key_digest, created_at, joined_by,
           supervisor_version, os_version, os_variant, mac_address) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ...[uuid, nameFor(uuid), fleetId, deviceType, digest, serviceKeyDigest, at, used.madeBy],
        ...[versions.supervisor_version, versions.os_version, versions.os_variant, versions.mac_address].map(
          (one) => one ?? null,
        ),
      );
      return true;
    });
    if (!isAdmitted) return keyRequired();
    const id = db.one<{ id: number }>("SELECT id FROM devices WHERE uuid = ?", uuid)?.id;
    await context.syncDevices([uuid]);
    return Response.json({ id, uuid, api_key: key }, { status: 201 });
  },
});

/** Of a fleet: more than one command reaches, and a limit for a leaked provisioning key. */
const mostDevices = 10_000;

const isKeyInUse = (db: Database, digest: string): boolean =>
  db.one(
    `SELECT 1 FROM devices WHERE key_digest = ?1 OR service_key_digest = ?1
     UNION SELECT 1 FROM provisioning_keys WHERE digest = ?1`,
    digest,
  ) !== undefined;

export const registerRoutes: readonly Route[] = [register];
