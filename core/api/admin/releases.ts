import * as z from "zod";
import { powers } from "../../model/powers.ts";
import { endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { Id, refusals, When } from "./fields.ts";

/** It becomes a part of container names. */
const Commit = z.string().regex(/^(?!latest$)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, {
  error: "expected a commit: 1 to 64 letters, digits, _, . and -, and not the word latest",
});

const CheckedRelease = z.object({
  warnings: z.array(z.string()),
  powers: z
    .record(z.string(), z.array(z.enum(powers)))
    .describe("The powers over the host that services request, by service"),
});

export const Change = z.object({
  part: z.enum(["service", "network", "volume", "config", "secret"]),
  name: z.string(),
  change: z.enum(["added", "removed", "changed"]),
  fields: z.array(z.string()).describe("Of what has changed, such as image and environment.TZ; without values"),
});
export type Change = z.output<typeof Change>;

export const Release = z.object({
  id: z.int(),
  fleetId: z.int(),
  commit: z.string(),
  services: z.array(z.string()),
  target: z.boolean().describe("Devices of the fleet run it unless they are pinned"),
  devices: z.int().describe("Number of devices that report to run it"),
  createdAt: When,
});
export type Release = z.output<typeof Release>;

export const Arrival = z.object({ at: When, devices: z.int() });
export type Arrival = z.output<typeof Arrival>;

export const createRelease = endpoint({
  method: "POST",
  path: "/admin/v1/fleets/:fleetId/releases",
  summary:
    "Create a release of a compose file; the fleet's devices are notified at once, unless they or the fleet are pinned",
  params: z.object({ fleetId: Id }),
  body: z.object({
    commit: Commit.optional().describe("Absent: the cloud makes one"),
    composition: z
      .looseObject({}, { error: "expected an object with services, networks and volumes" })
      .describe("The compose file as JSON; its images must be in a registry"),
    allowUnsupported: z.boolean().optional().describe("Leave out what devices do not support, with a warning"),
    dryRun: z.boolean().optional().describe("Only check it, and say what it would change"),
  }),
  bodyLimitBytes: 1024 * 1024,
  replies: {
    200: json(CheckedRelease.extend({ changes: z.array(Change).describe("From the release that the fleet has now") })),
    201: json(Release.extend(CheckedRelease.shape)),
    ...refusals,
    404: refusal("unknown-fleet"),
    409: refusal("already-exists", "limit-reached"),
  },
});

export const releases = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/releases",
  summary: "List the releases of a fleet, newest first; for the next page, `before` is the last id of this one",
  params: z.object({ fleetId: Id, before: Id.optional(), limit: Id.pipe(z.number().max(500)).default(100) }),
  body: none,
  replies: { 200: json(z.array(Release)), ...refusals, 404: refusal("unknown-fleet") },
});

export const release = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/releases/:commit",
  summary: "One release, and what it changes from the one before",
  params: z.object({ fleetId: Id, commit: z.string() }),
  body: none,
  replies: {
    200: json(
      Release.extend({
        changes: z.array(Change).describe("From the release that was made before it"),
        arrivals: z
          .array(Arrival)
          .describe("When the devices that run it had come to run it: at each time, how many. At most 101"),
      }),
    ),
    ...refusals,
    404: refusal("unknown-fleet", "unknown-release"),
  },
});

/** The states of a device that should run a release. */
export const updateStates = ["failed", "updating", "settling", "waiting", "offline", "done"] as const;
export type UpdateState = (typeof updateStates)[number];

/** Seconds. */
export const longestStayUp = 3600;

export const ReleaseProgress = z.object({
  commit: z.string(),
  devices: z
    .int()
    .describe(
      "Number of devices that should run it: those that follow the fleet, if it is the fleet's target, and those that are pinned to it",
    ),
  counts: z
    .object({
      done: z.int().describe("They run it, and nothing of them has changed for `stayUp` seconds"),
      settling: z.int().describe("They run it, but not for so long"),
      updating: z.int(),
      waiting: z.int().describe("They have not begun"),
      failed: z.int(),
      offline: z
        .int()
        .describe("They had no connection when the cloud asked them to update, and were not heard of since"),
    })
    .describe("Number of devices by state"),
  progress: z.int().nullable().describe("Mean percent of the downloads of the updating devices"),
  first: z
    .array(
      z.object({
        uuid: z.string(),
        name: z.string(),
        state: z.enum(updateStates),
        updateStatus: z
          .string()
          .nullable()
          .describe("Its reported update status; null if it has not reported on this release"),
        progress: z.int().nullable().describe("Percent of its current download"),
        reasons: z.array(z.string()).describe("Why it does not get on, or has failed"),
        heardAt: When.nullable(),
      }),
    )
    .describe("The first `limit` devices; failed ones first, then those that are not done"),
});
export type ReleaseProgress = z.output<typeof ReleaseProgress>;

export const releaseProgress = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/releases/:commit/progress",
  summary: "Follow a release: how many devices run it by now, and which do not",
  params: z.object({
    fleetId: Id,
    commit: z.string(),
    stayUp: z.coerce.number({ error: "expected seconds" }).min(0).max(longestStayUp).default(15),
    limit: Id.pipe(z.number().max(500)).default(20),
  }),
  body: none,
  replies: { 200: json(ReleaseProgress), ...refusals, 404: refusal("unknown-fleet", "unknown-release") },
});
