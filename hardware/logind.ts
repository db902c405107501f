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

/** Time for the HTTP response to be sent, also through the tunnel. */
const graceMs = 1000;

/**
 * balenaOS keeps these files on its state partition until an OS update has passed its health checks. Source: meta-balena,
 * rollback-health and rollback-altboot.
 */
const breadcrumbs = ["rollback-health-breadcrumb", "rollback-altboot-breadcrumb"];

/**
 * The note that a reboot is required, below `/tmp` as in the reference implementation. It contains the id of the current
 * boot, because not every host empties `/tmp` at boot.
 */
const noteFolder = ["balena-supervisor"];
const rebootNote = "reboot-after-apply";

const bootIdFile = "proc/sys/kernel/random/boot_id";

/** For `fairlead doctor`: text that says the agent may reboot. Throws if logind does not allow it. */
export async function canReboot(bus: Bus): Promise<string> {
  const answer = String(await bus.call({ ...manager, member: "CanReboot" }));
  if (answer !== "yes") throw new Error(`whether the agent may reboot, it answers "${answer}"`);
  return "the agent may reboot";
}

/** Reboot and shutdown through systemd-logind. */
export function logind(bus: Bus, hostRoot: string, clock: Clock): Power {
  return {
    async updateInProgress() {
      const found = breadcrumbs.map((name) => exists(join(hostRoot, "mnt/state", name)));
      return (await Promise.all(found)).includes(true);
    },

    // logind accepts or refuses the request at once, and acts `graceMs` later.
    async goDown(how) {
      const at = BigInt(clock.now() + graceMs) * 1000n;
      await bus.call({ ...manager, member: "ScheduleShutdown" }, "st", kinds[how], at);
    },

    async rebootRequired() {
      // A note in a folder that other users can write to is ignored. Otherwise they could make the machine reboot.
      const noted = await inHostTmp(hostRoot, noteFolder, { make: false }, (folder) =>
        readNote(folder.at(rebootNote)),
      ).catch(() => undefined);
      return noted !== undefined && noted === (await bootId());
    },
    async requireReboot() {
      const id = await bootId();
      await inHostTmp(hostRoot, noteFolder, { make: true }, async (folder) => {
        const note = folder.at(rebootNote);
        // Replace an existing file and never write to it: it may be a link.
        await rm(note, { force: true });
        await writeFile(note, id, { flag: "wx", mode: 0o600 });
      });
    },
  };

  // The boot time is no substitute: a machine without a hardware clock gets the right time only after boot.
  async function bootId(): Promise<string> {
    // If the host's /proc is not mounted, our own /proc gives the same id, because the kernel is the same.
    return (await read(join(hostRoot, bootIdFile))) ?? readFile(`/${bootIdFile}`, "utf8");
  }
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

const read = (file: string): Promise<string | undefined> => readFile(file, "utf8").catch(() => undefined);

/** Does not follow a link, and does not block on a named pipe. */
async function readNote(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return file.readFile("utf8").finally(() => file.close());
}
