import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { isMissing } from "../../core/ports/index.ts";
import { parseConfigTxt, renderConfigTxt, type ConfigTxt } from "../../hardware/boot-config/config-txt.ts";
import { findBootConfig } from "../../hardware/boot-config/index.ts";

const head = "# Below: HOST_CONFIG_ variables of the fleet or device. Changes by hand are lost.\n[all]\n";
const tail = "# Above: HOST_CONFIG_ variables.\n";

/** From Raspberry Pi OS, shortened: comments, sections, a line without `=`, Windows line breaks. */
const raspberryPiOs = `# See http://rptl.io/configtxt
dtparam=audio=on
#dtparam=spi=on
initramfs initrd.img followkernel
auto_initramfs=1
dtoverlay=vc4-kms-v3d
include extra.txt\r
[cm4]
otg_mode=1

[pi4]
arm_boost=1
`;

const golden: readonly (readonly [string, ConfigTxt, string])[] = [
  ["somebody else's alone", { foreign: raspberryPiOs, settings: {} }, raspberryPiOs],
  ["nothing at all", { foreign: "", settings: {} }, ""],
  [
    "the specification's example",
    {
      foreign: raspberryPiOs,
      settings: {
        disable_splash: ["1"],
        dtparam: ["i2c_arm=on", "spi=on", "audio=on"],
        gpio: ["2=op", "3=op"],
        gpu_mem: ["16"],
      },
    },
    `${raspberryPiOs}${head}disable_splash=1
gpio=2=op
gpio=3=op
gpu_mem=16
dtoverlay=
dtparam=i2c_arm=on
dtparam=spi=on
dtparam=audio=on
${tail}`,
  ],
  [
    "overlays with parameters of their own, after those of the board",
    { foreign: "", settings: { dtparam: ["spi=on"], dtoverlay: ["i2c-rtc,ds3231,addr=0x68", "vc4-kms-v3d"] } },
    `${head}dtoverlay=
dtparam=spi=on
dtoverlay=i2c-rtc
dtparam=ds3231
dtparam=addr=0x68
dtoverlay=vc4-kms-v3d
${tail}`,
  ],
  [
    "a last line without an end",
    { foreign: "start_x=1", settings: { gpu_mem: ["128"] } },
    `start_x=1\n${head}gpu_mem=128\ndtoverlay=\n${tail}# The line before this block had no end.\n`,
  ],
];

test.each(golden)("config.txt with %s", (_, parts, text) => {
  expect(renderConfigTxt(parts)).toBe(text);
  expect(parseConfigTxt(text)).toEqual(parts);
});

test("lines that a user adds below our block stay in effect for every board", () => {
  const text = `[pi4]\n${head}gpu_mem=16\ndtoverlay=\n${tail}dtparam=audio=off\n`;
  expect(parseConfigTxt(text)).toEqual({ foreign: "[pi4]\n[all]\ndtparam=audio=off\n", settings: { gpu_mem: ["16"] } });
});

const value = fc.string({ unit: "binary" }).filter((one) => !/\p{Cc}/u.test(one));
const lists = fc.array(value, { minLength: 1 });
const settings = fc.dictionary(
  fc.oneof(fc.constantFrom("dtparam", "dtoverlay", "gpio"), fc.stringMatching(/^[a-z_]\w{0,8}(:[01])?$/)),
  lists,
);
const foreign = fc
  .array(fc.oneof(fc.constantFrom("[pi4]", "[all]", "dtoverlay=x", "dtparam=y", "", "#", "initramfs a b"), value))
  .chain((lines) =>
    fc.constantFrom(lines.join("\n"), lines.map((line) => `${line}\r\n`).join(""), `${lines.join("\n")}\n`),
  );

test("settings are read back exactly, and their removal restores the file", () => {
  fc.assert(
    fc.property(foreign, settings, (before, wanted) => {
      expect(parseConfigTxt(renderConfigTxt({ foreign: before, settings: wanted }))).toEqual({
        foreign: before,
        settings: wanted,
      });
      expect(renderConfigTxt(parseConfigTxt(before))).toBe(before);
    }),
  );
});

describe("the board", () => {
  async function host(files: Readonly<Record<string, string>>): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), "fairlead-boot-"));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), text);
    }
    return root;
  }
  const pi = { "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0" };

  test.each(["mnt/boot/config.txt", "boot/firmware/config.txt", "boot/config.txt"])(
    "that is a Raspberry Pi has the file /%s",
    async (place) => {
      const root = await host({ ...pi, [place]: raspberryPiOs });
      const found = findBootConfig(root, undefined);
      if (isMissing(found)) throw new Error(found.missing);
      expect(await found.read()).toEqual({});
      await found.write({ gpu_mem: ["16"] });
      expect(await found.read()).toEqual({ gpu_mem: ["16"] });
      await found.write({});
      expect(await readFile(join(root, place), "utf8")).toBe(raspberryPiOs);
    },
  );

  test("keeps the file's mode, under any umask", async () => {
    const before = process.umask(0o077);
    onTestFinished(() => void process.umask(before));
    const root = await host({ ...pi, "boot/config.txt": raspberryPiOs });
    await chmod(join(root, "boot/config.txt"), 0o644);
    const found = findBootConfig(root, undefined);
    if (isMissing(found)) throw new Error(found.missing);
    await found.write({ gpu_mem: ["16"] });
    expect((await stat(join(root, "boot/config.txt"))).mode & 0o777).toBe(0o644);
  });

  test("that is not a Raspberry Pi is not changed, unless a path is given", async () => {
    const root = await host({ "boot/config.txt": "x=1\n", "proc/device-tree/model": "NVIDIA Jetson\0" });
    expect(findBootConfig(root, undefined)).toEqual({
      missing: "the agent supports the boot configuration of a Raspberry Pi only",
    });
    const found = findBootConfig(root, join(root, "boot/config.txt"));
    if (isMissing(found)) throw new Error(found.missing);
    expect(await found.read()).toEqual({});
  });

  test("without the file gives the paths where it was looked for", async () => {
    expect(findBootConfig(await host(pi), undefined)).toEqual({
      missing: "there is no /mnt/boot/config.txt, no /boot/firmware/config.txt, no /boot/config.txt",
    });
  });
});
