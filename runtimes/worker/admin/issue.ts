import { refuse } from "../../../core/api/refusal.ts";
import { isOwner, type Grant } from "../auth/grant.ts";
import { isoTime } from "../database.ts";
import type { DirectoryContext } from "../directory/context.ts";

/** Rules for creating keys and tokens: a credential gives no more than its maker has, and is revoked with it. */

/** For the column `made_by`: null for the owner, whose secret is never revoked. */
export const makerOf = (grant: Grant): string | null => (isOwner(grant) ? null : grant.tokenId);

/** Checked after each await: what a revoked token creates would not be revoked with it. */
export const revoked = refuse("unauthorized", "This token has been revoked");

export const dayMs = 24 * 60 * 60 * 1000;

/**
 * The expiry of something that a token creates, in milliseconds since the epoch, or null. A sentence if it may not last as
 * long as was requested.
 */
export function expiryOf(
  { db, now }: DirectoryContext,
  { tokenId }: Grant,
  lifetimeDays: number | "never" | undefined,
  usualDays: number | "never" = "never",
): number | null | string {
  const row = db.one<{ expires_at: number | null }>("SELECT expires_at FROM tokens WHERE id = ?", tokenId);
  const latest = row?.expires_at == null ? Infinity : row.expires_at * 1000;
  const days = lifetimeDays ?? usualDays;
  const wanted = days === "never" ? Infinity : now() + days * dayMs;
  if (lifetimeDays !== undefined && wanted > latest)
    return `What this token makes can last no longer than itself, until ${isoTime(latest)}`;
  const expiry = Math.min(wanted, latest);
  return expiry === Infinity ? null : expiry;
}
