import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { StateReport } from "../../../core/api/cloud/report.ts";
import { updateStatusOf } from "../../../core/fleet/reported-state.ts";
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

type Apps = NonNullable<StateReport["apps"]>;

const isMetric = (name: string): boolean => /^(memory_|storage_|cpu_(temp|usage)$)/.test(name);

/** Recorded: the public cloud accepts only integers, and stores `is_online`. */
const PublicReport = z.looseObject({ is_online: z.boolean().optional() });
const hasFraction = (value: unknown): boolean =>
  typeof value === "object" && value !== null
    ? Object.values(value).some(hasFraction)
    : typeof value === "number" && !Number.isInteger(value);

const limitBytes = 512 * 1024;

/** `PATCH /device/v3/state`: one bad field rejects the whole report. */
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
  const shape = StateReport.safeParse(first[1]);
  const more = PublicReport.safeParse(first[1]);
  if (!shape.success || !more.success || hasFraction(first[1])) return empty(400);
  if (Object.keys(parts).length > 1 || first[0] !== device.uuid) return empty(401);

  const { apps, ...rest } = shape.data;
  const { is_online } = more.data;
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const metrics = Object.fromEntries(given.filter(([name]) => isMetric(name)));
  const status = Object.fromEntries(given.filter(([name]) => !isMetric(name)));
  if (apps && !knowsAll(tables, device, apps)) return empty(401);
  const own = apps?.[device.fleet.uuid];
  const updateStatus = updateStatusOf(own) ?? device.updateStatus;
  const fields = { ...device.fields, ...status, ...(is_online !== undefined && { is_online }) };
  checkVariant(fields);
  if (apps) install(tables, device, apps);
  const changes = !isDeepStrictEqual(fields, device.fields) || updateStatus !== device.updateStatus;
  Object.assign(device.fields, fields, metricsToKeep(tables, device, metrics, changes));
  device.running = own?.release_uuid ?? device.running;
  device.updateStatus = updateStatus;
  device.reports.push(z.record(z.string(), z.unknown()).parse(first[1]));
  return empty(200);
}

const metricsPauseMs = 60_000;

/** The metrics to store: all if other fields change, else those of one report a minute. */
function metricsToKeep(tables: Tables, device: Device, metrics: object, changes: boolean): object {
  const isDue = tables.now() - device.metricsAt > metricsPauseMs;
  if (Object.keys(metrics).length === 0 || (!changes && !isDue)) return {};
  if (isDue) device.metricsAt = tables.now();
  return metrics;
}

/**
 * Whether the releases and images of a report belong to the device's fleet. The public cloud counts the images in all
 * reported releases, so an image that belongs to two of them must be named in both.
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

/** A digest in `named` must be equal; without a digest, the location is enough. */
const isImage = (named: string, known: string): boolean => named === known || named === withoutDigest(known);

const imageOf = (release: Release | undefined, named: string): string =>
  Object.values(release?.services ?? {}).find(({ image }) => isImage(named, image))?.image ?? named;

/** Writes the images of a report; images that the report does not name become `deleted`. */
function install(tables: Tables, { installs }: Device, apps: Apps): void {
  const said = Object.values(apps).flatMap(({ releases }) =>
    Object.entries(releases).flatMap(([commit, { services }]) =>
      Object.values(services).map(({ image: text, status, download_progress: progress }) => {
        return { image: imageOf(tables.releases.get(commit), text), status, progress, commit };
      }),
    ),
  );
  // Two releases with the same new image would insert its row twice, which the database rejects.
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

/** Whether to write a report: not if it repeats one of the last five minutes, even if the row has changed since. */
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
