import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { ReportedProblem } from "../problem.ts";
import { Id, Name, Pin, refusals, When } from "./fields.ts";

export const Device = z.object({
  id: z.int(),
  uuid: z.string(),
  name: z.string(),
  fleetId: z.int(),
  deviceType: z.string(),
  connected: z.boolean().describe("Its tunnel is connected"),
  connectedSince: When.nullable(),
  supervisorVersion: z.string().nullable(),
  osVersion: z.string().nullable(),
  release: z.string().nullable().describe("The commit that it reports to run"),
  target: z.string().nullable().describe("The commit that it should run"),
  pinned: z.boolean().describe("It is pinned to that commit; false: it follows its fleet"),
  updateStatus: z
    .string()
    .nullable()
    .describe(
      'Its reported update status: downloading, done, …; "failing" instead of done if it has problems with its services',
    ),
  problems: z
    .array(ReportedProblem)
    .describe(
      "What is wrong on it, as it has reported last; the most recent state that is known of a device that is offline",
    ),
  progress: z.int().nullable().describe("Percent of the current download"),
  heardAt: When.nullable().describe("Its last request or report, to the minute"),
  createdAt: When,
});
export type Device = z.output<typeof Device>;

export const devices = endpoint({
  method: "GET",
  path: "/admin/v1/devices",
  summary: "List devices by id, and whether each is connected; for the next page, `after` is the last id of this one",
  params: z.object({
    fleetId: Id.optional(),
    after: Id.optional(),
    limit: Id.pipe(z.number().max(500)).default(100),
  }),
  body: none,
  replies: { 200: json(z.array(Device)), ...refusals, 404: refusal("unknown-fleet") },
});

export const device = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid",
  summary: "One device",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(Device), ...refusals, 404: refusal("unknown-device") },
});

export const changeDevice = endpoint({
  method: "PATCH",
  path: "/admin/v1/devices/:uuid",
  summary: "Rename a device, move it to another fleet, or pin it to a release",
  params: z.object({ uuid: z.string() }),
  body: z.object({ name: Name.optional(), fleetId: z.int().positive().optional(), release: Pin }),
  replies: { 200: json(Device), ...refusals, 404: refusal("unknown-device", "unknown-fleet", "unknown-release") },
});

export const deleteDevice = endpoint({
  method: "DELETE",
  path: "/admin/v1/devices/:uuid",
  summary: "Delete a device: its key becomes invalid, its tunnel is closed",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 204: empty, ...refusals, 404: refusal("unknown-device") },
});

export const replaceDeviceKey = endpoint({
  method: "POST",
  path: "/admin/v1/devices/:uuid/key",
  manages: true,
  summary: "Replace a device's key; the old key becomes invalid, and no other answer contains the new one",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(z.object({ key: z.string() })), ...refusals, 404: refusal("unknown-device") },
});
