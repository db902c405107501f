import { reply, sentences, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/compose.ts";
import { refuse } from "../api/refusal.ts";
import { withoutSecrets } from "../compose/masked.ts";
import { composeTarget as toTarget } from "../operations/compose-target.ts";
import type { Targets } from "../state/targets.ts";

export async function composeTarget(
  { body: { compose, project }, scope }: Input<typeof api.composeTarget>,
  { targets }: { readonly targets: Pick<Targets, "show"> },
): Promise<Reply<typeof api.composeTarget>> {
  const { local } = targets.show();
  const before = scope.secrets === "none" ? withoutSecrets(local) : local;
  const made = await toTarget(compose, { project, before });
  if (!made.ok)
    return refuse("invalid-request", `The compose file cannot run.\n${sentences(made.faults)}`, made.faults);
  const { project: name, appId, target, warnings } = made;
  return reply(200, { project: name, appId, target, warnings: [...warnings] });
}
