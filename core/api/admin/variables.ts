import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { Id, refusals, When } from "./fields.ts";

/** Without its value, which no answer contains. */
export const Variable = z.object({
  name: z.string(),
  kind: z.enum(["env", "config"]),
  service: z.string().nullable().describe("Null: all services"),
  createdAt: When,
});
export type Variable = z.output<typeof Variable>;

const Service = z.string().optional().describe("Only for this service");
const NewVariables = z.object({
  service: Service,
  variables: z
    .record(z.string(), z.string(), { error: "expected an object of names and values, all of them strings" })
    .describe(
      "Names that begin with RESIN_ or BALENA_ configure the device; others are environment variables of services",
    ),
});

export const fleetVariables = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/variables",
  summary: "List the names of a fleet's variables",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 200: json(z.array(Variable)), ...refusals, 404: refusal("unknown-fleet") },
});

export const setFleetVariables = endpoint({
  method: "POST",
  path: "/admin/v1/fleets/:fleetId/variables",
  summary: "Set variables of a fleet; its devices are notified at once",
  params: z.object({ fleetId: Id }),
  body: NewVariables,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-fleet") },
});

export const deleteFleetVariable = endpoint({
  method: "DELETE",
  path: "/admin/v1/fleets/:fleetId/variables/:name",
  summary: "Delete a variable of a fleet; its devices are notified at once",
  params: z.object({ fleetId: Id, name: z.string(), service: Service }),
  body: none,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-fleet", "unknown-service", "unknown-variable") },
});

export const deviceVariables = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid/variables",
  summary: "List the names of a device's own variables, which override its fleet's",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(z.array(Variable)), ...refusals, 404: refusal("unknown-device") },
});

export const setDeviceVariables = endpoint({
  method: "POST",
  path: "/admin/v1/devices/:uuid/variables",
  summary: "Set variables of a device; it is notified at once",
  params: z.object({ uuid: z.string() }),
  body: NewVariables,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-device") },
});

export const deleteDeviceVariable = endpoint({
  method: "DELETE",
  path: "/admin/v1/devices/:uuid/variables/:name",
  summary: "Delete a variable of a device; it is notified at once",
  params: z.object({ uuid: z.string(), name: z.string(), service: Service }),
  body: none,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-device", "unknown-service", "unknown-variable") },
});
