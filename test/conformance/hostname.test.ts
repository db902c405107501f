import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MemoryHostname, MemoryLog } from "../../core/embedded/ports.ts";
import type { Hostname } from "../../core/ports/hostname.ts";
import type { Bus } from "../../hardware/bus.ts";
import { balenaHostname, hostnamed } from "../../hardware/hostname.ts";
import { embeddedHost } from "../../runtimes/node/embedded-host.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `Hostname` in `core/ports/`. With a real systemd: test/host/hostname.test.ts. */

interface Bench {
  readonly hostname: Hostname;
  /** The same machine for the next run of the agent. */
  readonly restart: () => Hostname;
  /** What the machine does with a new name in the moments after it. */
  readonly moment: () => Promise<void>;
}

const nothing = () => Promise.resolve();

async function memory(): Promise<Bench> {
  const hostname = new MemoryHostname();
  return { hostname, restart: () => hostname, moment: nothing };
}

async function embedded(): Promise<Bench> {
  const folder = await temporaryFolder();
  const open = () => embeddedHost(join(folder, "state"), folder, new MemoryLog()).hostname;
  return { hostname: open(), restart: open, moment: nothing };
}

/** The operating system takes the name over from config.json. */
async function balenaOs(): Promise<Bench> {
  const root = await temporaryFolder();
  await mkdir(join(root, "etc"));
  await writeFile(join(root, "etc/hostname"), "0123456\n");
  const file = join(root, "config.json");
  await writeFile(file, '{"uuid":"0123456789abcdef"}');
  const open = () => balenaHostname(file, root);
  const moment = async () => {
    const { hostname } = JSON.parse(await readFile(file, "utf8"));
    await writeFile(join(root, "etc/hostname"), `${String(hostname)}\n`);
  };
  return { hostname: open(), restart: open, moment };
}

/** As much of systemd-hostnamed as the adapter uses. */
async function systemd(): Promise<Bench> {
  let name = "before";
  const bus: Bus = {
    call: async ({ member }, _, ...body) => {
      if (member === "Get") return body[1] === "StaticHostname" ? name : "transient";
      if (member === "SetStaticHostname") name = String(body[0]);
      return undefined;
    },
    close: () => undefined,
  };
  return { hostname: hostnamed(bus), restart: () => hostnamed(bus), moment: nothing };
}

describe.each([
  ["in memory", memory],
  ["of an embedded host", embedded],
  ["of balenaOS", balenaOs],
  ["of systemd", systemd],
])("the hostname %s", (_, create) => {
  test("is never empty", async () => {
    expect(await (await create()).hostname.read()).not.toBe("");
  });

  test.each(["kitchen", "UPPER", "a.b-c", "0", "a".repeat(64)])("is %s after that is written", async (name) => {
    const { hostname, moment } = await create();
    await hostname.write(name);
    await moment();
    expect(await hostname.read()).toBe(name);
    await hostname.write(name);
    await moment();
    expect(await hostname.read()).toBe(name);
  });

  test("is the last one of several written names", async () => {
    const { hostname, moment } = await create();
    for (const name of ["one", "two", "three"]) await hostname.write(name);
    await moment();
    expect(await hostname.read()).toBe("three");
  });

  test("stays after the agent's end", async () => {
    const { hostname, restart, moment } = await create();
    await hostname.write("kitchen");
    await moment();
    expect(await restart().read()).toBe("kitchen");
  });
});
