import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../core/ports/clock.ts";
import type { Power } from "../core/ports/host.ts";
import type { Bus } from "./bus.ts";

const manager = {
  service: "org.freedesktop.login1",
  path: "/org/freedesktop/login1",
  interface: "org.freedesktop.login1.Manager",
};

/** Source: org.freedesktop.login1(5), ScheduleShutdown. */
const kinds = { reboot: "reboot", shutdown: "poweroff" } as const;

/** For the answer to leave, also through a tunnel. */
const graceMs = 1000;

/**
 * balenaOS leaves these on its state partition until an update of it has proved itself. Source: meta-balena,
 * rollback-health and rollback-altboot.
 */
const breadcrumbs = ["rollback-health-breadcrumb", "rollback-altboot-breadcrumb"];

/** Where the original keeps this note, too; `/tmp` need not be empty after a boot. */
const rebootNote = "tmp/balena-supervisor/reboot-after-apply";

const bootIdFile = "proc/sys/kernel/random/boot_id";

/** Whether logind would let us reboot, in words; throws when it would not. */
export async function canReboot(bus: Bus): Promise<string> {
  const answer = String(await bus.call({ ...manager, member: "CanReboot" }));
  if (answer !== "yes") throw new Error(`whether the agent may reboot, it answers "${answer}"`);
  return "the agent may reboot";
}

/** Reboot and shutdown by systemd-logind. */
export function logind(bus: Bus, hostRoot: string, clock: Clock): Power {
  const note = join(hostRoot, rebootNote);
  return {
    async updateInProgress() {
      const found = breadcrumbs.map((name) => exists(join(hostRoot, "mnt/state", name)));
      return (await Promise.all(found)).includes(true);
    },

    // logind agrees now, or says why not, and acts by itself a second later.
    async goDown(how) {
      const at = BigInt(clock.now() + graceMs) * 1000n;
      await bus.call({ ...manager, member: "ScheduleShutdown" }, "st", kinds[how], at);
    },

    async rebootRequired() {
      const noted = await read(note);
      return noted !== undefined && noted === (await bootId());
    },
    async requireReboot() {
      await mkdir(dirname(note), { recursive: true });
      await writeFile(note, await bootId());
    },
  };

  // Not the time of the boot: a machine without a clock of its own learns late what time it is.
  async function bootId(): Promise<string> {
    // The kernel is the same where the host's root is mounted without its /proc.
    return (await read(join(hostRoot, bootIdFile))) ?? readFile(`/${bootIdFile}`, "utf8");
  }
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

const read = (file: string): Promise<string | undefined> => readFile(file, "utf8").catch(() => undefined);
