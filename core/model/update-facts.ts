import type { App } from "./target.ts";
import type { UpdateFailure, UpdateRecord } from "./update.ts";

/** What the agent knows of the updates of one application. */
export interface UpdateFacts {
  /** The release that has proved itself; absent: none has yet. `images`: by service, the name under which its image is kept. */
  readonly committed?:
    { readonly app: App; readonly fingerprint: string; readonly images: Readonly<Record<string, string>> } | undefined;
  readonly record?: UpdateRecord | undefined;
  /** How long ago this run of the agent has begun or resumed the update; absent: it has not. */
  readonly begunMs?: number | undefined;
  /** The same, since all images are here. */
  readonly triedMs?: number | undefined;
  /** Whether the cloud was reached since; absent: there is none, or it was not reached before the update. */
  readonly cloudReached?: boolean | undefined;
  /** A service has said that the update failed. */
  readonly told?: UpdateFailure | undefined;
}
