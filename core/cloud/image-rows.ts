import * as z from "zod";
import type { Value } from "./difference.ts";
import type { AppReport } from "./apps-report.ts";

type Apps = Readonly<Record<string, AppReport>>;

/**
 * The rows that the cloud keeps for this device, one for each image. What a report does not name, it marks as deleted; and
 * for five minutes it does not write again what it was told last, whatever it has marked since. So a service that comes back
 * within that time would stay deleted. But the end and the beginning of a progress are always written, and so are 100 %.
 */
export class ImageRows {
  readonly #named = new Set<string>();
  /** Left out of a report that may have been taken, since they were named last in one that was. */
  readonly #deleted = new Set<string>();

  /** As they are to be sent: what may be marked as deleted in a form that is written. The report after it puts that right. */
  toSend(apps: Apps): Apps {
    return mapServices(apps, (service) =>
      this.#deleted.has(service.image)
        ? { ...service, download_progress: service.download_progress === null ? 100 : null }
        : service,
    );
  }

  /** This was sent, whether or not an answer comes. */
  sent(apps: Value | undefined): void {
    const images = imagesIn(apps);
    if (!images) return;
    for (const image of this.#named) if (!images.includes(image)) this.#deleted.add(image);
    for (const image of images) this.#named.add(image);
  }

  taken(apps: Value | undefined): void {
    for (const image of imagesIn(apps) ?? []) this.#deleted.delete(image);
  }
}

type Service = AppReport["releases"][string]["services"][string];

const mapServices = (apps: Apps, map: (service: Service) => Service): Apps =>
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
