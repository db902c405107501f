import { fingerprintOf } from "../model/fingerprint.ts";
import { findImage } from "../model/image.ts";
import { isHandingOver } from "../model/names.ts";
import { findApp, type App } from "../model/target.ts";
import type { UpdateFailure, UpdateRecord } from "../model/update.ts";
import type { CurrentState } from "../reconcile/current.ts";
import type { Loop } from "../reconcile/loop.ts";
import { diskOf } from "../reconcile/plan-preflight.ts";
import { gatesOf } from "../reconcile/plan-update.ts";
import type { View } from "../reconcile/view.ts";
import type { Targets } from "../state/targets.ts";
import type { Updates } from "../state/updates.ts";

export interface UpdateContext {
  readonly updates: Pick<Updates, "recordOf" | "committedOf">;
  readonly targets: Pick<Targets, "current">;
  readonly loop: Pick<Loop, "failureOf">;
  readonly view: () => View;
}

type State = "steady" | "preparing" | "waiting" | "trying" | "paused" | "goingBack" | "rejected";

interface ShownFailure extends Omit<UpdateFailure, "gate" | "lines"> {
  readonly commit: string;
  readonly lines: string[];
  readonly at?: string;
}

/** Where the update of an application stands; undefined if neither the device nor the target state has the application. */
export function stateOfUpdate({ updates, targets, loop, view }: UpdateContext, appId: number) {
  const { current, target, plan } = view();
  const app = findApp(targets.current(), appId);
  const committed = updates.committedOf(appId);
  const record = recordFor(app, updates.recordOf(appId));
  const present = current.containers.filter((container) => container.appId === appId && !isHandingOver(container));
  if (!app && !committed && present.length === 0) return undefined;
  const steps = plan.get(appId) ?? [];
  const locked = loop.failureOf(appId);
  const gates = record?.phase === "trying" && app ? gatesOf(app, record, current) : [];
  const disk = diskOf(appId, current, target);
  // What the gates say is not said twice.
  const waits = steps.flatMap((step) =>
    step.action === "wait" && !(step.gate && gates.length > 0) ? [step.reason] : [],
  );
  return {
    state: stateOf(record, app, committed?.fingerprint, current),
    // A fleet without a release has no commit.
    committed: committed?.commit ? { commit: committed.commit } : null,
    target: app?.commit ? { commit: app.commit } : null,
    waitsFor: [...new Set([...waits, ...(locked ? [locked.message] : [])])],
    gates: gates.map(({ service, gate, ...verdict }) => ({
      ...{ service, gate, is: verdict.is },
      ...(verdict.is !== "open" && { detail: verdict.detail }),
    })),
    attempts: record?.phase === "trying" ? record.attempts : 0,
    ...(disk && { disk }),
    ...failureOf(record, app),
  };
}

const states = {
  ...{ waiting: "waiting", trying: "trying", paused: "paused", back: "goingBack", rejected: "rejected" },
} as const satisfies Readonly<Record<UpdateRecord["phase"], State>>;

/** A rejection of another target than the present one is over. */
const recordFor = (app: App | undefined, record: UpdateRecord | undefined): UpdateRecord | undefined =>
  app && record?.phase === "rejected" && record.fingerprint !== fingerprintOf(app) ? undefined : record;

function stateOf(
  record: UpdateRecord | undefined,
  app: App | undefined,
  committed: string | undefined,
  { images }: CurrentState,
): State {
  if (record) return states[record.phase];
  if (app?.rejected !== undefined) return "rejected";
  if (app === undefined || committed === undefined || fingerprintOf(app) === committed) return "steady";
  return app.services.every(({ image }) => findImage(images, image.name)) ? "waiting" : "preparing";
}

function failureOf(record: UpdateRecord | undefined, app: App | undefined): { readonly failure?: ShownFailure } {
  if (record && "failure" in record) {
    const { failure, commit } = record;
    const { service, message, lines = [] } = failure;
    return {
      failure: {
        ...{ commit, message, lines: [...lines] },
        ...(service !== undefined && { service }),
        ...(record.phase === "rejected" && { at: new Date(record.at).toISOString() }),
      },
    };
  }
  return app?.rejected === undefined ? {} : { failure: { commit: app.commit, message: app.rejected, lines: [] } };
}
