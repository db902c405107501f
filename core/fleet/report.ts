import * as z from "zod";
import { parseImage } from "../model/image.ts";

/** What a device says of itself in `PATCH /device/v3/state`, and what the cloud knows after it. */

const cutTo = (length: number) => z.string().transform((text) => text.slice(0, length));

/** As many words of a list as fit. */
const wordsTo = (length: number) =>
  z.string().transform((text) => {
    if (text.length <= length) return text;
    const cut = text.slice(0, length + 1);
    return cut.slice(0, Math.max(0, cut.lastIndexOf(" ")));
  });

/** Recorded: the public cloud refuses a whole report for 41.5; here it is rounded. */
const Metric = z
  .number()
  .transform((value) => Math.round(Math.max(-(2 ** 31), Math.min(value, 2 ** 31 - 1))))
  .nullable();

const updateStatuses = ["rejected", "aborted", "downloading", "downloaded", "applying changes", "done"] as const;
export type UpdateStatus = (typeof updateStatuses)[number];

const serviceStatuses = new Set(
  (
    "Downloading,Downloaded,Installing,Installed,Starting,Running,Idle,Handing over,Awaiting handover,Stopping,Stopped," +
    "exited,Deleting,deleted,Dead,paused,restarting,removing,configuring,Unknown"
  ).split(","),
);

/** What one report names at most; a release has no more services, and a device few releases at a time. */
const most = { apps: 100, releases: 100, services: 1000 };

/** An object of that many parts at most. */
const few = <T extends z.ZodType>(limit: number, of: string, part: T) =>
  z.record(z.string(), part).refine((all) => Object.keys(all).length <= limit, {
    error: `expected at most ${limit} ${of}`,
    abort: true,
  });

const Service = z.object({
  image: z.string().max(1000),
  /** One that nobody knows says nothing. */
  status: z
    .string()
    .transform((status) => (serviceStatuses.has(status) ? status : undefined))
    .optional(),
  download_progress: Metric.optional(),
});

/** Checked, and not kept: whoever calls a device goes through its tunnel, and needs neither port nor key. */
const notKept = () => undefined;

const App = z.object({
  release_uuid: z.string().optional(),
  releases: few(
    most.releases,
    "releases",
    z.object({
      update_status: z.enum(updateStatuses).optional(),
      services: few(most.services, "services", Service).default({}),
    }),
  ).default({}),
});
export type AppReport = z.output<typeof App>;

/** One device's part of a report. Recorded: what is null where it may not be, or of the wrong type, refuses all of it. */
export const Report = z.object({
  status: cutTo(50).optional(),
  os_version: cutTo(70).nullable().optional(),
  os_variant: z
    .string()
    .nullable()
    .transform((variant) => (variant === null || variant === "dev" || variant === "prod" ? variant : undefined))
    .optional(),
  supervisor_version: cutTo(20).optional(),
  provisioning_progress: Metric.optional(),
  provisioning_state: cutTo(255).nullable().optional(),
  ip_address: wordsTo(2000).optional(),
  mac_address: wordsTo(900).optional(),
  api_port: z.number().transform(notKept).optional(),
  api_secret: z.string().nullable().transform(notKept).optional(),
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
  apps: few(most.apps, "applications", App).optional(),
});
export type Report = z.output<typeof Report>;

type Value = string | number | boolean | null;
export type Fields = Readonly<Record<string, Value>>;

/** The device's fields after a report: what it names is new, what it does not name stays. */
export const fieldsAfter = (before: Fields, { apps: _, ...given }: Report): Fields => ({
  ...before,
  ...Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  ),
});

/** How far an update of the fleet's application is: as far as its least advanced release. Undefined: nothing is said. */
export function updateStatusOf(app: AppReport | undefined): UpdateStatus | undefined {
  const said = Object.values(app?.releases ?? {}).flatMap(({ update_status }) => update_status ?? []);
  return updateStatuses.find((status) => said.includes(status));
}

export interface Install {
  readonly imageId: number;
  readonly releaseId: number;
  readonly status: string;
  readonly progress: number | null;
}

/** A release of the device's fleet, as the cloud has it. */
export interface KnownRelease {
  readonly id: number;
  readonly commit: string;
  readonly images: readonly { readonly id: number; readonly service: string; readonly location: string }[];
}

/**
 * The images on the device after a report on its fleet's application: those it names are as it says, the others are
 * deleted. Releases and images that are not the fleet's (any more) are passed over; the public cloud loses the whole report.
 */
export function installsAfter(
  before: readonly Install[],
  app: AppReport | undefined,
  releases: readonly KnownRelease[],
): readonly Install[] {
  const named = new Map<number, Install>();
  for (const [commit, { services }] of Object.entries(app?.releases ?? {})) {
    const release = releases.find((one) => one.commit === commit);
    if (!release) continue;
    for (const [name, { image, status, download_progress }] of Object.entries(services)) {
      const imageId = findImage(release, name, image);
      if (imageId === undefined) continue;
      const known = named.get(imageId) ?? before.find((one) => one.imageId === imageId);
      const newStatus = status ?? known?.status ?? "Unknown";
      named.set(imageId, {
        imageId,
        releaseId: release.id,
        status: newStatus,
        // The public cloud keeps the last number until it is told null: 50 % of a service that runs.
        progress: newStatus === "Downloading" ? (download_progress ?? known?.progress ?? null) : null,
      });
    }
  }
  const gone = before.filter(({ imageId }) => !named.has(imageId));
  return [...gone.map((one) => ({ ...one, status: "deleted", progress: null })), ...named.values()];
}

/** By its name, with its digest or without; of services that share it, the one that is meant. */
function findImage({ images }: KnownRelease, service: string, image: string): number | undefined {
  const wanted = inOneSpelling(image);
  const found = images.filter(
    ({ location }) => inOneSpelling(location) === wanted || inOneSpelling(withoutDigest(location)) === wanted,
  );
  return (found.find((one) => one.service === service) ?? found[0])?.id;
}

const inOneSpelling = (image: string): string => parseImage(image)?.name ?? image;
const withoutDigest = (image: string): string => image.split("@", 1)[0] ?? image;
