import type { Grant } from "../auth/grant.ts";
import type { AuditItem } from "./audit-entry.ts";

/** Filters that are combined with AND. */
export interface DeviceFilters {
  readonly uuid?: string;
  readonly deviceId?: number;
  readonly appId?: number;
}

export interface DeviceIds {
  readonly uuid: string;
  readonly deviceId: number;
  readonly fleetId: number;
}

/** The directory as the Worker and the devices' objects call it. Its `fetch` answers every endpoint but the relay's. */
export interface DirectoryRpc extends Rpc.DurableObjectBranded {
  /** Entries for what the Worker has relayed and whom it has rejected. */
  writeAudit(items: readonly AuditItem[]): void;
  /** The devices that the filters select and the grant covers, ordered by id. */
  find(grant: Grant, filters: DeviceFilters): readonly DeviceIds[];
  /** A session has got its device's socket, or has lost it some seconds ago. `since`: in milliseconds. */
  connectionChanged(uuid: string, isConnected: boolean, since?: number): void;
  /** A command that a session had stored has ended. */
  commandFinished(uuid: string, data: Readonly<Record<string, string | number>>): void;
  /** The grant of a device's own key: that device and nothing else. */
  grantOfDevice(digest: string): Grant | undefined;
  /** Records who will know a device's API key before the device is asked for a new one. False: the grant does not allow it. */
  apiKeyRequested(uuid: string, grant: Grant): Promise<boolean>;
  /** The device has a new API key, which only `holder` knows. */
  apiKeyReplaced(uuid: string, holder?: string): void;
}
