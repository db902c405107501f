import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../../core/model/show.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import { messageIn } from "../answer.ts";
import type { Io } from "../io.ts";
import { appOption, deviceOf, deviceOption, expectStatus, type Device } from "./client.ts";
import { reasonOption, takeLease } from "./lock.ts";

/** If this program is killed, the lease ends within this time. */
const ttl = 120;
const renewMs = 30_000;

/** Signals that end the command, and then this program. */
const endings = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export const run = command({
  options: { device: deviceOption, app: appOption, reason: reasonOption },
  about:
    "The lease is renewed while the command runs, and released when it has ended. The exit status is that of the command; 127 if it does not exist. Example: fairlead lock run web --reason backup -- ./backup.sh --all",
  passThroughAfter: "--",
  run: async ({ words, passedOn, options, environment, warn }) => {
    const [service, ...more] = words.slice(0, words.length - passedOn.length);
    const [program, ...args] = passedOn;
    if (program === undefined || more.length > 0)
      throw new UsageError(
        "Expected: fairlead lock run [service] --reason <text> -- <command>…, with one service or none",
      );
    const device = await deviceOf(options, { environment });
    let child: ChildProcess | undefined;
    let ended: (typeof endings)[number] | undefined;
    const end = (signal: NodeJS.Signals) => {
      ended = endings.find((one) => one === signal);
      // A terminal sends SIGINT to the command, too.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child?.kill(signal);
    };
    for (const signal of endings) process.on(signal, end);
    try {
      const { id } = await takeLease(device, { ...options, service, ttl });
      const over = new AbortController();
      try {
        if (ended) return 128 + constants.signals[ended];
        child = spawn(program, args, { stdio: "inherit" });
        void keepRenewing(device, id, over.signal, warn);
        return await statusOf(child, program, warn);
      } finally {
        over.abort();
        await release(device, id, warn);
      }
    } finally {
      for (const signal of endings) process.off(signal, end);
    }
  },
});

function statusOf(child: ChildProcess, program: string, warn: Io["warn"]): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      warn(`Cannot run ${program}: ${error.code === "ENOENT" ? "there is no such command" : messageOf(error)}\n`);
      resolve(error.code === "ENOENT" ? 127 : 126);
    });
    child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128 + constants.signals[signal])));
  });
}

async function keepRenewing(device: Device, id: string, signal: AbortSignal, warn: Io["warn"]): Promise<void> {
  for (let isLost = false; !isLost;) {
    await sleep(renewMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const { status, body } = await device.renewLock.reply({ params: { id }, body: { ttl } });
      if (status !== 200) warn(`The lease cannot be renewed (${status}): ${messageIn(body)}\n`);
      isLost = status === 404;
    } catch (error) {
      warn(`The lease cannot be renewed: ${messageOf(error)}\n`);
    }
  }
}

/** The command has ended: its status counts, whatever becomes of the lease. */
async function release(device: Device, id: string, warn: Io["warn"]): Promise<void> {
  try {
    expectStatus(await device.releaseLock.reply({ params: { id } }), 204);
  } catch (error) {
    warn(`The lease was not released: ${messageOf(error)}\n`);
  }
}
