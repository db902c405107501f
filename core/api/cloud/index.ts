import { readLogs, sendLogs, sendLogStream } from "./logs.ts";
import { supervisorProxy } from "./proxy.ts";
import { register } from "./register.ts";
import { report } from "./report.ts";
import { deviceState, deviceStateV2, fleetState } from "./state.ts";
import { setTags } from "./tags.ts";

export * from "./logs.ts";
export * from "./proxy.ts";
export * from "./refused.ts";
export * from "./register.ts";
export * from "./report.ts";
export * from "./state.ts";
export * from "./tags.ts";

/** The device ↔ cloud API, by the names of its operations. */
export const endpoints = {
  register,
  deviceState,
  deviceStateV2,
  fleetState,
  report,
  setTags,
  sendLogStream,
  sendLogs,
  readLogs,
  supervisorProxy,
};
