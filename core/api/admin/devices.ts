import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { ReportedProblem } from "../problem.ts";
import { Id, Name, Pin, refusals, When } from "./fields.ts";

/** What matters first of a device, the worst first. */
export const deviceStates = ["failing", "waiting", "updating", "offline", "well"] as const;
export type DeviceState = (typeof deviceStates)[number];

export const Device = z.object({
  id: z.int(),
  uuid: z.string(),
  name: z.string(),
  fleetId: z.int(),
  deviceType: z.string(),
  connected: z
    .boolean()
    .describe("Its tunnel is connected, as its session has said last; of one device, or with `check`: as it says now"),
  connectedSince: When.nullable(),
  state: z
    .enum(deviceStates)
    .describe(
      "offline: not connected; failing: it has rejected a release, or something is wrong on it; waiting: for an update lock, or a registry; updating: not at its target; else well",
    ),
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

/** Separated by commas; a comma of a name or a value is behind a backslash. */
const Tags = z
  .string()
  .max(500)
  .transform((text) => text.split(/(?<!\\),/).map((tag) => toTag(tag.replaceAll("\\,", ","))))
  .refine((tags) => tags.every(({ key }) => /^\S+$/.test(key)), {
    error: "expected name or name=value, several separated by commas",
  });

function toTag(text: string): { readonly key: string; readonly value: string | null } {
  const [key = "", ...rest] = text.split("=");
  return { key, value: rest.length > 0 ? rest.join("=") : null };
}

export const devices = endpoint({
  method: "GET",
  path: "/admin/v1/devices",
  summary:
    "List devices by id, without waking one; for the next page, `after` is the last id of this one. A device that lost its power counts as connected until its session is asked, after half an hour at the latest",
  params: z.object({
    fleetId: Id.optional(),
    state: z.enum(deviceStates, { error: `expected one of ${deviceStates.join(", ")}` }).optional(),
    search: z
      .string()
      .max(100)
      .optional()
      .describe("Only devices with this in the name, the uuid, the type, or a commit that they run or should run"),
    release: z
      .string()
      .max(64)
      .optional()
      .describe("Only devices that report to run a release whose commit begins with this"),
    tag: Tags.optional().describe(
      "Only devices with this tag: name, or name=value; with all of several, which commas separate (a comma in a value: \\,)",
    ),
    check: z
      .enum(["true", "false"], { error: 'expected "true" or "false"' })
      .optional()
      .describe("Ask the sessions of those that count as connected"),
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

const Figure = z.number().nullable();

/** In the form of a line `state` of the device's stream, as far as a report says it. */
export const DeviceStatus = z.object({
  heardAt: When.nullable(),
  state: z.object({
    settled: z.boolean(),
    apps: z.array(
      z.object({
        appId: z.int(),
        name: z.string(),
        commit: z.string(),
        updateStatus: z.string(),
        waits: z.array(z.string()),
        services: z.record(
          z.string(),
          z.object({ status: z.string(), image: z.string(), downloadProgress: z.number().nullable() }),
        ),
      }),
    ),
    problems: z.array(ReportedProblem),
  }),
  addresses: z.array(z.string()),
  figures: z
    .object({
      ...{ cpuPercent: Figure, memoryUsedMb: Figure, memoryTotalMb: Figure },
      ...{ storageUsedMb: Figure, storageTotalMb: Figure, cpuCelsius: Figure },
    })
    .describe("Null: not reported"),
});
export type DeviceStatus = z.output<typeof DeviceStatus>;

export const deviceStatus = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid/status",
  summary: "What a device has reported last, also of one that is offline; neither it nor its session is asked",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(DeviceStatus), ...refusals, 404: refusal("unknown-device") },
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
  secretAnswer: true,
  summary: "Replace a device's key; the old key becomes invalid, and no other answer contains the new one",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(z.object({ key: z.string() })), ...refusals, 404: refusal("unknown-device") },
});
