import { messageOf } from "../../../core/model/show.ts";
import type { CloudChange } from "../../../core/api/admin/index.ts";
import type { Grant } from "../auth/grant.ts";
import type { Database } from "../database.ts";
import { lostChange, type Changes } from "./changes.ts";
import type { Job } from "./schedule.ts";

/** For the answer's head; the body is not read. */
const timeoutMs = 10_000;
/** Deliveries of one webhook in one alarm. */
const mostDeliveries = 100;
const readAtOnce = 20;
/** The pauses before a failed delivery is repeated; the last one repeats. */
const retryMs = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000] as const;
const longestFailureMs = 3 * 24 * 60 * 60 * 1000;
/** A delivery without an outcome after this time was lost with an evicted object, and is repeated. */
const lostMs = 30_000;
/** The alarm waits for deliveries for so long; slow ones go on without it, so that they do not delay other jobs. */
const alarmWaitMs = 2000;
const longestError = 300;

export interface WebhookRow extends Record<string, SqlStorageValue> {
  readonly id: string;
  readonly url: string;
  readonly salt: string;
  readonly fleet_id: number | null;
  readonly kinds: string;
  readonly fleets: string;
  readonly made_by: string | null;
  readonly created_at: number;
  readonly cursor: number;
  readonly due_at: number;
  readonly attempts: number;
  readonly failing_since: number | null;
  readonly last_error: string | null;
  readonly disabled_at: number | null;
}

interface Parts {
  readonly db: Database;
  readonly now: () => number;
  readonly changes: Changes;
  /** The secret of a webhook, which is derived and not stored. */
  readonly secretOf: (webhook: Pick<WebhookRow, "id" | "salt">) => Promise<Uint8Array<ArrayBuffer>>;
  readonly send: (request: Request) => Promise<Response>;
  /** Called when a delivery has ended, and another one may be due. */
  readonly changed: () => void;
}

/**
 * Sends changes to webhooks as Standard Webhooks says: one after the other for each webhook, so that they arrive in their
 * order. A change is repeated until the receiver accepts it; a receiver that has refused for three days gets no more.
 */
export class Webhooks implements Job {
  readonly #parts: Parts;
  readonly #inProgress = new Map<string, Promise<void>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  dueAt(): number {
    const { db, now, changes } = this.#parts;
    const next = db.one<{ at: number | null }>(
      `SELECT min(due_at) AS at FROM webhooks WHERE disabled_at IS NULL AND cursor < ?
         AND id NOT IN (SELECT value FROM json_each(?))`,
      ...[changes.last(), JSON.stringify([...this.#inProgress.keys()])],
    );
    return Math.min(next?.at ?? Infinity, this.#inProgress.size > 0 ? now() + lostMs : Infinity);
  }

  async run(mostSubrequests: number): Promise<number> {
    const { db, now, changes, changed } = this.#parts;
    const due = db.all<WebhookRow>(
      "SELECT * FROM webhooks WHERE disabled_at IS NULL AND cursor < ? AND due_at <= ? ORDER BY due_at",
      ...[changes.last(), now()],
    );
    const budget = Math.min(mostDeliveries, Math.floor(mostSubrequests / Math.max(1, due.length)));
    for (const { id } of due) {
      if (this.#inProgress.has(id) || budget < 1) continue;
      const delivery = this.#deliver(id, budget).finally(() => {
        this.#inProgress.delete(id);
        changed();
      });
      this.#inProgress.set(id, delivery);
    }
    await Promise.race([Promise.all(this.#inProgress.values()), new Promise((done) => setTimeout(done, alarmWaitMs))]);
    return budget * due.length;
  }

  async #deliver(id: string, budget: number): Promise<void> {
    for (let left = budget; left > 0;) {
      const found = this.#next(id);
      if (!found) return;
      for (const change of found.changes.slice(0, left)) {
        left--;
        const fault = await this.#send(found.webhook, change);
        if (fault !== undefined) return this.#failed(found.webhook, fault);
        // It may have been changed or deleted meanwhile.
        this.#parts.db.run(
          `UPDATE webhooks SET cursor = max(cursor, ?), attempts = 0, failing_since = NULL, last_error = NULL WHERE id = ?`,
          ...[change.id, id],
        );
      }
    }
  }

  /** The next changes of a webhook. Those that are not for it are passed over. */
  #next(id: string): { readonly webhook: WebhookRow; readonly changes: readonly CloudChange[] } | undefined {
    const { db, now, changes } = this.#parts;
    const webhook = db.one<WebhookRow>("SELECT * FROM webhooks WHERE id = ? AND disabled_at IS NULL", id);
    if (!webhook) return undefined;
    const maker = db.one<{ isOver: number }>(
      "SELECT revoked_at IS NOT NULL OR ifnull(expires_at <= ?, FALSE) AS isOver FROM tokens WHERE id = ?",
      ...[now() / 1000, webhook.made_by],
    );
    if (maker?.isOver === 1) {
      this.#disable(webhook, "The token that made it has ended");
      return undefined;
    }
    const oldest = changes.oldestAfter(webhook.cursor);
    const last = changes.last();
    const fleets: Grant["fleets"] = JSON.parse(webhook.fleets);
    const found = changes.next(
      webhook.cursor,
      {
        grant: { fleets, manage: true },
        fleetId: webhook.fleet_id ?? undefined,
        kinds: JSON.parse(webhook.kinds),
      },
      readAtOnce,
    );
    if (oldest !== undefined && oldest > webhook.cursor + 1)
      return { webhook, changes: [lostChange(webhook.cursor, oldest, now())] };
    if (found.length > 0) return { webhook, changes: found };
    db.run("UPDATE webhooks SET cursor = max(cursor, ?) WHERE id = ?", last, id);
    return undefined;
  }

  /** The reason of a failure; undefined: the receiver has accepted it. */
  async #send(webhook: WebhookRow, change: CloudChange): Promise<string | undefined> {
    const { now, secretOf, send } = this.#parts;
    try {
      const id = `msg_${webhook.id}_${change.id}`;
      const timestamp = String(Math.floor(now() / 1000));
      const { kind, at, ...data } = change;
      const body = JSON.stringify({ type: kind, timestamp: at, data });
      const response = await send(
        new Request(webhook.url, {
          method: "POST",
          // A redirect would lead past the check of the address.
          redirect: "manual",
          signal: AbortSignal.timeout(timeoutMs),
          headers: {
            "content-type": "application/json",
            "user-agent": "fairlead-webhooks/1",
            "webhook-id": id,
            "webhook-timestamp": timestamp,
            "webhook-signature": await signatureOf(await secretOf(webhook), `${id}.${timestamp}.${body}`),
          },
          body,
        }),
      );
      await response.body?.cancel();
      return response.ok ? undefined : `The receiver answered ${response.status}`;
    } catch (error) {
      return `The receiver did not answer: ${messageOf(error)}`;
    }
  }

  #failed(webhook: WebhookRow, reason: string): void {
    const { db, now } = this.#parts;
    const at = now();
    const since = webhook.failing_since ?? at;
    const error = reason.slice(0, longestError);
    if (at - since >= longestFailureMs) return this.#disable(webhook, error);
    const pauseMs = retryMs[Math.min(webhook.attempts, retryMs.length - 1)] ?? 0;
    db.run(
      "UPDATE webhooks SET attempts = attempts + 1, due_at = ?, failing_since = ?, last_error = ? WHERE id = ?",
      ...[at + pauseMs, since, error, webhook.id],
    );
  }

  #disable({ id, url, fleet_id }: WebhookRow, error: string): void {
    const { db, now, changes } = this.#parts;
    db.run("UPDATE webhooks SET disabled_at = ?, last_error = ? WHERE id = ?", now(), error, id);
    console.warn(`The webhook ${id} is disabled: ${error}`);
    changes.record({
      ...{ kind: "webhook.disabled", fleetId: fleet_id ?? undefined },
      data: { webhook: id, host: new URL(url).host, error },
    });
  }
}

const utf8 = new TextEncoder();

/** Standard Webhooks, version 1. */
async function signatureOf(secret: Uint8Array<ArrayBuffer>, content: string): Promise<string> {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode(content)));
  return `v1,${btoa(String.fromCharCode(...signature))}`;
}
