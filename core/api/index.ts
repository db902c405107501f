import * as applications from "./device/applications.ts";
import * as compose from "./device/compose.ts";
import * as device from "./device/device.ts";
import * as events from "./device/events.ts";
import * as docs from "./device/docs.ts";
import * as exec from "./device/exec.ts";
import * as health from "./device/health.ts";
import * as history from "./device/history.ts";
import * as host from "./device/host-config.ts";
import * as journal from "./device/journal.ts";
import * as keys from "./device/keys.ts";
import * as local from "./device/local-mode.ts";
import * as locks from "./device/locks.ts";
import * as metrics from "./device/metrics.ts";
import * as openapi from "./device/openapi.ts";
import * as operations from "./device/operations.ts";
import * as plan from "./device/plan.ts";
import * as processes from "./device/processes.ts";
import * as serviceLogs from "./device/service-logs.ts";
import * as problems from "./device/problems.ts";
import * as services from "./device/services.ts";
import * as state from "./device/state.ts";
import * as stream from "./device/stream.ts";
import * as update from "./device/update.ts";

/** The device's API: every endpoint by name. An endpoint is registered here; its handler has the same name. */
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

  metrics: metrics.metrics,
  metricsHistory: metrics.metricsHistory,
  problems: problems.problems,
  stateStatus: state.stateStatus,
  version: state.version,
  cleanupVolumes: state.cleanupVolumes,

  targetState: local.targetState,
  setTargetState: local.setTargetState,
  deviceInfo: local.deviceInfo,
  logs: local.logs,

  serviceLogs: serviceLogs.serviceLogs,
  serviceProcesses: processes.serviceProcesses,
  applicationStats: processes.applicationStats,

  startExec: exec.startExec,
  execOutput: exec.execOutput,
  execInput: exec.execInput,
  resizeExec: exec.resizeExec,
  endExec: exec.endExec,
  plan: plan.plan,
  planTarget: plan.planTarget,
  composeTarget: compose.composeTarget,
  history: history.history,
  events: events.events,
  stream: stream.stream,

  updateState: update.updateState,
  confirmUpdate: update.confirmUpdate,
  failUpdate: update.failUpdate,
  applyUpdate: update.applyUpdate,
  retryUpdate: update.retryUpdate,
  rollBackUpdate: update.rollBackUpdate,

  locks: locks.locks,
  takeLock: locks.takeLock,
  renewLock: locks.renewLock,
  releaseLock: locks.releaseLock,

  operations: operations.operations,
  operation: operations.operation,
  cancelOperation: operations.cancelOperation,

  journalLogs: journal.journalLogs,
  docs: docs.docs,
  errorDocs: docs.errorDocs,
  openApi: openapi.openApi,
  regenerateApiKey: keys.regenerateApiKey,
};
