import type { DeviceLogs } from "./logs/device-logs.ts";
import type { DeviceSession } from "./relay/device-session.ts";
import type { Directory } from "./directory/directory.ts";

/** What the deployment gives the Worker; the bindings are in wrangler.toml. */
export interface Env {
  readonly DEVICES: DurableObjectNamespace<DeviceSession>;
  readonly LOGS: DurableObjectNamespace<DeviceLogs>;
  readonly DIRECTORY: DurableObjectNamespace<Directory>;
  /** Counts wrong credentials of a network for all isolates of a place; absent, each isolate counts its own. */
  readonly FAILURES?: RateLimit;
  /** Bearer of it is the owner. The tokens' signing key is derived from it, so changing it ends every token. */
  readonly ADMIN_SECRET: string;
}

/** The one record of fleets, devices and keys. */
export const directoryOf = (env: Env): DurableObjectStub<Directory> => env.DIRECTORY.getByName("directory");

/** Says to an object who asks, as the Worker has seen it; what comes from outside under this name never gets there. */
export const authenticationHeader = "x-fairlead-authentication";

/** Says to our Worker that nobody has the credential with which it was asked; no client sees it. */
export const unknownHeader = "x-fairlead-unknown";

/** Says to an object from where it is asked. */
export const addressHeader = "x-fairlead-address";
