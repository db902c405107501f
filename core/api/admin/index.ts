import { audit } from "./audit.ts";
import { changes, changeWebhook, createWebhook, deleteWebhook, webhooks } from "./changes.ts";
import { cancelCommand, command, commands } from "./commands.ts";
import { changeDevice, deleteDevice, device, devices, deviceStatus, replaceDeviceKey } from "./devices.ts";
import { changeFleet, createFleet, deleteFleet, fleets, fleetSummary } from "./fleets.ts";
import { fleetMetrics } from "./metrics.ts";
import { createProvisioningKey, deleteProvisioningKey, provisioningKeys } from "./provisioning-keys.ts";
import { createRelease, release, releaseProgress, releases } from "./releases.ts";
import { createSession, createToken, revokeToken, tokens, whoami } from "./tokens.ts";
import {
  deleteDeviceVariable,
  deleteFleetVariable,
  deviceVariables,
  fleetVariables,
  setDeviceVariables,
  setFleetVariables,
} from "./variables.ts";

export * from "./audit.ts";
export * from "./changes.ts";
export * from "./commands.ts";
export * from "./devices.ts";
export * from "./fleets.ts";
export * from "./metrics.ts";
export * from "./provisioning-keys.ts";
export * from "./releases.ts";
export * from "./tokens.ts";
export * from "./variables.ts";

/** The whole administration, by the names of its operations. */
export const endpoints = {
  whoami,
  createSession,
  fleets,
  createFleet,
  changeFleet,
  deleteFleet,
  fleetSummary,
  fleetMetrics,
  provisioningKeys,
  createProvisioningKey,
  deleteProvisioningKey,
  createRelease,
  releases,
  release,
  releaseProgress,
  fleetVariables,
  setFleetVariables,
  deleteFleetVariable,
  deviceVariables,
  setDeviceVariables,
  deleteDeviceVariable,
  devices,
  device,
  deviceStatus,
  changeDevice,
  deleteDevice,
  replaceDeviceKey,
  commands,
  command,
  cancelCommand,
  tokens,
  createToken,
  revokeToken,
  audit,
  changes,
  webhooks,
  createWebhook,
  changeWebhook,
  deleteWebhook,
};
