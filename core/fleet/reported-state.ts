import type { AppReport, StateReport, UpdateStatus } from "../api/cloud/report.ts";
import { updateStatuses } from "../api/cloud/report.ts";
import { parseImage } from "../model/image.ts";

/** The state of a device that the cloud stores after a state report. */

type Value = string | number | boolean | null;
export type Fields = Readonly<Record<string, Value>>;

/**
 * A device's fields after a report. Fields that the report does not name do not change. Its problems
 * are stored apart. The port and key of its API are not stored, since requests to the device go through its tunnel.
 */
export const fieldsAfter = (
  before: Fields,
  { apps: _, problems: _problems, api_port: _port, api_secret: _secret, ...given }: StateReport,
): Fields => ({
  ...before,
  ...Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  ),
});

/** The update of the fleet's application: that of its least advanced release. Undefined: not reported. */
export function updateOf(
  app: AppReport | undefined,
): { readonly status: UpdateStatus; readonly commit: string } | undefined {
  const releases = Object.entries(app?.releases ?? {});
  for (const status of updateStatuses) {
    // An agent names the release of its target state last.
    const found = releases.findLast(([, { update_status }]) => update_status === status);
    if (found) return { status, commit: found[0] };
  }
  return undefined;
}

export const updateStatusOf = (app: AppReport | undefined): UpdateStatus | undefined => updateOf(app)?.status;

export interface Install {
  readonly imageId: number;
  readonly releaseId: number;
  readonly status: string;
  readonly progress: number | null;
}

/** A release of the device's fleet that a report names, with its images. */
export interface ReportedRelease {
  readonly id: number;
  readonly commit: string;
  readonly images: readonly { readonly id: number; readonly service: string; readonly location: string }[];
}

/**
 * The images on a device after a report on its fleet's application. Images that the report does not name are deleted.
 * Releases and images that the fleet does not have are skipped; the public cloud refuses the whole report for them.
 */
export function installsAfter(
  before: readonly Install[],
  app: AppReport | undefined,
  releases: readonly ReportedRelease[],
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
        // The public cloud keeps the last number until null is reported, and shows 50 % for a running service.
        progress: newStatus === "Downloading" ? (download_progress ?? known?.progress ?? null) : null,
      });
    }
  }
  const deleted = before.filter(({ imageId }) => !named.has(imageId));
  return [...deleted.map((one) => ({ ...one, status: "deleted", progress: null })), ...named.values()];
}

/** Finds an image by name, with or without the digest. If several services have it, `service` decides. */
function findImage({ images }: ReportedRelease, service: string, image: string): number | undefined {
  const wanted = inOneSpelling(image);
  const found = images.filter(
    ({ location }) => inOneSpelling(location) === wanted || inOneSpelling(withoutDigest(location)) === wanted,
  );
  return (found.find((one) => one.service === service) ?? found[0])?.id;
}

const inOneSpelling = (image: string): string => parseImage(image)?.name ?? image;
const withoutDigest = (image: string): string => image.split("@", 1)[0] ?? image;
