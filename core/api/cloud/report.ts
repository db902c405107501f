import * as z from "zod";
import { empty, endpoint, none, reply, sentences } from "../endpoint.ts";
import { ReportedProblems } from "../problem.ts";
import { Refused } from "./refused.ts";

const cutTo = (length: number) => z.string().transform((text) => text.slice(0, length));

/** As many words of a list as fit. */
const wordsTo = (length: number) =>
  z.string().transform((text) => {
    if (text.length <= length) return text;
    const cut = text.slice(0, length + 1);
    return cut.slice(0, Math.max(0, cut.lastIndexOf(" ")));
  });

/** The public cloud refuses a whole report for 41.5 (recorded); here it is rounded. */
const Metric = z
  .number()
  .transform((value) => Math.round(Math.max(-(2 ** 31), Math.min(value, 2 ** 31 - 1))))
  .nullable();

/** The least advanced first. */
export const updateStatuses = ["rejected", "aborted", "downloading", "downloaded", "applying changes", "done"] as const;
export type UpdateStatus = (typeof updateStatuses)[number];

const serviceStatuses = new Set(
  (
    "Downloading,Downloaded,Installing,Installed,Starting,Running,Idle,Handing over,Awaiting handover,Stopping,Stopped," +
    "exited,Deleting,deleted,Dead,paused,restarting,removing,configuring,Unknown"
  ).split(","),
);

/** The most that one report may name. */
const most = { apps: 100, releases: 100, services: 1000 };

const limitedRecord = <T extends z.ZodType>(limit: number, of: string, part: T) =>
  z.record(z.string(), part).refine((all) => Object.keys(all).length <= limit, {
    error: `expected at most ${limit} ${of}`,
    abort: true,
  });

const ServiceReport = z.object({
  image: z.string().max(1000).describe("As the target state spells it, with its digest or without"),
  status: z
    .string()
    .transform((status) => (serviceStatuses.has(status) ? status : undefined))
    .optional()
    .describe("An unknown one is dropped"),
  download_progress: Metric.optional(),
});
export type ServiceReport = z.output<typeof ServiceReport>;

const AppReport = z.object({
  release_uuid: z.string().optional().describe("The commit that runs"),
  releases: limitedRecord(
    most.releases,
    "releases",
    z.object({
      update_status: z.enum(updateStatuses).optional(),
      services: limitedRecord(most.services, "services", ServiceReport).default({}),
    }),
  ).default({}),
});
export type AppReport = z.output<typeof AppReport>;

/** What one device reports. Recorded: a wrong type, or null where it is not allowed, refuses the whole report. */
export const StateReport = z.object({
  status: cutTo(50).optional(),
  os_version: cutTo(70).nullable().optional(),
  os_variant: z
    .string()
    .nullable()
    .transform((variant) => (variant === null || variant === "dev" || variant === "prod" ? variant : undefined))
    .optional()
    .describe("dev or prod; another one is dropped"),
  supervisor_version: cutTo(20).optional(),
  provisioning_progress: Metric.optional(),
  provisioning_state: cutTo(255).nullable().optional(),
  ip_address: wordsTo(2000).optional(),
  mac_address: wordsTo(900).optional(),
  api_port: z.number().optional(),
  api_secret: z.string().nullable().optional(),
  cpu_id: cutTo(255)
    .nullable()
    .transform((id) => (id !== null && !/^[\x20-\x7e]*$/.test(id) ? undefined : (id?.toLowerCase() ?? null)))
    .optional(),
  is_undervolted: z.boolean().optional(),
  memory_usage: Metric.optional(),
  memory_total: Metric.optional(),
  storage_block_device: cutTo(255).nullable().optional(),
  storage_usage: Metric.optional(),
  storage_total: Metric.optional(),
  cpu_temp: Metric.optional(),
  cpu_usage: Metric.optional(),
  problems: ReportedProblems.optional().describe(
    "What is wrong now. Only for a cloud whose target state has the header fairlead-problems: others refuse the report",
  ),
  apps: limitedRecord(most.apps, "applications", AppReport)
    .optional()
    .describe("By uuid. If it is there, every service that it does not name counts as deleted"),
});
export type StateReport = z.output<typeof StateReport>;

export const report = endpoint({
  method: "PATCH",
  path: "/device/v3/state",
  summary: "Report the state of a device, or what has changed of it",
  params: none,
  body: z.record(z.string(), StateReport).describe("By the uuid of the device: nothing but its own part"),
  replies: { 200: empty, 400: Refused, 401: Refused, 413: Refused },
  invalid: ({ faults }) => reply(400, { error: sentences(faults) }),
});
