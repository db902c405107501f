import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isMissing } from "../../core/ports/index.ts";
import { balenaHostname, unsettableHostname } from "../../hardware/hostname.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

async function balenaOs(configJson: string) {
  const root = await temporaryFolder();
  for (const folder of ["etc", "mnt/boot"]) await mkdir(join(root, folder), { recursive: true });
  const file = join(root, "mnt/boot/config.json");
  await writeFile(join(root, "etc/hostname"), "0123456\n");
  await writeFile(file, configJson, { mode: 0o600 });
  return { root, file, hostname: balenaHostname(file, root) };
}

describe("the name of a balenaOS machine", () => {
  test("is written to config.json, which keeps all other fields", async () => {
    const { root, file, hostname } = await balenaOs(
      '{"uuid":"0123456789abcdef","os":{"sshKeys":["a b"]},"hostname":"old"}',
    );
    await hostname.write("kitchen");
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({
      uuid: "0123456789abcdef",
      os: { sshKeys: ["a b"] },
      hostname: "kitchen",
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(root, "mnt/boot"))).toEqual(["config.json"]);
  });

  test("is the current host name until the OS has changed it", async () => {
    const { root, hostname } = await balenaOs("{}");
    await hostname.write("kitchen");
    expect(await hostname.read()).toBe("0123456");
    await writeFile(join(root, "etc/hostname"), "kitchen\n");
    expect(await hostname.read()).toBe("kitchen");
  });

  test("is not logged with a broken config.json, because that contains keys", async () => {
    const { hostname } = await balenaOs('{"deviceApiKey": 0123456789abcdef}');
    await expect(hostname.write("kitchen")).rejects.toThrow(/config\.json does not contain a JSON object$/);
  });

  test.each(["", "{", "null", "[]", '"x"'])("is not written to a config.json that is %j", async (text) => {
    const { file, hostname } = await balenaOs(text);
    await expect(hostname.write("kitchen")).rejects.toThrow();
    expect(await readFile(file, "utf8")).toBe(text);
  });
});

describe("the name of a machine that has no way to set it", () => {
  const lack = { missing: "There is no system bus here" };

  test("can still be read", async () => {
    const root = await temporaryFolder();
    await mkdir(join(root, "etc"));
    await writeFile(join(root, "etc/hostname"), "board\n");
    const hostname = unsettableHostname(root, lack);
    expect(await hostname.read()).toBe("board");
    expect(isMissing(hostname)).toBe(true);
  });

  test("is the kernel's if the host's root is our own or has no name", async () => {
    expect(await unsettableHostname("/", lack).read()).toBe(hostname());
    expect(await unsettableHostname(await temporaryFolder(), lack).read()).toBe(hostname());
  });
});
