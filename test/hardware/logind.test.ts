import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, readFile, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { busAt } from "../../hardware/bus.ts";
import { logind } from "../../hardware/logind.ts";
import { isRoot, temporaryFolder } from "../node/temporary-folder.ts";

/** The file that marks a due reboot. test/host/power.test.ts tests the calls to logind. */

const place = "tmp/balena-supervisor/reboot-after-apply";

async function world() {
  const root = await temporaryFolder();
  await mkdir(join(root, "tmp"));
  await chmod(join(root, "tmp"), 0o1777);
  const power = logind(busAt("unix:path=/nonexistent"), root, systemClock);
  return { root, power, note: join(root, place), folder: join(root, place, "..") };
}

const bootId = () => readFile("/proc/sys/kernel/random/boot_id", "utf8");

describe("the file that marks a due reboot", () => {
  test("has the reference implementation's path, and only the agent can read it", async () => {
    const { power, note } = await world();
    expect(await power.rebootRequired()).toBe(false);
    await power.requireReboot();
    expect(await power.rebootRequired()).toBe(true);
    expect(await readFile(note, "utf8")).toBe(await bootId());
    expect((await stat(note)).mode & 0o777).toBe(0o600);
    await power.requireReboot();
    expect(await power.rebootRequired()).toBe(true);
  });

  test("is not written through a symbolic link", async () => {
    const { root, power, folder, note } = await world();
    await mkdir(folder, { mode: 0o755 });
    await writeFile(join(root, "precious"), "x");
    await symlink(join(root, "precious"), note);
    await power.requireReboot();
    expect(await readFile(join(root, "precious"), "utf8")).toBe("x");
    expect(await power.rebootRequired()).toBe(true);
  });

  test("is not written into a linked folder", async () => {
    const { root, power, folder } = await world();
    await mkdir(join(root, "victim"));
    await symlink(join(root, "victim"), folder);
    await expect(power.requireReboot()).rejects.toThrow(`${folder} is a symbolic link, but the agent expected`);
    expect(await readdir(join(root, "victim"))).toEqual([]);
  });

  test("is ignored in a folder that others can write to, because only root may reboot the machine", async () => {
    const { power, folder, note } = await world();
    await mkdir(folder);
    await chmod(folder, 0o777);
    await writeFile(note, await bootId());
    expect(await power.rebootRequired()).toBe(false);
    await expect(power.requireReboot()).rejects.toThrow("can be written to by other users (its mode is 777)");
  });

  test.runIf(isRoot)("is ignored in a folder of another user", async () => {
    const { power, folder, note } = await world();
    await mkdir(folder);
    await writeFile(note, await bootId());
    await chown(folder, 1234, 1234);
    expect(await power.rebootRequired()).toBe(false);
    await expect(power.requireReboot()).rejects.toThrow("belongs to user 1234");
  });

  test.each([
    ["a link", (root: string, note: string) => symlink(join(root, "elsewhere"), note)],
    ["a pipe", async (_: string, note: string) => void execFileSync("mkfifo", [note])],
  ])("is never %s, and the agent does not block on it", async (_, put) => {
    const { root, power, folder, note } = await world();
    await mkdir(folder, { mode: 0o755 });
    await writeFile(join(root, "elsewhere"), await bootId());
    await put(root, note);
    expect(await power.rebootRequired()).toBe(false);
    await power.requireReboot();
    expect(await power.rebootRequired()).toBe(true);
  });
});
