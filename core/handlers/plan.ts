import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/plan.ts";
import { refuse } from "../api/refusal.ts";
import { firstOf } from "../model/show.ts";
import type { Scope } from "../model/scope.ts";
import type { TargetState } from "../model/target.ts";
import { previewTarget, type PreviewContext } from "../operations/preview.ts";
import type { Targets } from "../state/targets.ts";

export const plan = (
  { params: { appId }, scope }: Input<typeof api.plan>,
  context: PreviewContext,
): Promise<Reply<typeof api.plan>> => answer(appId, context.targets.current(), scope, context);

export async function planTarget(
  { params: { appId }, body, scope }: Input<typeof api.planTarget>,
  context: PreviewContext & { readonly targets: Pick<Targets, "parseLocal"> },
): Promise<Reply<typeof api.planTarget>> {
  const parsed = context.targets.parseLocal(body);
  if (!parsed.ok) return refuse("invalid-request", `Invalid target state.\n${firstOf(parsed.faults).join("\n")}`);
  return answer(appId, parsed.target, scope, context);
}

async function answer(
  appId: number,
  target: TargetState,
  { apps }: Scope,
  context: PreviewContext,
): Promise<Reply<typeof api.plan>> {
  // A service would learn which hosts answer the device.
  const preview = await previewTarget(context, appId, target, { asksRegistries: apps === "all" });
  if (!preview) return refuse("unknown-application", `This device has no application ${appId}`);
  const { services, networks, volumes, waitsFor, sizes } = preview;
  return reply(200, {
    services: services.map(({ download, ...service }) => ({
      ...service,
      downloadBytes: download === undefined ? 0 : (sizes.get(download) ?? null),
    })),
    networks: [...networks],
    volumes: [...volumes],
    waitsFor: [...waitsFor],
  });
}
