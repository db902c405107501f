import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/service-logs.ts";
import { refuse } from "../api/refusal.ts";
import { mostReaders } from "../events/logs.ts";
import type { ServiceLogs, ServiceLogSource } from "../events/service-logs.ts";
import { covers } from "../model/scope.ts";
import type { Loop } from "../reconcile/loop.ts";

export interface ServiceLogsContext {
  readonly loop: Pick<Loop, "look">;
  readonly serviceLogs: Pick<ServiceLogs, "stream">;
  readonly ports: { readonly clock: { readonly now: () => number } };
}

export async function serviceLogs(
  { params: { follow, service, appId, tail, since }, scope }: Input<typeof api.serviceLogs>,
  { loop, serviceLogs: logs, ports: { clock } }: ServiceLogsContext,
): Promise<Reply<typeof api.serviceLogs>> {
  const wants = (source: Pick<ServiceLogSource, "appId" | "service">) =>
    covers(scope, source.appId) &&
    (appId === undefined || source.appId === appId) &&
    (service === undefined || source.service === service);
  const { containers } = (await loop.look({ fresh: false })).current;
  if ((service !== undefined || appId !== undefined) && !containers.some(wants)) {
    const known = [...new Set(containers.filter((one) => covers(scope, one.appId)).map((one) => one.service))];
    const of = service === undefined ? `application ${appId}` : `a service ${JSON.stringify(service)}`;
    return refuse(
      "unknown-service",
      `There is no container of ${of}; there are containers of: ${known.toSorted().join(", ") || "none"}`,
    );
  }
  const at = since === undefined ? 0 : "at" in since ? since.at : clock.now() - since.agoMs;
  const lines = logs.stream(containers, { wants, follow, since: at, tail: tail === "all" ? undefined : tail });
  return lines
    ? reply(200, lines)
    : refuse("busy", `The logs have ${mostReaders} readers already; try again when one of them has left`);
}
