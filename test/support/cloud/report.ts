import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import {
  checkVariant,
  Refusal,
  withoutDigest,
  type Device,
  type InstallReport,
  type Release,
  type Tables,
} from "./tables.ts";
import { empty, html, isJson, keyRequired, parse, type Answer, type Question } from "./wire.ts";

const metric = z.int().nullable().optional();
const updateStatuses = ["rejected", "aborted", "downloading", "downloaded", "applying changes", "done"] as const;

const Apps = z.record(
  z.string(),
  z.object({
    release_uuid: z.string().optional(),
    releases: z
      .record(
        z.string(),
        z.object({
          update_status: z.enum(updateStatuses).optional(),
          services: z
            .record(
              z.string(),
              z.object({ image: z.string(), status: z.string().optional(), download_progress: metric }),
            )
            .default({}),
        }),
      )
      .default({}),
  }),
);
type Apps = z.output<typeof Apps>;

const Metrics = z.object({
  memory_usage: metric,
  memory_total: metric,
  storage_block_device: z.string().nullable().optional(),
  storage_usage: metric,
  storage_total: metric,
  cpu_temp: metric,
  cpu_usage: metric,
});

const Fields = z.object({
  status: z.string().optional(),
  os_version: z.string().nullable().optional(),
  os_variant: z.string().nullable().optional(),
  supervisor_version: z.string().optional(),
  provisioning_progress: metric,
  provisioning_state: z.string().nullable().optional(),
  ip_address: z.string().optional(),
  mac_address: z.string().optional(),
  api_port: z.int().optional(),
  api_secret: z.string().nullable().optional(),
  cpu_id: z.string().nullable().optional(),
  is_undervolted: z.boolean().optional(),
  is_online: z.boolean().optional(),
});

const Report = z.object({ ...Fields.shape, ...Metrics.shape, apps: Apps.optional() });

const limitBytes = 512 * 1024;

/** `PATCH /device/v3/state`: all or nothing. */
export function report(tables: Tables, question: Question): Answer {
  const { key, body } = question;
  if (!tables.isKey(key)) return keyRequired;
  if (!isJson(question)) return empty(401);
  if (body.byteLength > limitBytes) return html(413, "Payload Too Large");
  const parsed = parse(body);
  if (parsed === undefined) return html(400, "Bad Request");
  const device = tables.deviceOf(key);
  const parts = z.record(z.string(), z.unknown()).safeParse(parsed).data ?? {};
  const [first] = Object.entries(parts);
  const isPart = (part: unknown) => typeof part === "object" && part !== null;
  if (!device || !first || !Object.values(parts).every(isPart)) return empty(401);
  const shape = Report.safeParse(first[1]);
  if (!shape.success) return empty(400);
  if (Object.keys(parts).length > 1 || first[0] !== device.uuid) return empty(401);

  const { apps, ...rest } = shape.data;
  if (apps && !knowsAll(tables, device, apps)) return empty(401);
  const own = apps?.[device.fleet.uuid];
  const said = updateStatuses.find((status) =>
    Object.values(own?.releases ?? {}).some(({ update_status }) => update_status === status),
  );
  const fields = { ...device.fields, ...cut(Fields.parse(rest)) };
  checkVariant(fields);
  if (apps) install(tables, device, apps);
  const changes = !isDeepStrictEqual(fields, device.fields) || (said ?? device.updateStatus) !== device.updateStatus;
  Object.assign(device.fields, fields, metricsToKeep(tables, device, Metrics.parse(rest), changes));
  device.running = own?.release_uuid ?? device.running;
  device.updateStatus = said ?? device.updateStatus;
  device.reports.push(z.record(z.string(), z.unknown()).parse(first[1]));
  return empty(200);
}

/** Longer texts are cut, and a variant that there is not is dropped. */
function cut(fields: z.output<typeof Fields>): object {
  const { status, os_version, os_variant, supervisor_version, ...rest } = fields;
  const variant = os_variant === null || os_variant === "dev" || os_variant === "prod";
  return {
    ...rest,
    ...(status !== undefined && { status: status.slice(0, 50) }),
    ...(os_version !== undefined && { os_version: os_version?.slice(0, 70) ?? null }),
    ...(supervisor_version !== undefined && { supervisor_version: supervisor_version.slice(0, 20) }),
    ...(variant && { os_variant }),
  };
}

const metricsPauseMs = 60_000;

/** By themselves they are written once a minute; beside a change, always. */
function metricsToKeep(
  tables: Tables,
  device: Device,
  metrics: z.output<typeof Metrics>,
  changes: boolean,
): z.output<typeof Metrics> {
  const isDue = tables.now() - device.metricsAt > metricsPauseMs;
  if (Object.keys(metrics).length === 0 || (!changes && !isDue)) return {};
  if (isDue) device.metricsAt = tables.now();
  return metrics;
}

/**
 * Whether each release and image is one that the device may know. The public cloud looks for the images in all the releases
 * that a report names, and counts: one that belongs to two of them must be named in both.
 */
function knowsAll(tables: Tables, { fleet }: Device, apps: Apps): boolean {
  return Object.entries(apps).every(([app, { release_uuid, releases }]) => {
    const commits = new Set([...Object.keys(releases), ...(release_uuid === undefined ? [] : [release_uuid])]);
    const known = [...commits].map((commit) => tables.releases.get(commit));
    if (!known.every((release) => release?.fleet === fleet && fleet.uuid === app)) return false;
    const named = Object.values(releases).flatMap(({ services }) => Object.values(services).map(({ image }) => image));
    const found = known.flatMap((release) =>
      Object.values(release?.services ?? {}).filter((row) => named.some((image) => isImage(image, row.image))),
    );
    return found.length === named.length;
  });
}

/** Left out, the digest does not matter; given, it must be right. */
const isImage = (named: string, known: string): boolean => named === known || named === withoutDigest(known);

const imageOf = (release: Release | undefined, named: string): string =>
  Object.values(release?.services ?? {}).find(({ image }) => isImage(named, image))?.image ?? named;

/** What the report does not name is deleted. */
function install(tables: Tables, { installs }: Device, apps: Apps): void {
  const said = Object.values(apps).flatMap(({ releases }) =>
    Object.entries(releases).flatMap(([commit, { services }]) =>
      Object.values(services).map(({ image: text, status, download_progress: progress }) => {
        const known = status === undefined || serviceStatuses.has(status) ? status : undefined;
        return { image: imageOf(tables.releases.get(commit), text), status: known, progress, commit };
      }),
    ),
  );
  // Recorded for rows that are there. Where there is none, each of two releases makes one, and a device has an image once.
  const made = said.filter(({ image }) => !installs.has(image)).map(({ image }) => image);
  if (new Set(made).size < made.length) throw new Refusal(409, '"device" and "image" must be unique.');

  for (const { image, ...report } of said) {
    const { status, progress, commit } = report;
    const row = installs.get(image);
    if (!row) installs.set(image, { status, progress: progress ?? null, commit });
    else if (isNews(row.lastReport, report, tables.now())) {
      const kept = progress === undefined ? row.lastReport?.progress : progress;
      row.lastReport = { ...report, progress: kept, at: tables.now() };
      row.status = status ?? row.status;
      row.progress = progress === undefined ? row.progress : progress;
      row.commit = commit;
    }
  }
  for (const [image, row] of installs)
    if (!said.some((one) => one.image === image)) Object.assign(row, { status: "deleted", progress: null });
}

const reportKeptMs = 300_000;
const progressPauseMs = 30_000;

/** What has been said within five minutes is not written again, whatever has become of the row meanwhile. */
function isNews(
  last: (InstallReport & { readonly at: number }) | undefined,
  now: InstallReport,
  nowMs: number,
): boolean {
  if (!last || nowMs - last.at > reportKeptMs) return true;
  return (
    last.status !== now.status ||
    last.commit !== now.commit ||
    (last.progress !== now.progress && nowMs - last.at > progressPauseMs) ||
    ((last.progress ?? null) === null) !== ((now.progress ?? null) === null) ||
    now.progress === 100
  );
}

const serviceStatuses = new Set(
  (
    "Downloading,Downloaded,Installing,Installed,Starting,Running,Idle,Handing over,Awaiting handover,Stopping,Stopped," +
    "exited,Deleting,deleted,Dead,paused,restarting,removing,configuring,Unknown"
  ).split(","),
);
