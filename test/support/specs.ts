import { supervisorVersion } from "../../core/model/version.ts";
import { toContainerSpec, type DeviceFacts } from "../../core/compose/container-spec.ts";
import { parseLocalTarget } from "../../core/compose/target-state.ts";
import { memoryIdentity } from "../../core/embedded/device.ts";
import type { ContainerSpec } from "../../core/model/container.ts";
import type { ImageConfig } from "../../core/model/image.ts";
import type { App } from "../../core/model/target.ts";
import { plainImage } from "../compose/specs.ts";
import { app } from "./device.ts";

export const device: DeviceFacts = { ...memoryIdentity, uuid: "0123456789abcdef0123456789abcdef", name: "device" };
export const facts = { ...memoryIdentity, supervisorVersion, deviceType: memoryIdentity.type };

/** The application that the parser makes of services with these fields. */
export function parsedApp(appId: number, services: Record<string, object>, more: object = {}): App {
  const parsed = parseLocalTarget({ local: { apps: { [appId]: app(services, more) } } }, facts, "device");
  const [first] = parsed.ok ? parsed.target.apps : [];
  if (!parsed.ok || !first) throw new Error(parsed.ok ? "no application" : parsed.faults.join("\n"));
  return first;
}

/** The expected container of a service with these compose fields. */
export function specOf(
  fields: object,
  {
    appId = 1,
    image = { id: "sha256:1", config: plainImage },
    more = {},
  }: { appId?: number; image?: { id: string; config: ImageConfig }; more?: object } = {},
): ContainerSpec {
  const parsed = parsedApp(appId, { web: fields }, more);
  const [service] = parsed.services;
  if (!service) throw new Error("no service");
  return toContainerSpec(service, parsed, device, image, "");
}
