import { supervisorVersion } from "../model/version.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/device.ts";
import { failed } from "../api/fields.ts";
import { findImage } from "../model/image.ts";
import { isOn } from "../model/config.ts";
import { covers } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import { isMissing } from "../ports/index.ts";
import { powerDown } from "../operations/power.ts";
import { appIdsOf, meanProgress, containerStatuses, serviceStatuses, stateByImage } from "../reconcile/status.ts";
import type { Supervisor } from "../supervisor.ts";

export function blink(_: Input<typeof api.blink>, { ports: { led } }: Supervisor): Reply<typeof api.blink> {
  if (isMissing(led)) return reply(501, failed(led.missing));
  led.blink();
  return { status: 200 };
}

/** What is known is tried again at once; what is not known yet, the cloud is asked for. */
export function update(
  { body }: Input<typeof api.update>,
  { loop, targets, cloud }: Supervisor,
): Reply<typeof api.update> {
  if (!body.force && !isOn(targets.current().config, "SUPERVISOR_INSTANT_UPDATE_TRIGGER"))
    return reply(202, "Accepted");
  loop.retry(body);
  cloud?.update(body);
  return { status: 204 };
}

export const reboot = ({ body }: Input<typeof api.reboot>, supervisor: Supervisor) =>
  goDown("reboot", body, supervisor);
export const shutdown = ({ body }: Input<typeof api.shutdown>, supervisor: Supervisor) =>
  goDown("shutdown", body, supervisor);

async function goDown(
  how: "reboot" | "shutdown",
  { force }: { force: boolean },
  supervisor: Supervisor,
): Promise<Reply<typeof api.reboot>> {
  const outcome = await powerDown(supervisor, how, { force });
  if (isMissing(outcome)) return reply(501, { Data: "", Error: outcome.missing });
  return outcome.is === "refused"
    ? reply(423, { Data: "", Error: outcome.reason })
    : reply(202, { Data: "OK", Error: "" });
}

/** The device, and its first application as if there were no other: that is how v1 sees the world. */
export function device({ scope }: Input<typeof api.device>, supervisor: Supervisor): Reply<typeof api.device> {
  const { loop, memory, identity, ports, targets } = supervisor;
  const view = supervisor.view();
  const pending = !loop.isSettled();
  // The newest target state counts, also before the first look at it.
  const isDownloaded = () =>
    targets
      .current()
      .apps.every((app) => app.services.every(({ image }) => findImage(view.current.images, image.name)));
  const appId = appIdsOf(view).find((one) => covers(scope, one));
  const app = appId === undefined ? undefined : findApp(view.target, appId);
  // Its first service is that of the lowest image id, also if nothing but its image is left.
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
    update_failed: pending && loop.hasFailures(),
    update_downloaded: pending && isDownloaded(),
    ...(commit !== undefined && { commit }),
    ...(status !== undefined && { status: status === "Running" ? "Idle" : status, download_progress: progress }),
  });
}

export const deviceName = (_: Input<typeof api.deviceName>, { targets }: Supervisor): Reply<typeof api.deviceName> =>
  reply(200, { status: "success", deviceName: targets.current().name });

export const vpn = (
  _: Input<typeof api.vpn>,
  { targets, ports: { system, tunnel } }: Supervisor,
): Reply<typeof api.vpn> =>
  reply(200, {
    status: "success",
    vpn: {
      enabled: isOn(targets.current().config, "SUPERVISOR_VPN_CONTROL"),
      connected: system.vpnIsUp() || (!isMissing(tunnel) && tunnel.state().is === "connected"),
    },
  });

export async function tags(_: Input<typeof api.tags>, { tags }: Supervisor): Promise<Reply<typeof api.tags>> {
  return reply(200, { status: "success", tags: [...(await tags.read())] });
}

export async function setTags(
  { body }: Input<typeof api.setTags>,
  { tags }: Supervisor,
): Promise<Reply<typeof api.setTags>> {
  await tags.set(body);
  return reply(202, { status: "success" });
}
