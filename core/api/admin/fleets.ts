import * as z from "zod";
import { powers } from "../../model/powers.ts";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { DeviceType, Id, Name, Pin, Powers, refusals, When } from "./fields.ts";

export const Fleet = z.object({
  id: z.int(),
  uuid: z.string(),
  name: z.string(),
  deviceType: z.string(),
  devices: z.int().describe("Number of devices"),
  release: z.string().nullable().describe("The commit that devices run unless they are pinned"),
  tracksLatest: z.boolean().describe("Devices follow the next release; false: the fleet is pinned"),
  forbidden: z.array(z.enum(powers)).describe("Powers over the host that services of the fleet may not request"),
  createdAt: When,
});
export type Fleet = z.output<typeof Fleet>;

export const fleets = endpoint({
  method: "GET",
  path: "/admin/v1/fleets",
  summary: "List the fleets of the token",
  params: none,
  body: none,
  replies: { 200: json(z.array(Fleet)), 401: refusals[401] },
});

export const createFleet = endpoint({
  method: "POST",
  path: "/admin/v1/fleets",
  summary: "Create a fleet; needs a token that may write in all fleets",
  params: none,
  body: z.object({ name: Name, deviceType: DeviceType.default("generic-amd64"), forbidden: Powers.default([]) }),
  replies: {
    201: json(Fleet),
    ...refusals,
    404: refusal("unknown-fleet"),
    409: refusal("already-exists", "limit-reached"),
  },
});

export const changeFleet = endpoint({
  method: "PATCH",
  path: "/admin/v1/fleets/:fleetId",
  summary: "Rename a fleet, pin it to a release, or forbid its services powers over the host",
  params: z.object({ fleetId: Id }),
  body: z.object({ name: Name.optional(), release: Pin, forbidden: Powers.optional() }),
  replies: {
    200: json(Fleet),
    ...refusals,
    404: refusal("unknown-fleet", "unknown-release"),
    409: refusal("already-exists"),
  },
});

export const deleteFleet = endpoint({
  method: "DELETE",
  path: "/admin/v1/fleets/:fleetId",
  summary: "Delete a fleet that has no devices",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-fleet"), 409: refusal("fleet-not-empty") },
});

export const FleetSummary = z.object({
  devices: z.int(),
  target: z.string().nullable().describe("The commit that devices run unless they are pinned"),
  states: z
    .object({ failing: z.int(), waiting: z.int(), updating: z.int(), offline: z.int(), well: z.int() })
    .describe("Number of devices by state, as in GET /admin/v1/devices"),
  releases: z
    .array(z.object({ commit: z.string(), devices: z.int() }))
    .describe("The commits that devices report to run, the most frequent first, 20 at most"),
});
export type FleetSummary = z.output<typeof FleetSummary>;

export const fleetSummary = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/summary",
  summary: "Count the devices of a fleet by state and by release, without waking one",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 200: json(FleetSummary), ...refusals, 404: refusal("unknown-fleet") },
});
