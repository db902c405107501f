import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { newKey } from "../auth/credential.ts";
import { coversFleet, isOwner, type Grant } from "../auth/grant.ts";
import { isoTime } from "../database.ts";
import type { AuditTarget } from "../directory/audit-entry.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { isValid } from "../directory/principal.ts";
import { endToken, lineage } from "../directory/revocation.ts";
import type { Route } from "../http.ts";
import { dayMs, expiryOf, makerOf, revoked } from "./issue.ts";
import { adminRoute } from "./route.ts";

interface TokenRow extends Record<string, SqlStorageValue> {
  readonly id: string;
  readonly name: string;
  readonly fleets: string;
  readonly write: number;
  readonly secrets: number;
  readonly manage: number;
  readonly shell: number;
  readonly made_by: string | null;
  readonly issued_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
}

const toToken = ({ id, name, fleets, write, secrets, manage, shell, made_by: madeBy, ...at }: TokenRow): api.Token => ({
  id,
  name,
  fleets: api.Token.shape.fleets.parse(JSON.parse(fleets)),
  write: write === 1,
  secrets: secrets === 1,
  manage: manage === 1,
  shell: shell === 1,
  madeBy,
  issuedAt: isoTime(at.issued_at * 1000),
  expiresAt: at.expires_at === null ? null : isoTime(at.expires_at * 1000),
  revokedAt: at.revoked_at === null ? null : isoTime(at.revoked_at * 1000),
});

const tokens = adminRoute("tokens", ({ grant }, { db }) =>
  reply(
    200,
    (isOwner(grant)
      ? db.all<TokenRow>("SELECT * FROM tokens ORDER BY issued_at, id")
      : db.all<TokenRow>(
          `${lineage} SELECT tokens.* FROM tokens JOIN lineage USING (id) ORDER BY issued_at, id`,
          grant.tokenId,
        )
    ).map(toToken),
  ),
);

const createSession = adminRoute("createSession", async ({ body: { lifetimeSeconds }, grant }, context) => {
  const { db, now, signToken } = context;
  const { tokenId, fleets, write, secrets, manage, shell, sessionUntil } = grant;
  const iat = Math.floor(now() / 1000);
  const parent = db.one<{ at: number | null }>("SELECT expires_at AS at FROM tokens WHERE id = ?", tokenId);
  const until = Math.min(parent?.at ?? Infinity, sessionUntil ?? iat + api.longestSessionSeconds);
  const exp = Math.min(until, iat + lifetimeSeconds);
  const token = await signToken({ id: tokenId, fleets, write, secrets, manage, shell, iat, exp, until });
  if (!isValid(grant, db)) return revoked;
  return reply(201, { token, expiresAt: isoTime(exp * 1000) });
});

const createToken = adminRoute("createToken", async ({ body, grant, note }, context) => {
  const { name, fleets, lifetimeDays, ...permissions } = body;
  const beyond = beyondOf(grant, body);
  if (beyond !== undefined) return refuse("forbidden", `A token can give no more than it has, and this one ${beyond}`);
  const { db, now } = context;
  const none = fleets === "all" ? undefined : fleets.find((id) => !db.one("SELECT 1 FROM fleets WHERE id = ?", id));
  if (none !== undefined) return refuse("unknown-fleet", `There is no fleet ${none}`);
  const expiry = expiryOf(context, grant, lifetimeDays);
  if (typeof expiry === "string") return refuse("forbidden", expiry);
  const iat = Math.floor(now() / 1000);
  const exp = expiry === null ? undefined : Math.ceil(expiry / 1000);
  const id = newKey().slice(0, 16);
  const token = await context.signToken({
    ...{ id, fleets, ...permissions, iat },
    ...(exp !== undefined && { exp }),
  });
  if (!isValid(grant, db)) return revoked;
  if (familySize(context, grant) >= mostTokens)
    return refuse(
      "limit-reached",
      `${mostTokens} tokens have come of the same token of the owner's as this one: the owner can make you another one`,
    );
  const row: TokenRow = {
    id,
    name,
    fleets: JSON.stringify(fleets),
    write: Number(permissions.write),
    secrets: Number(permissions.secrets),
    manage: Number(permissions.manage),
    shell: Number(permissions.shell),
    made_by: makerOf(grant),
    issued_at: iat,
    expires_at: exp ?? null,
    revoked_at: null,
  };
  db.run(
    `INSERT INTO tokens (${Object.keys(row).join(", ")}) VALUES (${Object.keys(row)
      .map(() => "?")
      .join(", ")})`,
    ...Object.values(row),
  );
  note({ ...fleetOf(fleets), about: `token ${id}` });
  return reply(201, { ...toToken(row), token });
});

/** The fleet of a token, if it has only one. */
const fleetOf = (fleets: api.Token["fleets"]): AuditTarget =>
  fleets !== "all" && fleets.length === 1 ? { fleetId: fleets[0] } : {};

/** The descendants of a token that the owner created, itself included. The owner may create any number. */
const mostTokens = 1000;

/** The number of these, with those that expired within 30 days, which fill the directory as well. */
const familySize = ({ db, now }: DirectoryContext, { tokenId }: Grant): number =>
  db.one<{ n: number }>(
    `WITH RECURSIVE makers (id, made_by) AS
       (SELECT id, made_by FROM tokens WHERE id = ?1
        UNION SELECT tokens.id, tokens.made_by FROM tokens JOIN makers ON tokens.id = makers.made_by),
     family (id) AS
       (SELECT id FROM makers WHERE made_by IS NULL
        UNION SELECT tokens.id FROM tokens JOIN family ON tokens.made_by = family.id)
     SELECT count(*) AS n FROM tokens JOIN family USING (id) WHERE ifnull(expires_at > ?2, TRUE)`,
    ...[tokenId, (now() - 30 * dayMs) / 1000],
  )?.n ?? 0;

/** What a grant lacks of what a token would give. */
function beyondOf(
  grant: Grant,
  { fleets, write, secrets, manage, shell }: Pick<api.Token, "fleets" | "write" | "secrets" | "manage" | "shell">,
): string | undefined {
  if (fleets === "all" ? grant.fleets !== "all" : !fleets.every((id) => coversFleet(grant, id)))
    return `is for certain fleets: ${grant.fleets}`;
  if (write && !grant.write) return "may not write";
  if (secrets && !grant.secrets) return "may not read secrets";
  if (manage && !grant.manage) return "may not manage";
  if (shell && !grant.shell) return "may not open shells";
  return undefined;
}

const revokeToken = adminRoute("revokeToken", async ({ params: { tokenId }, grant, note }, context) => {
  const { db, syncDevices } = context;
  const found = db.one<{ fleets: string }>(
    `${lineage} SELECT fleets FROM tokens WHERE id = ?2 AND (?3 OR id IN lineage)`,
    ...[grant.tokenId, tokenId, Number(isOwner(grant))],
  );
  if (!found) return refuse("unknown-token", "There is no such token");
  const { uuids, ended } = db.transaction(() => endToken(context, tokenId));
  const inFleets = db.all<{ uuid: string }>(
    `SELECT uuid FROM devices WHERE ?1 = '"all"' OR fleet_id IN (SELECT value FROM json_each(?1))`,
    found.fleets,
  );
  const fleets = api.Token.shape.fleets.parse(JSON.parse(found.fleets));
  note({ ...fleetOf(fleets), about: `token ${tokenId}` });
  await syncDevices([...new Set([...uuids, ...inFleets.map(({ uuid }) => uuid)])]);
  return reply(200, ended);
});

export const tokenRoutes: readonly Route[] = [createSession, tokens, createToken, revokeToken];
