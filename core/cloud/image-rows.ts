import * as z from "zod";
import type { AppReport, ServiceReport } from "../api/cloud/report.ts";
import type { Value } from "./report-difference.ts";

type Apps = Readonly<Record<string, AppReport>>;

/**
 * The cloud's rows for this device, one for each image. The cloud marks a row as deleted if a report does not name it. For
 * five minutes, it ignores a status that equals the last reported one, so a service that is back within that time would
 * stay deleted. It never ignores the start or the end of a progress, or 100 %.
 */
export class ImageRows {
  readonly #named = new Set<string>();
  /** Images that may be marked: a report without them was sent after the last accepted report with them. */
  readonly #deleted = new Set<string>();

  /** The applications to send. Images that may be marked get a progress that is not ignored; the next report corrects it. */
  toSend(apps: Apps): Apps {
    return mapServices(apps, (service) =>
      this.#deleted.has(service.image)
        ? { ...service, download_progress: (service.download_progress ?? null) === null ? 100 : null }
        : service,
    );
  }

  /** Called before the answer arrives, since the answer may be lost. */
  sent(apps: Value | undefined): void {
    const images = imagesIn(apps);
    if (!images) return;
    for (const image of this.#named) if (!images.includes(image)) this.#deleted.add(image);
    for (const image of images) this.#named.add(image);
  }

  accepted(apps: Value | undefined): void {
    for (const image of imagesIn(apps) ?? []) this.#deleted.delete(image);
  }
}

const mapServices = (apps: Apps, map: (service: ServiceReport) => ServiceReport): Apps =>
  mapValues(apps, (app) => ({
    ...app,
    releases: mapValues(app.releases, (release) => ({ ...release, services: mapValues(release.services, map) })),
  }));

const mapValues = <T>(record: Readonly<Record<string, T>>, map: (value: T) => T): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));

const Named = z.record(
  z.string(),
  z.object({
    releases: z.record(z.string(), z.object({ services: z.record(z.string(), z.object({ image: z.string() })) })),
  }),
);

const imagesIn = (apps: Value | undefined): readonly string[] | undefined => {
  const named = Named.safeParse(apps).data;
  return (
    named &&
    Object.values(named).flatMap(({ releases }) =>
      Object.values(releases).flatMap(({ services }) => Object.values(services).map(({ image }) => image)),
    )
  );
};
