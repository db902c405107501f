import type { EventSink } from "../events/events.ts";
import { volumeName } from "../model/names.ts";
import { covers, type Scope } from "../model/scope.ts";
import type { Ports } from "../ports/index.ts";
import type { Loop } from "../reconcile/loop.ts";
import type { Targets } from "../state/targets.ts";

export interface CleanupContext {
  readonly ports: { readonly engine: Pick<Ports["engine"], "removeVolume"> };
  readonly loop: Pick<Loop, "look" | "nudge">;
  readonly targets: Pick<Targets, "current">;
  readonly events: EventSink;
}

/** Removes the volumes of the applications in scope that no container uses and the target state does not have. */
export async function cleanupVolumes({ ports, loop, targets, events }: CleanupContext, scope: Scope): Promise<void> {
  const { current } = await loop.look();
  const wanted = new Set(
    targets.current().apps.flatMap((app) => Object.keys(app.volumes).map((name) => volumeName(app.appId, name))),
  );
  const used = new Set(current.containers.flatMap(({ spec }) => spec.mounts.map(({ source }) => source)));
  const unused = current.volumes.filter(({ name, spec }) => {
    const appId = Number(/^(\d+)_/.exec(name)?.[1] ?? NaN);
    return spec.labels["io.balena.supervised"] && covers(scope, appId) && !wanted.has(name) && !used.has(name);
  });
  for (const { name } of unused) {
    events.emit({ kind: "volumeRemoving", name, cause: "request" });
    await ports.engine.removeVolume(name);
  }
  if (unused.length > 0) loop.nudge();
}
