import * as applications from "./applications.ts";
import * as device from "./device.ts";
import * as health from "./health.ts";
import * as host from "./host-config.ts";
import * as journal from "./journal.ts";
import * as keys from "./keys.ts";
import * as local from "./local-mode.ts";
import * as services from "./services.ts";
import * as state from "./state.ts";

/** The whole HTTP surface by name. */
export const endpoints = {
  ping: health.ping,
  healthy: health.healthy,

  device: device.device,
  update: device.update,
  blink: device.blink,
  reboot: device.reboot,
  shutdown: device.shutdown,
  deviceName: device.deviceName,
  tags: device.tags,
  setTags: device.setTags,
  vpn: device.vpn,
  hostConfig: host.hostConfig,
  setHostConfig: host.setHostConfig,

  application: applications.application,
  applicationState: applications.applicationState,
  applicationsState: applications.applicationsState,
  restart: applications.restart,
  purge: applications.purge,
  restartV2: applications.restartV2,
  purgeV2: applications.purgeV2,

  start: services.start,
  stop: services.stop,
  startService: services.startService,
  stopService: services.stopService,
  restartService: services.restartService,
  containerId: services.containerId,

  stateStatus: state.stateStatus,
  version: state.version,
  cleanupVolumes: state.cleanupVolumes,

  targetState: local.targetState,
  setTargetState: local.setTargetState,
  deviceInfo: local.deviceInfo,
  logs: local.logs,

  journalLogs: journal.journalLogs,
  regenerateApiKey: keys.regenerateApiKey,
};
