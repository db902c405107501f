import { constants } from "node:fs";
import { access, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../core/ports/clock.ts";
import type { Power } from "../core/ports/power.ts";
import type { Bus } from "./bus.ts";
import { inHostTmp } from "./host-tmp.ts";

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

/**
 * Below `/tmp`, where the reference implementation keeps this note too. It holds the id of the boot in which it was
 * written: `/tmp` need not be empty after a boot.
 */
const noteFolder = ["balena-supervisor"];
const rebootNote = "reboot-after-apply";

const bootIdFile = "proc/sys/kernel/random/boot_id";

/** Whether logind would let us reboot, in words; throws when it would not. */
export async function canReboot(bus: Bus): Promise<string> {
  const answer = String(await bus.call({ ...manager, member: "CanReboot" }));
  if (answer !== "yes") throw new Error(`whether the agent may reboot, it answers "${answer}"`);
  return "the agent may reboot";
}

/** Reboot and shutdown by systemd-logind. */
export function logind(bus: Bus, hostRoot: string, clock: Clock): Power {
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
      // In a folder to which other users can write there is no note: else each of them could reboot the machine.
      const noted = await inHostTmp(hostRoot, noteFolder, { make: false }, (folder) =>
        readNote(folder.at(rebootNote)),
      ).catch(() => undefined);
      return noted !== undefined && noted === (await bootId());
    },
    async requireReboot() {
      const id = await bootId();
      await inHostTmp(hostRoot, noteFolder, { make: true }, async (folder) => {
        const note = folder.at(rebootNote);
        // Whatever is there is replaced, and never written to.
        await rm(note, { force: true });
        await writeFile(note, id, { flag: "wx", mode: 0o600 });
      });
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

/** A link or a pipe is no note. */
async function readNote(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return file.readFile("utf8").finally(() => file.close());
}
