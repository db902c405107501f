/**
 * `fairlead`: the supervisor itself, for any runtime with Web standards. It reaches the world only through the `Ports`
 * that it is given; `fairlead/node` has those of a Linux machine, `fairlead/testing` has all of them in memory.
 */
import { createSupervisor as assemble, type Supervisor } from "./supervisor.ts";

export const createSupervisor: (...given: Parameters<typeof assemble>) => Promise<Supervisor> = assemble;
export type { Identity, Supervisor } from "./supervisor.ts";
export type { Fetch } from "./http/fetch.ts";
export { guardOrigin, type OriginRules } from "./http/origin.ts";
export { everything, type Principal, type Scope } from "./model/scope.ts";

export { endpoints } from "./api/index.ts";
export type { Endpoint, Input, Reply } from "./api/endpoint.ts";

export { isMissing, type Missing, type Ports } from "./ports/index.ts";
export type { CloudPorts } from "./ports/index.ts";
export type { Cloud, CloudAnswer, CloudRequest } from "./ports/cloud.ts";
export type { KeptLine, LogPosition, LogRing } from "./ports/log-ring.ts";
export type { CloudSettings } from "./cloud/cloud-session.ts";
export type { Provisioning } from "./cloud/device-registration.ts";
export { systemClock, type Clock } from "./ports/clock.ts";
export { EngineError, type ContainerLine, type Engine, type EngineEvent, type EngineState } from "./ports/engine.ts";
export type * from "./ports/firewall.ts";
export type * from "./ports/gateway.ts";
export type * from "./ports/handover.ts";
export type * from "./ports/hostname.ts";
export type * from "./ports/journal.ts";
export type * from "./ports/led.ts";
export type * from "./ports/metrics.ts";
export type * from "./ports/own-use.ts";
export type * from "./ports/power.ts";
export type * from "./ports/proxy.ts";
export type * from "./ports/service-folders.ts";
export type * from "./ports/system.ts";
export type * from "./ports/update-locks.ts";
export type { Log } from "./ports/log.ts";
export type { Store } from "./ports/store.ts";

/** What an `Engine` is asked for and shows. */
export type { Container, ContainerSpec, RestartPolicy } from "./model/container.ts";
export type { Image, ImageConfig, ImageReference } from "./model/image.ts";
export type { Network, NetworkSpec, Volume, VolumeSpec } from "./model/network.ts";
export { supervisorVersion } from "./model/version.ts";
