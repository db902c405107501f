import type { DirectoryRpc } from "./directory/directory-rpc.ts";
import type { DeviceLogsRpc } from "./logs/device-logs-rpc.ts";
import type { DeviceSessionRpc } from "./relay/device-session-rpc.ts";

/** The Worker's bindings and secrets; the bindings are declared in wrangler.toml. */
export interface Env {
  readonly DEVICES: DurableObjectNamespace<DeviceSessionRpc>;
  readonly LOGS: DurableObjectNamespace<DeviceLogsRpc>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryRpc>;
  /** Counts wrong credentials of a network for all isolates of a location; absent, each isolate counts for itself. */
  readonly FAILURES?: RateLimit;
  /** As a Bearer it is the owner's credential. The tokens' signing key is derived from it: changing it ends every token. */
  readonly ADMIN_SECRET: string;
  /** "1": webhooks may have addresses of this machine, also without TLS. For development only. */
  readonly ALLOW_LOOPBACK_WEBHOOKS?: string;
}

/** The one record of fleets, devices and keys. */
export const directoryOf = (env: Pick<Env, "DIRECTORY">): DurableObjectStub<DirectoryRpc> =>
  env.DIRECTORY.getByName("directory");
