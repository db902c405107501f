import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/local-mode.ts";
import { failed } from "../api/fields.ts";
import { withoutSecrets } from "../compose/masked.ts";
import { mostReaders } from "../events/logs.ts";
import { isTruthy } from "../model/truthy.ts";
import type { Supervisor } from "../supervisor.ts";

export function targetState(
  { scope }: Input<typeof api.targetState>,
  { targets }: Supervisor,
): Reply<typeof api.targetState> {
  const { local } = targets.show();
  const shown = scope.secrets === "none" ? withoutSecrets(local) : local;
  return reply(200, { status: "success", state: { local: shown, dependent: { apps: [], devices: [] } } });
}

/** Accepts first and applies afterwards: the developer's tool waits for the answer. */
export async function setTargetState(
  { body }: Input<typeof api.setTargetState>,
  { targets, loop, events }: Supervisor,
): Promise<Reply<typeof api.setTargetState>> {
  if (!targets.isLocalMode()) return reply(400, failed("Target state can only set when device is in local mode"));
  const parsed = await targets.setLocal(body);
  if (!parsed.ok) return reply(400, failed(`Invalid target state.\n${firstOf(parsed.faults).join("\n")}`));
  const warnings = firstOf(parsed.warnings);
  for (const warning of warnings) events.emit({ kind: "targetWarning", reason: warning });
  loop.retry({ force: isTruthy(body["force"]) });
  return reply(200, {
    status: "success",
    message: "OK",
    ...(warnings.length > 0 && { warnings }),
  });
}

/** A target state may have thousands of faults: enough of them to begin with, and how many there are. */
const firstOf = (sentences: readonly string[]): string[] =>
  sentences.length > mostSentences
    ? [...sentences.slice(0, mostSentences), `and ${sentences.length - mostSentences} more`]
    : [...sentences];
const mostSentences = 100;

export const deviceInfo = (_: Input<typeof api.deviceInfo>, { identity }: Supervisor): Reply<typeof api.deviceInfo> =>
  reply(200, { status: "success", info: { arch: identity.arch, deviceType: identity.type } });

export function logs(_: Input<typeof api.logs>, supervisor: Supervisor): Reply<typeof api.logs> {
  const stream = supervisor.logs.stream();
  return stream
    ? reply(200, stream)
    : reply(503, failed(`The log has ${mostReaders} readers already; try again when one of them has left`));
}
