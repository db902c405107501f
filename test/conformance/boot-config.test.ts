import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MemoryBootConfig } from "../../core/embedded/ports.ts";
import type { BootConfig } from "../../core/ports/boot-config.ts";
import { isMissing } from "../../core/ports/index.ts";
import { findBootConfig } from "../../hardware/boot-config/index.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `core/ports/boot-config.ts`. What only config.txt shows: test/hardware/boot-config.test.ts. */
type Open = () => BootConfig;

async function memory(): Promise<Open> {
  const config = new MemoryBootConfig();
  return () => config;
}

async function configTxt(): Promise<Open> {
  const file = join(await temporaryFolder(), "config.txt");
  await writeFile(file, "[all]\ndtparam=audio=on\n");
  return () => {
    const found = findBootConfig("/", file);
    if (isMissing(found)) throw new Error(found.missing);
    return found;
  };
}

const settings = { gpu_mem: ["16"], gpio: ["2=op", "3=op"], dtoverlay: ["i2c-rtc,ds3231,addr=0x68", "vc4-kms-v3d"] };

describe.each([
  ["in memory", memory],
  ["in config.txt", configTxt],
])("the boot configuration %s", (_, create) => {
  test("has a prefix, and keys that users cannot set", async () => {
    const config = (await create())();
    expect(config.prefix).toMatch(/^[A-Z_]+_$/);
    expect(config.forbidden).toContain("kernel");
  });

  test("has no settings of the agent at first", async () => {
    expect(await (await create())().read()).toEqual({});
  });

  test("is read exactly as it was written, also by the next run of the agent", async () => {
    const open = await create();
    const config = open();
    await config.write(settings);
    expect(await config.read()).toEqual(settings);
    expect(await open().read()).toEqual(settings);
  });

  test("has nothing of the previous settings", async () => {
    const config = (await create())();
    await config.write(settings);
    await config.write({ start_x: ["1"] });
    expect(await config.read()).toEqual({ start_x: ["1"] });
    await config.write({});
    expect(await config.read()).toEqual({});
  });
});
