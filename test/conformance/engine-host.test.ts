import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { EngineHost } from "../../core/ports/engine-host.ts";
import { isMissing } from "../../core/ports/index.ts";
import { engineHost } from "../../hardware/engine-host.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `EngineHost` in `core/ports/`. */

function embedded(): EngineHost {
  const { host } = new EmbeddedEngine({ clock: systemClock, disk: { bytes: 1e9, layers: () => [] } });
  if (isMissing(host)) throw new Error(host.missing);
  return host;
}

describe.each<[string, () => Promise<EngineHost>]>([
  ["in memory", async () => embedded()],
  ["here", async () => engineHost(await temporaryFolder(), async () => [".", "/"])],
])("the engine's machine %s", (_, create) => {
  test("has no more free space than there is", async () => {
    const space = await (await create()).space();
    const { freeBytes = -1, totalBytes = 0, freeInodes = -1, inodes = 0 } = space ?? {};
    expect(freeBytes).toBeGreaterThanOrEqual(0);
    expect(freeBytes).toBeLessThanOrEqual(totalBytes);
    expect(totalBytes).toBeGreaterThan(0);
    expect(freeInodes).toBeGreaterThanOrEqual(0);
    expect(freeInodes).toBeLessThanOrEqual(inodes);
  });

  test("emulates no architecture that nobody knows", async () => {
    expect((await create()).emulates("../../../../etc/passwd")).toBe(false);
  });
});

describe("a real machine", () => {
  test.each<[string, () => Promise<readonly string[]>]>([
    ["whose engine does not answer", () => Promise.reject(new Error("no engine"))],
    ["whose engine has its images in a folder that is not seen", () => Promise.resolve(["/no/such/folder"])],
  ])("%s has no known space", async (_, storage) => {
    expect(await engineHost(await temporaryFolder(), storage).space()).toBeUndefined();
  });

  test("emulates an architecture for which the kernel has an interpreter", async () => {
    const root = await temporaryFolder();
    const folder = join(root, "proc/sys/fs/binfmt_misc");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "qemu-aarch64"), "enabled\n");
    const host = engineHost(root, async () => []);
    expect([host.emulates("arm64"), host.emulates("s390x")]).toEqual([true, false]);
  });
});
