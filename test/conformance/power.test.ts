import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { MemoryLog, MemoryPower } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Power } from "../../core/ports/power.ts";
import { BusError, type Bus } from "../../hardware/bus.ts";
import { logind } from "../../hardware/logind.ts";
import { embeddedHost } from "../../runtimes/node/embedded-host.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `Power` in `core/ports/`. With a real systemd: test/host/power.test.ts. */

interface Bench {
  readonly power: Power;
  /** What the machine was asked to do, in its own words. */
  readonly asked: () => readonly string[];
  /** The machine has started again, and with it the agent. */
  readonly startAgain: () => Promise<Power>;
}

interface FallibleBench extends Bench {
  readonly refuse: (reason: string) => void;
  readonly beginUpdate: () => Promise<void>;
}

async function memory(): Promise<FallibleBench> {
  const power = new MemoryPower();
  return {
    power,
    asked: () => power.asked,
    startAgain: async () => {
      power.required = false;
      return power;
    },
    refuse: (reason) => (power.refusal = reason),
    beginUpdate: async () => void (power.updating = true),
  };
}

async function embedded(): Promise<Bench> {
  const folder = await temporaryFolder();
  const log = new MemoryLog();
  const { power } = embeddedHost(join(folder, "state"), folder, log);
  // It goes on: going down is all that there is of a start.
  return { power, asked: () => log.lines, startAgain: async () => power.goDown("reboot").then(() => power) };
}

async function systemd(): Promise<FallibleBench> {
  const root = await temporaryFolder();
  await mkdir(join(root, "tmp"));
  await chmod(join(root, "tmp"), 0o1777);
  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  let boots = 0;
  const boot = () => put("proc/sys/kernel/random/boot_id", `boot ${++boots}\n`);
  await boot();
  const asked: string[] = [];
  let refusal: string | undefined;
  const bus: Bus = {
    call: async (_method, _signature, kind) => {
      if (refusal !== undefined) throw new BusError(refusal, "org.freedesktop.DBus.Error.AccessDenied");
      asked.push(String(kind));
    },
    close: () => undefined,
  };
  const open = () => logind(bus, root, systemClock);
  return {
    power: open(),
    asked: () => asked,
    startAgain: () => boot().then(open),
    refuse: (reason) => (refusal = reason),
    beginUpdate: () => put("mnt/state/rollback-health-breadcrumb", ""),
  };
}

describe.each([
  ["in memory", memory],
  ["of an embedded host", embedded],
  ["of systemd", systemd],
])("the power %s", (_, create) => {
  test("has no update in progress and no required reboot at first", async () => {
    const { power, asked } = await create();
    expect([await power.updateInProgress(), await power.rebootRequired()]).toEqual([false, false]);
    expect(asked()).toEqual([]);
  });

  test.each(["reboot", "shutdown"] as const)("agrees to a %s, once for each time it is asked", async (how) => {
    const { power, asked } = await create();
    await power.goDown(how);
    expect(asked()).toEqual([expect.stringMatching(how === "reboot" ? /reboot/ : /shutdown|poweroff|switched off/)]);
    await power.goDown(how);
    expect(asked()).toHaveLength(2);
  });

  test("has a required reboot from the first request on, also after further requests", async () => {
    const { power } = await create();
    for (let n = 0; n < 2; n++) {
      await power.requireReboot();
      expect(await power.rebootRequired()).toBe(true);
    }
  });

  test("has no required reboot after the machine has started again, until the next request", async () => {
    const { power, startAgain } = await create();
    await power.requireReboot();
    const later = await startAgain();
    expect(await later.rebootRequired()).toBe(false);
    await later.requireReboot();
    expect(await later.rebootRequired()).toBe(true);
  });
});

describe.each([
  ["in memory", memory],
  ["of systemd", systemd],
])("the power %s", (_, create) => {
  test("returns why the machine refuses to go down, and the reboot stays required", async () => {
    const { power, asked, refuse } = await create();
    await power.requireReboot();
    refuse("not today");
    await expect(power.goDown("reboot")).rejects.toThrow("not today");
    expect(asked()).toEqual([]);
    expect(await power.rebootRequired()).toBe(true);
  });

  test("reports an update in progress", async () => {
    const { power, beginUpdate } = await create();
    await beginUpdate();
    expect(await power.updateInProgress()).toBe(true);
  });
});
