import * as applications from "./api/applications.ts";
import * as device from "./api/device.ts";
import * as health from "./api/health.ts";
import * as hostConfig from "./api/host-config.ts";
import * as journal from "./api/journal.ts";
import * as keys from "./api/keys.ts";
import * as localMode from "./api/local-mode.ts";
import * as services from "./api/services.ts";
import * as state from "./api/state.ts";
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
  route(health.ping, onHealth.ping),
  route(health.healthy, onHealth.healthy),
  route(device.device, onDevice.device),
  route(applications.applicationsState, onApplications.applicationsState),
  route(state.stateStatus, onState.stateStatus),
  route(applications.applicationState, onApplications.applicationState),
  route(applications.application, onApplications.application),

  route(device.update, onDevice.update),
  route(device.blink, onDevice.blink),
  route(device.reboot, onDevice.reboot),
  route(device.shutdown, onDevice.shutdown),
  route(applications.restart, onApplications.restart),
  route(applications.purge, onApplications.purge),
  route(services.start, onServices.start),
  route(services.stop, onServices.stop),
  route(keys.regenerateApiKey, onKeys.regenerateApiKey),
  route(hostConfig.hostConfig, onHostConfig.hostConfig),
  route(hostConfig.setHostConfig, onHostConfig.setHostConfig),

  route(applications.restartV2, onApplications.restartV2),
  route(applications.purgeV2, onApplications.purgeV2),
  route(services.startService, onServices.startService),
  route(services.stopService, onServices.stopService),
  route(services.restartService, onServices.restartService),
  route(services.containerId, onServices.containerId),
  route(state.version, onState.version),
  route(state.cleanupVolumes, onState.cleanupVolumes),
  route(device.deviceName, onDevice.deviceName),
  route(device.tags, onDevice.tags),
  route(device.setTags, onDevice.setTags),
  route(device.vpn, onDevice.vpn),
  route(localMode.targetState, onLocalMode.targetState),
  route(localMode.setTargetState, onLocalMode.setTargetState),
  route(localMode.deviceInfo, onLocalMode.deviceInfo),
  route(localMode.logs, onLocalMode.logs),
  route(journal.journalLogs, onJournal.journalLogs),
];
