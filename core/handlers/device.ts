import { supervisorVersion } from "../model/version.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/device.ts";
import { failed } from "../api/fields.ts";
import { findImage } from "../model/image.ts";
import { isOn } from "../model/config.ts";
import { covers } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import { powerDown, type PowerContext } from "../operations/power.ts";
import { updateNow, type UpdateContext } from "../operations/target-state.ts";
import type { Tags } from "../cloud/tags.ts";
import type { Loop } from "../reconcile/loop.ts";
import {
  appIdsOf,
  hasFailedUpdate,
  meanProgress,
  containerStatuses,
  serviceStatuses,
  stateByImage,
} from "../reconcile/status.ts";
import type { StateContext } from "./context.ts";

export function blink(
  _: Input<typeof api.blink>,
  { ports: { led } }: { readonly ports: Pick<Ports, "led"> },
): Reply<typeof api.blink> {
  if (isMissing(led)) return reply(501, failed(led.missing));
  led.blink();
  return { status: 200 };
}

export function update(
  { body }: Input<typeof api.update>,
  context: UpdateContext & Pick<StateContext, "targets">,
): Reply<typeof api.update> {
  if (!body.force && !isOn(context.targets.current().config, "SUPERVISOR_INSTANT_UPDATE_TRIGGER"))
    return reply(202, "Accepted");
  updateNow(context, body);
  return { status: 204 };
}

export const reboot = ({ body }: Input<typeof api.reboot>, context: PowerContext) => goDown("reboot", body, context);
export const shutdown = ({ body }: Input<typeof api.shutdown>, context: PowerContext) =>
  goDown("shutdown", body, context);

async function goDown(
  how: "reboot" | "shutdown",
  { force }: { readonly force: boolean },
  context: PowerContext,
): Promise<Reply<typeof api.reboot>> {
  const outcome = await powerDown(context, how, { force });
  if (isMissing(outcome)) return reply(501, { Data: "", Error: outcome.missing });
  return outcome.is === "refused"
    ? reply(423, { Data: "", Error: outcome.reason })
    : reply(202, { Data: "OK", Error: "" });
}

export interface DeviceContext extends StateContext {
  readonly identity: { readonly apiPort: number; readonly osVersion: string };
  readonly loop: Pick<Loop, "isSettled" | "hasFailures">;
  readonly ports: Pick<Ports, "system">;
}

/** The device and its first application: v1 is for devices with one. */
export function device({ scope }: Input<typeof api.device>, context: DeviceContext): Reply<typeof api.device> {
  const { loop, memory, identity, ports, targets } = context;
  const view = context.view();
  const pending = !loop.isSettled();
  // Of the newest target state, also before it is first observed.
  const isDownloaded = () =>
    targets
      .current()
      .apps.every((app) => app.services.every(({ image }) => findImage(view.current.images, image.name)));
  const appId = appIdsOf(view).find((one) => covers(scope, one));
  const app = appId === undefined ? undefined : findApp(view.target, appId);
  // The first service is the one with the lowest image id, also if only its image remains.
  const containers = appId === undefined ? [] : containerStatuses(appId, view, memory.activity);
  const services = app ? serviceStatuses(app, view, memory.activity, containers) : [];
  const [first] = appId === undefined ? [] : Object.values(stateByImage(appId, view, containers, services));
  const progress = meanProgress(services);
  const commit = appId === undefined || pending ? undefined : memory.commitOf(appId);
  const status = progress === null ? first?.status : "Downloading";
  return reply(200, {
    api_port: identity.apiPort,
    ip_address: ports.system.addresses().join(" "),
    os_version: identity.osVersion,
    mac_address: ports.system.macAddresses().join(" "),
    supervisor_version: supervisorVersion,
    update_pending: pending,
    update_failed: (pending && loop.hasFailures()) || view.target.apps.some((one) => hasFailedUpdate(one, view)),
    update_downloaded: pending && isDownloaded(),
    ...(commit !== undefined && { commit }),
    ...(status !== undefined && { status: status === "Running" ? "Idle" : status, download_progress: progress }),
  });
}

export const deviceName = (
  _: Input<typeof api.deviceName>,
  { targets }: Pick<StateContext, "targets">,
): Reply<typeof api.deviceName> => reply(200, { status: "success", deviceName: targets.current().name });

export const vpn = (
  _: Input<typeof api.vpn>,
  {
    targets,
    ports: { system, tunnel },
  }: Pick<StateContext, "targets"> & { readonly ports: Pick<Ports, "system" | "tunnel"> },
): Reply<typeof api.vpn> =>
  reply(200, {
    status: "success",
    vpn: {
      enabled: isOn(targets.current().config, "SUPERVISOR_VPN_CONTROL"),
      connected: system.vpnIsUp() || (!isMissing(tunnel) && tunnel.state().is === "connected"),
    },
  });

export async function tags(
  _: Input<typeof api.tags>,
  { tags }: { readonly tags: Pick<Tags, "read"> },
): Promise<Reply<typeof api.tags>> {
  return reply(200, { status: "success", tags: [...(await tags.read())] });
}

export async function setTags(
  { body }: Input<typeof api.setTags>,
  { tags }: { readonly tags: Pick<Tags, "set"> },
): Promise<Reply<typeof api.setTags>> {
  await tags.set(body);
  return reply(202, { status: "success" });
}
