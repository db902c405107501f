import { endpoints as api } from "./api/index.ts";
import * as onApplications from "./handlers/applications.ts";
import * as onDevice from "./handlers/device.ts";
import * as onHealth from "./handlers/health.ts";
import * as onHostConfig from "./handlers/host-config.ts";
import * as onJournal from "./handlers/journal.ts";
import * as onKeys from "./handlers/keys.ts";
import * as onLocalMode from "./handlers/local-mode.ts";
import * as onServices from "./handlers/services.ts";
import * as onState from "./handlers/state.ts";
import { route, type Route } from "./http/fetch.ts";

/** The whole HTTP surface: each endpoint with what answers it. The most frequent ones come first. */
export const routes: readonly Route[] = [
  route(api.ping, onHealth.ping),
  route(api.healthy, onHealth.healthy),
  route(api.device, onDevice.device),
  route(api.applicationsState, onApplications.applicationsState),
  route(api.stateStatus, onState.stateStatus),
  route(api.applicationState, onApplications.applicationState),
  route(api.application, onApplications.application),

  route(api.update, onDevice.update),
  route(api.blink, onDevice.blink),
  route(api.reboot, onDevice.reboot),
  route(api.shutdown, onDevice.shutdown),
  route(api.restart, onApplications.restart),
  route(api.purge, onApplications.purge),
  route(api.start, onServices.start),
  route(api.stop, onServices.stop),
  route(api.regenerateApiKey, onKeys.regenerateApiKey),
  route(api.hostConfig, onHostConfig.hostConfig),
  route(api.setHostConfig, onHostConfig.setHostConfig),

  route(api.restartV2, onApplications.restartV2),
  route(api.purgeV2, onApplications.purgeV2),
  route(api.startService, onServices.startService),
  route(api.stopService, onServices.stopService),
  route(api.restartService, onServices.restartService),
  route(api.containerId, onServices.containerId),
  route(api.version, onState.version),
  route(api.cleanupVolumes, onState.cleanupVolumes),
  route(api.deviceName, onDevice.deviceName),
  route(api.tags, onDevice.tags),
  route(api.setTags, onDevice.setTags),
  route(api.vpn, onDevice.vpn),
  route(api.targetState, onLocalMode.targetState),
  route(api.setTargetState, onLocalMode.setTargetState),
  route(api.deviceInfo, onLocalMode.deviceInfo),
  route(api.logs, onLocalMode.logs),
  route(api.journalLogs, onJournal.journalLogs),
];
