import * as z from "zod";
import { endpoint, json, liveStream, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { Id, refusals, When } from "./fields.ts";

export const changeKinds = [
  "device.online",
  "device.offline",
  "update.changed",
  "problem.found",
  "problem.ended",
  "lock.found",
  "lock.ended",
  "command.finished",
  "audit",
  "webhook.disabled",
  /** Changes between two ids are no longer kept. A reader that missed them gets it, whatever else it asks for. */
  "changes.lost",
] as const;

export const CloudChange = z.object({
  id: z.int().describe("Rises by one with each change of the cloud"),
  at: When,
  kind: z.enum(changeKinds),
  fleetId: z.int().nullable(),
  uuid: z.string().nullable().describe("The device's"),
  data: z.record(z.string(), z.unknown()).describe("As in docs/events.md. Never a key or the value of a variable"),
});
export type CloudChange = z.output<typeof CloudChange>;
export type ChangeKind = CloudChange["kind"];

export const changes = endpoint({
  method: "GET",
  path: "/admin/v1/changes",
  summary:
    "Follow what happens to the devices of the token's fleets, one JSON object per line, gathered for a second; an empty line each minute, and the end after an hour. Changes by people are for tokens that may manage",
  params: z.object({
    fleetId: Id.optional(),
    after: z.coerce
      .number()
      .int()
      .nonnegative()
      .optional()
      .describe("Changes after this id, of the last 20,000; absent: those that come"),
  }),
  body: none,
  replies: {
    200: liveStream("application/x-ndjson", CloudChange),
    ...refusals,
    404: refusal("unknown-fleet"),
    503: refusal("busy"),
  },
});

const Url = z.string().max(2000).describe("https only. Redirects are not followed, and each request may take 10 s");

const Kinds = z
  .array(z.enum(changeKinds, { error: `expected some of ${changeKinds.join(", ")}` }))
  .min(1)
  .describe("Absent: all kinds");

export const Webhook = z.object({
  id: z.string(),
  url: z.string(),
  fleetId: z.int().nullable().describe("Only changes of this fleet"),
  kinds: z.array(z.enum(changeKinds)),
  madeBy: z.string().nullable().describe("The id of the token that made it; it ends with that token"),
  createdAt: When,
  delivered: z.int().describe("The id of the last change that was delivered, or passed over"),
  failures: z.int().describe("Attempts that have failed since the last success"),
  lastError: z.string().nullable(),
  retryAt: When.nullable(),
  disabledAt: When.nullable().describe("It has failed for three days, and gets nothing until it is enabled again"),
});
export type Webhook = z.output<typeof Webhook>;

export const webhooks = endpoint({
  method: "GET",
  path: "/admin/v1/webhooks",
  summary: "List webhooks, without their secrets",
  manages: true,
  params: none,
  body: none,
  replies: { 200: json(z.array(Webhook)), 401: refusals[401], 403: refusals[403] },
});

export const createWebhook = endpoint({
  method: "POST",
  path: "/admin/v1/webhooks",
  summary:
    "Send changes to a URL, signed as Standard Webhooks says, at least once, in their order. No other answer contains the secret",
  manages: true,
  secretAnswer: true,
  params: none,
  body: z.object({ url: Url, fleetId: z.int().positive().optional(), kinds: Kinds.optional() }),
  replies: {
    201: json(Webhook.extend({ secret: z.string() })),
    ...refusals,
    404: refusal("unknown-fleet"),
    409: refusal("limit-reached"),
  },
});

export const changeWebhook = endpoint({
  method: "PATCH",
  path: "/admin/v1/webhooks/:webhookId",
  summary: "Change the URL or the kinds of a webhook, or enable it again: it goes on where it was",
  manages: true,
  params: z.object({ webhookId: z.string() }),
  body: z.object({ url: Url.optional(), kinds: Kinds.optional(), enabled: z.boolean().optional() }),
  replies: { 200: json(Webhook), ...refusals, 404: refusal("unknown-webhook") },
});

export const deleteWebhook = endpoint({
  method: "DELETE",
  path: "/admin/v1/webhooks/:webhookId",
  summary: "Delete a webhook",
  manages: true,
  params: z.object({ webhookId: z.string() }),
  body: none,
  replies: { 200: json(z.object({ id: z.string() })), ...refusals, 404: refusal("unknown-webhook") },
});
