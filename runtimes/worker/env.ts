import type { DeviceSession } from "./device-session.ts";
import type { Directory } from "./directory.ts";

/** What the deployment gives the Worker; the bindings are in wrangler.toml. */
export interface Env {
  readonly DEVICES: DurableObjectNamespace<DeviceSession>;
  readonly DIRECTORY: DurableObjectNamespace<Directory>;
  /** Bearer of it is the owner. The tokens' signing key is derived from it, so changing it ends every token. */
  readonly ADMIN_SECRET: string;
}

/** The one record of fleets, devices and keys. */
export const directoryOf = (env: Env): DurableObjectStub<Directory> => env.DIRECTORY.getByName("directory");
