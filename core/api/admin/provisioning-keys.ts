import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { Id, LifetimeDays, Name, refusals, When } from "./fields.ts";

export const ProvisioningKey = z.object({
  id: z.int(),
  fleetId: z.int(),
  name: z.string(),
  createdAt: When,
  expiresAt: When.nullable(),
  usesLeft: z.int().nullable().describe("How many more devices may join with it; null: no limit"),
  madeBy: z.string().nullable().describe("The id of the token that made it; it ends when that token is revoked"),
});
export type ProvisioningKey = z.output<typeof ProvisioningKey>;

export const provisioningKeys = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/provisioning-keys",
  summary: "List the provisioning keys of a fleet, without the keys themselves",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 200: json(z.array(ProvisioningKey)), ...refusals, 404: refusal("unknown-fleet") },
});

export const createProvisioningKey = endpoint({
  method: "POST",
  path: "/admin/v1/fleets/:fleetId/provisioning-keys",
  summary: "Create a key with which devices join the fleet; no other answer contains it",
  params: z.object({ fleetId: Id }),
  manages: true,
  secretAnswer: true,
  body: z.object({
    name: Name.default("provisioning key"),
    lifetimeDays: LifetimeDays.describe("Absent: 90, or the lifetime of the token that makes it, if that is shorter"),
    uses: z.int().positive().optional().describe("How many devices may join with it; absent: no limit"),
  }),
  replies: {
    201: json(ProvisioningKey.extend({ key: z.string() })),
    ...refusals,
    404: refusal("unknown-fleet"),
    409: refusal("limit-reached"),
  },
});

export const deleteProvisioningKey = endpoint({
  method: "DELETE",
  path: "/admin/v1/fleets/:fleetId/provisioning-keys/:keyId",
  manages: true,
  summary: "Delete a provisioning key; devices that have joined with it stay",
  params: z.object({ fleetId: Id, keyId: Id }),
  body: none,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-fleet", "unknown-key") },
});
