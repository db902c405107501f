import type { Claims } from "../auth/token.ts";
import type { Database } from "../database.ts";
import type { KeptRequests } from "./kept-requests.ts";
import type { Changes } from "./changes.ts";
import type { ConnectionStatus, DeviceSessionRpc } from "../relay/device-session-rpc.ts";

/** What the handlers of the directory work with. */
export interface DirectoryContext {
  readonly db: Database;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Asks the session of a device whether it is connected. */
  readonly connectionOf: (uuid: string) => Promise<ConnectionStatus>;
  /** The commands of a device. */
  readonly sessionOf: (
    uuid: string,
  ) => Pick<DurableObjectStub<DeviceSessionRpc>, "commands" | "command" | "cancelCommand">;
  readonly signToken: (claims: Claims) => Promise<string>;
  /** Sends their current record, or the news that they are deleted, to the objects of these devices; retries later what fails. */
  readonly syncDevices: (uuids: readonly string[]) => Promise<void>;
  /**
   * Stores that these devices are to be asked to fetch their target state; the alarm asks them at once. Call it in the
   * transaction of the change.
   */
  readonly requestUpdates: (uuids: readonly string[]) => void;
  readonly changes: Changes;
  readonly requests: KeptRequests;
  readonly webhookSecret: (webhook: { readonly id: string; readonly salt: string }) => Promise<Uint8Array<ArrayBuffer>>;
  /** Webhooks may have addresses of this machine. */
  readonly allowsLoopback: boolean;
  /** A webhook may have something to send. */
  readonly webhooksChanged: () => void;
}
