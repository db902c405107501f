import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/local-mode.ts";
import { failed } from "../api/fields.ts";
import { withoutSecrets } from "../compose/masked.ts";
import { mostReaders, type Logs } from "../events/logs.ts";
import { isTruthy } from "../model/truthy.ts";
import { setLocalTarget, type LocalTargetContext } from "../operations/target-state.ts";
import type { Targets } from "../state/targets.ts";

export function targetState(
  { scope }: Input<typeof api.targetState>,
  { targets }: { readonly targets: Pick<Targets, "show"> },
): Reply<typeof api.targetState> {
  const { local } = targets.show();
  const shown = scope.secrets === "none" ? withoutSecrets(local) : local;
  return reply(200, { status: "success", state: { local: shown, dependent: { apps: [], devices: [] } } });
}

export interface SetContext extends LocalTargetContext {
  readonly targets: Pick<Targets, "isLocalMode" | "setLocal">;
}

/** Replies before the target state is applied: the developer's tool waits for the reply. */
export async function setTargetState(
  { body }: Input<typeof api.setTargetState>,
  context: SetContext,
): Promise<Reply<typeof api.setTargetState>> {
  if (!context.targets.isLocalMode())
    return reply(400, failed("Target state can only set when device is in local mode"));
  const parsed = await setLocalTarget(context, body, { force: isTruthy(body["force"]) });
  if (!parsed.ok) return reply(400, failed(`Invalid target state.\n${parsed.faults.join("\n")}`));
  const warnings = [...parsed.warnings];
  return reply(200, { status: "success", message: "OK", ...(warnings.length > 0 && { warnings }) });
}

export const deviceInfo = (
  _: Input<typeof api.deviceInfo>,
  { identity: { arch, type } }: { readonly identity: { readonly arch: string; readonly type: string } },
): Reply<typeof api.deviceInfo> => reply(200, { status: "success", info: { arch, deviceType: type } });

export function logs(
  _: Input<typeof api.logs>,
  context: { readonly logs: Pick<Logs, "stream"> },
): Reply<typeof api.logs> {
  const lines = context.logs.stream();
  return lines
    ? reply(200, lines)
    : reply(503, failed(`The log has ${mostReaders} readers already; try again when one of them has left`));
}
