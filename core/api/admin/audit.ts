import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { Id, refusals, When } from "./fields.ts";

export const AuditEntry = z.object({
  id: z.int(),
  at: When,
  who: z
    .string()
    .describe(
      "The credential: a token's id, admin, device:<id>, service:<id> of a device, key:<id> for a provisioning key, or nobody",
    ),
  name: z.string().nullable().describe("The token's name"),
  address: z.string().nullable().describe("The address of the client"),
  operation: z.string().describe("The operationId, here or in the device's API; unknown for a path without operation"),
  method: z.string().nullable(),
  path: z.string().nullable().describe("The path of the operation, without the values of its parameters"),
  fleetId: z.int().nullable(),
  uuid: z.string().nullable().describe("The device's"),
  about: z.string().nullable().describe("Names and ids, such as those of what was created"),
  status: z.int().describe("Of the answer; 499 if the client disconnected before it"),
  count: z.int().describe("More than 1 for several refused credentials of one address in one minute"),
});
export type AuditEntry = z.output<typeof AuditEntry>;

export const audit = endpoint({
  method: "GET",
  path: "/admin/v1/audit",
  summary: "List changes, newest first; for the next page, `before` is the last id of this one; to follow, use `after`",
  manages: true,
  params: z.object({
    fleetId: Id.optional(),
    before: Id.optional(),
    after: z.coerce.number().int().nonnegative().optional().describe("Entries after that id, oldest first"),
    limit: Id.pipe(z.number().max(500)).default(100),
  }),
  body: none,
  replies: { 200: json(z.array(AuditEntry)), ...refusals, 404: refusal("unknown-fleet") },
});
