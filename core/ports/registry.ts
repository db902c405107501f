import type { Platform } from "../model/architecture.ts";
import type { Manifest } from "../model/image.ts";
import type { PullRequest } from "./engine.ts";

/** The registries of images. The engine downloads the images; this port only asks about them. */
export interface Registry {
  /** `platforms`: the images that the device runs, best first. Does not throw: what goes wrong is a reason why it is not known. */
  manifest(image: PullRequest, platforms: readonly Platform[], signal: AbortSignal): Promise<Manifest>;
}
