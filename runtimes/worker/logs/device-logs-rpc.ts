import type { EnrolledDevice } from "../auth/grant.ts";

/** The log of a device, as the directory calls it. Its `fetch` answers the endpoints of the log. */
export interface DeviceLogsRpc extends Rpc.DurableObjectBranded {
  enroll(device: EnrolledDevice): void;
  /** The device is deleted, and its log with it. */
  forget(): Promise<void>;
}
