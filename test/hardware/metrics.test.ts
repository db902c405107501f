import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { deviceOf, hostMetrics, isUndervolted } from "../../hardware/metrics.ts";
import { findStorage } from "../../hardware/pieces.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

const meminfo = `MemTotal:        1945000 kB
MemFree:          500000 kB
MemAvailable:    1400000 kB
Buffers:           20000 kB
Cached:           800000 kB
SwapCached:            0 kB
SReclaimable:      25000 kB
`;

async function hostWith(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await temporaryFolder();
  for (const [path, text] of Object.entries({ "proc/meminfo": meminfo, ...files })) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

const measure = async (files: Readonly<Record<string, string>> = {}) => {
  const root = await hostWith(files);
  return hostMetrics(root, async () => [root]).measure();
};

describe("a machine", () => {
  test("uses the memory that the kernel cannot free", async () => {
    expect(await measure()).toMatchObject({ memoryUsedMb: 585, memoryTotalMb: 1899 });
  });

  test("has the used and total storage of a block device", async () => {
    const found = await measure({ "proc/self/mountinfo": "22 1 179:2 / / rw - ext4 /dev/mmcblk0p2 rw\n" });
    expect(found.storageDevice).toBe("/dev/mmcblk0p2");
    expect(found.storageTotalMb).toBeGreaterThan(found.storageUsedMb ?? NaN);
  });

  test("shows the fullest file system if images and volumes are on different ones", async () => {
    const root = await hostWith({
      "proc/self/mountinfo": "1 0 0:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:2 / /dev/shm rw - tmpfs shm rw\n",
    });
    const of = async (...folders: string[]) => (await hostMetrics(root, async () => folders).measure()).storageDevice;
    // A file system in memory is almost empty, and /proc has no blocks.
    expect(await of("/dev/shm")).toBe("shm");
    expect(await of("/proc", "/dev/shm", root, join(root, "nowhere"))).toBe("/dev/sda1");
    expect(await of(root, "/dev/shm")).toBe("/dev/sda1");
  });

  test("has a CPU usage above zero during a computation", async () => {
    const root = await hostWith({});
    const metrics = hostMetrics(root, async () => [root]);
    const until = Date.now() + 50;
    while (Date.now() < until);
    const found = await metrics.measure();
    expect(found.cpuPercent).toBeGreaterThan(0);
  });

  test("omits values that it does not know", async () => {
    const root = await hostWith({});
    expect(Object.keys(await hostMetrics(root, async () => [join(root, "nowhere")]).measure()).sort()).toEqual(
      ["cpuBusyMs", "cpuIdleMs", "cpuPercent", "isUndervolted", "memoryTotalMb", "memoryUsedMb"].sort(),
    );
  });

  test("has an id if its device tree has one", async () => {
    expect((await measure({ "proc/device-tree/serial-number": "10000000abcdef01\0" })).cpuId).toBe("10000000abcdef01");
  });
});

describe("the temperature is that of", () => {
  const zones = (...all: readonly (readonly [string, string])[]) =>
    Object.fromEntries(
      all.flatMap(([type, temp], n) => [
        [`sys/class/thermal/thermal_zone${n}/type`, `${type}\n`],
        [`sys/class/thermal/thermal_zone${n}/temp`, `${temp}\n`],
      ]),
    );

  test.each([
    ["the processor", zones(["acpitz", "30000"], ["x86_pkg_temp", "51600"]), 52],
    ["a Raspberry Pi's", zones(["cpu-thermal", "48312"]), 48],
    ["whatever comes first", zones(["acpitz", "27800"], ["iwlwifi", "60000"]), 28],
    ["nothing, where nothing measures it", {}, undefined],
  ])("%s", async (_, files, celsius) => {
    expect((await measure(files)).cpuCelsius).toBe(celsius);
  });
});

describe("undervoltage", () => {
  test.each([
    ["throttled=0x0\n", false],
    ["throttled=0x1\n", true],
    ["throttled=0x50005\n", true],
    // It occurred since the start.
    ["throttled=0x50000\n", false],
    ["VCHI initialization failed\n", false],
    ["", false],
  ])("from vcgencmd %j is %s", (text, expected) => {
    expect(isUndervolted(text)).toBe(expected);
  });

  test.each([
    ["1\n", true],
    ["0\n", false],
  ])("from the kernel's monitor %j is %s", async (text, expected) => {
    const monitor = "sys/class/hwmon/hwmon1";
    const found = await measure({ [`${monitor}/name`]: "rpi_volt\n", [`${monitor}/in0_lcrit_alarm`]: text });
    expect(found.isUndervolted).toBe(expected);
  });
});

test.each([
  ["/var/lib/docker", "/dev/sda2"],
  ["/var/library", "/dev/sda1"],
  ["/mnt/data/docker", "/dev/mmcblk0p6"],
  ["/", "/dev/sda1"],
])("%s is stored on %s", (folder, device) => {
  const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /proc rw - proc proc rw
31 22 8:2 / /var/lib rw,relatime shared:2 master:1 - ext4 /dev/sda2 rw
40 22 0:30 / /mnt/data rw - tmpfs tmpfs rw
41 40 179:6 / /mnt/data rw - ext4 /dev/mmcblk0p6 rw
`;
  expect(deviceOf(folder, mountinfo)).toBe(device);
});

describe("images and volumes are stored", () => {
  const engine = ["/srv/docker", "/var/lib/containerd"];
  const folders = {
    data: "mnt/data/x",
    root: "srv/docker/x",
    images: "var/lib/containerd/x",
    docker: "var/lib/docker/x",
  };
  const { data, root: own, images, docker } = folders;

  test.each<[string, string[], string[], string[]]>([
    ["on balenaOS, on its data partition", [data, docker], engine, ["mnt/data"]],
    ["where the engine says", [own, images, docker], engine, ["srv/docker", "var/lib/containerd"]],
    ["there, as far as it can be seen", [images, docker], engine, ["var/lib/containerd"]],
    ["else where Docker has them", [docker], [], ["var/lib/docker"]],
    ["or anywhere", [], engine, [""]],
  ])("%s", async (_, existing, ofEngine, expected) => {
    const host = await hostWith(Object.fromEntries(existing.map((path) => [path, ""])));
    expect(findStorage(host, ofEngine)).toEqual(expected.map((path) => join(host, path)));
  });
});
