import { hasFeature } from "../compose/features.ts";
import type { Container } from "../model/container.ts";
import { isGivenUp } from "../model/fingerprint.ts";
import { findImage, isKeptImageName } from "../model/image.ts";
import { serviceKey } from "../model/names.ts";
import type { TargetState } from "../model/target.ts";
import type { Observation, Remembered } from "../reconcile/current.ts";
import type { GateWatch } from "../reconcile/gate-watch.ts";
import type { IdleWatch } from "../reconcile/idle-watch.ts";
import { askedOf, type Probes } from "../reconcile/probes.ts";
import { withCommitted } from "../reconcile/plan.ts";
import type { Clock } from "../ports/clock.ts";
import type { Keys } from "../state/keys.ts";
import type { Memory } from "../state/memory.ts";
import type { Updates } from "../state/updates.ts";

export interface RecordContext {
  readonly updates: Pick<Updates, "forgetUnlessOn" | "states">;
  readonly watch: Pick<GateWatch, "note">;
  readonly idle: Pick<IdleWatch, "note">;
  readonly probes: Pick<Probes, "answers" | "watch">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly memory: Memory;
  readonly keys: Pick<Keys, "ensure" | "of">;
}

/** Records what an observation adds to what the agent remembers, and returns that. Writes only what is new. */
export async function recordObservation(
  { memory, keys, updates, watch, idle, probes, clock }: RecordContext,
  { images, containers }: Pick<Observation, "images" | "containers">,
  target: TargetState,
): Promise<Remembered> {
  const forgotten = updates.forgetUnlessOn();
  if (forgotten) await forgotten;
  const states = updates.states(
    target.apps.map(({ appId }) => appId),
    images,
  );
  const services = withCommitted(target, states).apps.flatMap((app) =>
    app.services.map((service) => ({
      app,
      service,
      key: serviceKey(app.appId, service.name),
      image: findImage(images, service.image.name),
    })),
  );
  await memory.save();
  const mayReturn = services.filter(({ app, image }) => !image && !isGivenUp(app, states.get(app.appId)?.record));
  memory.forgetInterrupted(new Set(mayReturn.map(({ key }) => key)), containers);
  await memory.recordImages(
    services.flatMap(({ app, service, image }) =>
      // The names under which committed releases are kept were recorded when they were given.
      image && !app.rejected && !isKeptImageName(service.image.name)
        ? [
            {
              name: service.image.name,
              appId: app.appId,
              serviceName: service.name,
              imageId: service.imageId,
              dockerImageId: image.id,
              releaseId: app.releaseId,
            },
          ]
        : [],
    ),
  );
  await keys.ensure(
    services
      .filter(({ service }) => hasFeature(service.config.labels, "supervisor-api"))
      .map(({ app: { appId }, service: { name } }) => ({
        appId,
        service: name,
        // A container of the reference implementation, or of an agent that has lost its store, has a key already.
        existing: keyInside(containers.find((one) => one.appId === appId && one.service === name)),
      })),
  );
  const tried = target.apps.filter(({ appId }) => states.get(appId)?.record?.phase === "trying");
  probes.watch(tried.flatMap((app) => askedOf(app, containers)));
  const noted = idle.note(target);
  const unlockedMs = noted ? await noted : new Map<number, number>();
  return {
    imageRecords: memory.images,
    seen: new Set(memory.seen),
    stoppedBefore: memory.stoppedBefore,
    stoppedNow: new Set(memory.stoppedNow),
    interrupted: new Map(memory.interrupted),
    apiKeys: new Map(services.map(({ app, service, key }) => [key, keys.of(app.appId, service.name) ?? ""])),
    keptImages: new Set(memory.keptImages),
    tolerated: memory.tolerated,
    refusedConfig: memory.refusedConfig,
    announcedVolumes: new Set(memory.announcedVolumes),
    updates: states,
    unlockedMs,
    watch: watch.note(containers, clock.monotonic(), probes.answers()),
  };
}

function keyInside(container: Container | undefined): string | undefined {
  const key = container?.spec.environment["BALENA_SUPERVISOR_API_KEY"];
  return key && /^[0-9a-f]{32,64}$/.test(key) ? key : undefined;
}
