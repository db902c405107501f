import { expect } from "vitest";
import { MemoryLogRing } from "../../core/embedded/ports.ts";
import type { Ports } from "../../core/ports/index.ts";
import { httpCloud } from "../../runtimes/node/cloud/http-cloud.ts";
import type { TestDevice } from "./device.ts";
import { startCloud } from "./fake-cloud.ts";

/** A change in a recorded device's cloud, and new images on its engine. Absent fields do not change. */
export interface Cue {
  readonly name?: string;
  readonly apps?: Record<string, object>;
  readonly config?: Record<string, string>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly images?: readonly string[];
}

/** A cloud that gives one device the answers of a test, over real HTTP. */
export interface CuedCloud {
  readonly url: string;
  readonly ports: Pick<Ports, "cloud">;
  /** Answers with this from now on; resolves when the device has received it. */
  readonly play: (cue: Cue, device: TestDevice) => Promise<void>;
}

export async function cuedCloud(uuid: string, key: string): Promise<CuedCloud> {
  const cloud = await startCloud();
  const known = cloud.addDevice(uuid, key);
  return {
    url: cloud.url,
    ports: {
      cloud: { ask: httpCloud(cloud.url, "Supervisor/19.0.5 (Linux; Memory 1; prod)"), ring: new MemoryLogRing() },
    },
    play: async ({ name, apps, config, tags, images = [] }, device) => {
      if (name !== undefined) known.name = name;
      const told = { apps: {}, config: {}, ...known.told, ...(apps && { apps }), ...(config && { config }) };
      known.told = told;
      Object.assign(known.tags, tags);
      for (const image of images) device.engine.addImage(image);
      const { cloud: conversation, targets, loop } = device.supervisor;
      // On a recorded device, pulls never end. The pull of an added image is cancelled, so that the image is found.
      if (images.length > 0) loop.retry({ force: false, cancel: true });
      conversation?.update({ force: false });
      await expect
        .poll(() => targets.cloudBody(), { timeout: 20_000 })
        .toEqual({ [uuid]: { name: known.name, ...told } });
      await loop.look();
    },
  };
}
