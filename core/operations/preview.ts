import { isOn } from "../model/config.ts";
import { findImage, type ImageConfig } from "../model/image.ts";
import { describeLease } from "../model/lease.ts";
import { lockedMessage } from "../model/names.ts";
import { rejectionOf } from "../model/fingerprint.ts";
import { describeFailure } from "../model/update.ts";
import { findApp, type App, type Service, type TargetState } from "../model/target.ts";
import type { Ports } from "../ports/index.ts";
import type { CurrentState } from "../reconcile/current.ts";
import { previewUpdate, unchanged, type Preview } from "../reconcile/plan-preview.ts";
import type { Preflights } from "../reconcile/preflights.ts";
import { describe } from "../reconcile/step.ts";
import type { View } from "../reconcile/view.ts";
import type { Leases } from "../state/leases.ts";
import type { Targets } from "../state/targets.ts";
import type { Updates } from "../state/updates.ts";

export interface PreviewContext {
  readonly ports: Pick<Ports, "engine" | "leaseFiles">;
  readonly targets: Pick<Targets, "current">;
  readonly leases: Pick<Leases, "list">;
  readonly preflights: Pick<Preflights, "downloadSizes">;
  readonly updates: Pick<Updates, "recordOf">;
  readonly view: () => View;
}

/** Whether registries are asked for the sizes of images. */
interface Asking {
  readonly asksRegistries: boolean;
}

/**
 * What the update of an application to its release in this target state will change, and what holds it up. Reads the engine
 * and changes nothing. Undefined: neither the device nor the target state has the application.
 */
export async function previewTarget(
  context: PreviewContext,
  appId: number,
  target: TargetState,
  { asksRegistries }: Asking,
): Promise<(Preview & { readonly sizes: ReadonlyMap<string, number> }) | undefined> {
  const given = findApp(target, appId);
  const known = findApp(context.targets.current(), appId);
  // A cloud knows the application by a uuid, a local target state only by its id.
  const app = withRejection(given && known ? { ...given, uuid: known.uuid } : given, context);
  const current = await observe(app, appId, context);
  const present = current.containers.filter((container) => container.appId === appId);
  if (!app && present.length === 0) return undefined;
  if (target.unset) return { ...unchanged(present, "No target state has been set yet"), sizes: new Map() };
  const preview = previewUpdate(appId, app, current);
  const isMissing = ({ image }: Service) => preview.services.some(({ download }) => download === image.name);
  const missing = asksRegistries ? (app?.services.filter(isMissing) ?? []) : [];
  const sizes = await context.preflights.downloadSizes(missing, current);
  const planned = target === context.view().target ? (context.view().plan.get(appId) ?? []) : [];
  const waits = planned.flatMap((step) => (step.action === "wait" ? [`The update must ${describe(step)}`] : []));
  const needsLocks = preview.stops && !isOn(target.config, "SUPERVISOR_OVERRIDE_LOCK");
  const locks = needsLocks ? await locksOf(appId, context) : [];
  return { ...preview, sizes, waitsFor: [...new Set([...preview.waitsFor, ...waits, ...locks])] };
}

/** A release that has failed is not applied again. */
function withRejection(app: App | undefined, { updates }: PreviewContext): App | undefined {
  const failure = app && rejectionOf(app, updates.recordOf(app.appId));
  return failure ? { ...app, rejected: describeFailure(failure) } : app;
}

/** The last observation, with the engine's state of now: an image may have been built since, which causes no event. */
async function observe(
  app: App | undefined,
  appId: number,
  { ports: { engine }, view }: PreviewContext,
): Promise<CurrentState> {
  const state = await engine.look({ fresh: true });
  const { current } = view();
  const wanted = app?.services.map(({ image }) => findImage(state.images, image.name)?.id) ?? [];
  const used = state.containers.flatMap(({ appId: owner, spec }) => (owner === appId ? [spec.image] : []));
  const ids = new Set([...wanted, ...used].filter((id) => id !== undefined));
  const read = [...ids].map(async (id): Promise<readonly [string, ImageConfig][]> => {
    const known = current.imageConfigs.get(id);
    // A container may have outlived its image.
    const config = known ?? (await engine.imageConfig(id).catch(() => undefined));
    return config ? [[id, config]] : [];
  });
  return { ...current, ...state, imageConfigs: new Map((await Promise.all(read)).flat()) };
}

/** The leases and lock files that hold up the update of an application. */
async function locksOf(appId: number, { ports, leases }: PreviewContext): Promise<readonly string[]> {
  const files = await ports.leaseFiles.lockedServices();
  return [
    ...leases
      .list()
      .filter((lease) => lease.appId === appId)
      .map((lease) => ({ by: lease.service ?? "all", why: describeLease(lease, lease.expiresAt) })),
    ...files.filter((file) => file.appId === appId).map(({ service }) => ({ by: service })),
  ].map((lock) => lockedMessage(appId, lock));
}
