import { Registration, uuidTaken } from "../../../core/api/cloud/register.ts";
import { readBody } from "../../../core/http/body.ts";
import { digestsOf, isLongEnough, newKey } from "../auth/access.ts";
import { isoTime, isUsable, type DirectoryContext } from "../directory/context.ts";
import { keyRequired, limitBytes, type Route } from "../http.ts";

/**
 * A device becomes known: a provisioning key in, a device key out. Answers are those recorded of the public cloud; every
 * device type that is written like one exists, and a key that is too short is replaced by one of ours.
 */
const register: Route = {
  method: "POST",
  path: "/device/register",
  anonymous: keyRequired,
  operation: "register",
  answer: async (request, { principal, note }, context) => {
    if (principal.is !== "provisioning") return keyRequired();
    note({ fleetId: principal.fleetId });
    const sent = await readBody(request, { limitBytes });
    if (!sent.ok) return no(sent.status, sent.message);
    const parsed = Registration.safeParse(sent.value);
    if (!parsed.success) return new Response(null, { status: 400 });
    const { application, device_type: deviceType, uuid, api_key: brought, ...versions } = parsed.data;
    const fleetId = Number(application);
    if (application === "" || !Number.isInteger(fleetId)) return no(400, "Application ID must be a valid integer");
    if (!deviceType) return no(400, "Device type must be specified");
    if (!uuid) return no(400, "UUID must be specified");
    if (!/^([0-9a-f]{32}|[0-9a-f]{62})$/.test(uuid))
      return no(400, "Device UUID must be a 32 or 62 character long lower case hex string.");
    if (!/^[a-z0-9][a-z0-9._-]{0,99}$/.test(deviceType)) return no(404, `Unknown device type ${deviceType}`);
    if (fleetId !== principal.fleetId) return new Response(null, { status: 401 });
    note({ uuid });

    const key = brought !== undefined && isLongEnough(brought) ? brought : newKey();
    const { digest, serviceKeyDigest } = await digestsOf(key);
    const { db } = context;
    // Raw, and with the quotes: agents look for this very text.
    if (db.one("SELECT 1 FROM devices WHERE uuid = ?", uuid))
      return new Response(uuidTaken, {
        status: 409,
        headers: { "content-type": "text/html; charset=utf-8" },
      });
    if (countOf(context, fleetId) >= mostDevices) return no(400, `A fleet has at most ${mostDevices} devices`);
    if (isKeyInUse(context, digest)) return no(409, '"key" must be unique.');
    const isAdmitted = db.transaction(() => {
      const at = isoTime(context.now());
      // Looked at again: it may have been used, deleted or have expired while the body was on its way.
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
};

/** More than one command reaches, and few enough for whoever has found a provisioning key. */
const mostDevices = 10_000;

const countOf = ({ db }: DirectoryContext, fleetId: number): number =>
  db.one<{ n: number }>("SELECT count(*) AS n FROM devices WHERE fleet_id = ?", fleetId)?.n ?? 0;

const no = (status: number, message: string): Response => Response.json(message, { status });

const isKeyInUse = ({ db }: DirectoryContext, digest: string): boolean =>
  db.one(
    `SELECT 1 FROM devices WHERE key_digest = ?1 OR service_key_digest = ?1
     UNION SELECT 1 FROM provisioning_keys WHERE digest = ?1`,
    digest,
  ) !== undefined;

/** A name that one can say, from the uuid: "weathered-stream". */
function nameFor(uuid: string): string {
  const pick = (words: readonly string[], at: number): string =>
    words[Number.parseInt(uuid.slice(at, at + 4), 16) % words.length] ?? "device";
  return `${pick(adjectives, 0)}-${pick(nouns, 4)}`;
}

const adjectives =
  "amber autumn blue bold bright calm clear cold copper crisp dawn deep early fair fleet gentle green hidden humble keen late light lively long lunar mild misty morning mossy noble north open pale patient plain polar quiet rapid restless rough silent silver small snowy solar spring steady still summer swift tidy twilight warm weathered white wild windy winter young".split(
    " ",
  );
const nouns =
  "anchor bay beacon bird boat bow breeze bridge brook buoy canal cape channel cliff cloud coast cove creek current delta dune estuary ferry fjord gale glade grove gulf harbour haven hill island jetty keel lagoon lake lantern lighthouse mast meadow moon moor oar ocean pier pine port quay reef ridge river sail sea shore sound star stone strait stream tide wave wharf wind".split(
    " ",
  );

export const registerRoutes: readonly Route[] = [register];
