import { execFile } from "node:child_process";
import { readdir, readFile, statfs } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Measurements, Metrics } from "../core/ports/metrics.ts";

const megabyte = 1024 * 1024;

/** Measurements of the machine from the kernel. `storage` returns folders on the file systems to measure. */
export function hostMetrics(hostRoot: string, storage: () => Promise<readonly string[]>): Metrics {
  const measureVoltage = voltageOf(hostRoot);
  let before = cpuTimes();
  return {
    async measure(): Promise<Measurements> {
      const [memory, disk, cpuCelsius, cpuId, isUndervolted] = await Promise.all([
        measureMemory(hostRoot),
        storage().then((folders) => measureStorage(hostRoot, folders)),
        measureTemperature(hostRoot),
        readText(join(hostRoot, "proc/device-tree/serial-number")),
        measureVoltage(),
      ]);
      const now = cpuTimes();
      const total = now.total - before.total;
      const cpuPercent = total > 0 ? Math.round((100 * (now.busy - before.busy)) / total) : 0;
      before = now;
      return {
        ...memory,
        ...disk,
        ...(cpuCelsius !== undefined && { cpuCelsius }),
        cpuPercent,
        cpuBusyMs: now.busy,
        cpuIdleMs: now.total - now.busy,
        ...(cpuId && { cpuId }),
        isUndervolted,
      };
    },
  };
}

function cpuTimes() {
  const times = cpus().map((core) => core.times);
  const total = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { total, busy: total - times.reduce((sum, { idle }) => sum + idle, 0) };
}

/** Memory that the kernel can reclaim does not count as used. Source: proc_meminfo(5). */
async function measureMemory(hostRoot: string) {
  // meminfo is the same in all namespaces, so our own /proc will do if the host's is not mounted.
  const text = (await readText(join(hostRoot, "proc/meminfo"))) ?? (await readFile("/proc/meminfo", "utf8"));
  const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(text)?.[1] ?? 0);
  const total = kilobytes("MemTotal");
  const free = ["MemFree", "Buffers", "Cached", "SReclaimable"].map(kilobytes).reduce((sum, one) => sum + one, 0);
  return { memoryUsedMb: Math.floor((total - free) / 1024), memoryTotalMb: Math.floor(total / 1024) };
}

/** Measures the fullest file system, because images and volumes can be on different ones. */
async function measureStorage(hostRoot: string, folders: readonly string[]) {
  const measured = await Promise.all(
    folders.map(async (folder) => ({ folder, found: await statfs(folder).catch(() => undefined) })),
  );
  const [fullest] = measured
    .flatMap(({ folder, found }) => (found && found.blocks > 0 ? [{ folder, found }] : []))
    .toSorted((a, b) => a.found.bfree / a.found.blocks - b.found.bfree / b.found.blocks);
  if (!fullest) return {};
  const { folder, found } = fullest;
  const megabytes = (blocks: number) => Math.floor((blocks * found.bsize) / megabyte);
  const device = deviceOf(folder, (await readText(join(hostRoot, "proc/self/mountinfo"))) ?? "");
  return {
    storageUsedMb: megabytes(found.blocks - found.bfree),
    storageTotalMb: megabytes(found.blocks),
    ...(device && { storageDevice: device }),
  };
}

/** The device of the mount that contains a folder. Source: proc_pid_mountinfo(5). */
export function deviceOf(folder: string, mountinfo: string): string | undefined {
  const mounts = mountinfo.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const point = before.split(" ")[4];
    const device = after.split(" ")[1];
    const holds = point !== undefined && `${folder}/`.startsWith(point === "/" ? "/" : `${point}/`);
    return holds && device !== undefined ? [{ point, device }] : [];
  });
  // If two mounts have the same mount point, the later one hides the earlier one.
  return mounts.toSorted((a, b) => a.point.length - b.point.length).at(-1)?.device;
}

/** Reads the processor's thermal zone, or the first zone. Source: Documentation/driver-api/thermal/sysfs-api.rst. */
async function measureTemperature(hostRoot: string): Promise<number | undefined> {
  const folder = join(hostRoot, "sys/class/thermal");
  const zones = (await readdir(folder).catch(() => [])).filter((name) => /^thermal_zone\d+$/.test(name)).sort();
  const types = await Promise.all(zones.map((zone) => readText(join(folder, zone, "type"))));
  const zone =
    zones[
      Math.max(
        0,
        types.findIndex((type) => /cpu|pkg|soc/i.test(type ?? "")),
      )
    ];
  const millidegrees = zone === undefined ? undefined : await readText(join(folder, zone, "temp"));
  return millidegrees ? Math.round(Number(millidegrees) / 1000) : undefined;
}

/** Only a Raspberry Pi reports undervoltage: in the kernel's hardware monitor, or else through its firmware. */
function voltageOf(hostRoot: string): () => Promise<boolean> {
  const folder = join(hostRoot, "sys/class/hwmon");
  // Each attempt starts a process, so a machine without the program is asked once.
  let hasVcgencmd = true;
  return async () => {
    for (const monitor of await readdir(folder).catch(() => []))
      if ((await readText(join(folder, monitor, "name"))) === "rpi_volt")
        return (await readText(join(folder, monitor, "in0_lcrit_alarm"))) === "1";
    if (!hasVcgencmd) return false;
    try {
      const { stdout } = await promisify(execFile)("vcgencmd", ["get_throttled"]);
      return isUndervolted(stdout);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") hasVcgencmd = false;
      return false;
    }
  };
}

/** Bit 0 is set while undervoltage is detected. Source: the Raspberry Pi documentation of vcgencmd. */
export const isUndervolted = (throttled: string): boolean =>
  (Number(/^throttled=(0x[0-9a-f]+)/i.exec(throttled)?.[1] ?? 0) & 1) === 1;

/** A file's text without its final line break and without the NUL byte that ends device tree strings. */
const readText = async (file: string): Promise<string | undefined> =>
  (await readFile(file, "utf8").catch(() => undefined))?.replace(/[\0\s]+$/, "");
