import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Journal, JournalQuery } from "../core/ports/journal.ts";
import { canRun, environment, findProgram } from "./run.ts";

/** A program and its first arguments. */
export type Command = readonly [string, ...(readonly string[])];

/** The command that reads the host's journal. Undefined if there is no journal or no journalctl. */
export function findJournalctl(hostRoot: string): Command | undefined {
  const has = (path: string) => existsSync(join(hostRoot, path));
  if (!has("run/log/journal") && !has("var/log/journal")) return undefined;
  const own = findProgram("journalctl");
  if (hostRoot === "/") return own === undefined ? undefined : ["journalctl"];
  // The host's journalctl fits the journal's format. With --follow it needs its own entry in /proc.
  if (canRun(join(hostRoot, "usr/bin/journalctl")) && has("proc/self")) return ["chroot", hostRoot, "journalctl"];
  return own === undefined ? undefined : ["journalctl", `--root=${hostRoot}`];
}

/** The journal as journalctl prints it. */
export function journalctl([program, ...first]: Command): Journal {
  return {
    async read(query) {
      // Query zero lines first: journalctl then reports a wrong argument before the response starts.
      const complaint = await complaintOf(program, [...first, ...toArguments({ ...query, follow: false, count: 0 })]);
      if (complaint !== undefined) return { refused: complaint };
      return outputOf(
        spawn(program, [...first, ...toArguments(query)], { env: environment, stdio: ["ignore", "pipe", "ignore"] }),
      );
    },
  };
}

/** Source: journalctl(1). As `--option=value`, a value is never parsed as another option. */
export function toArguments({ all, follow, count, unit, containerId, format, since, until }: JournalQuery): string[] {
  // The engine's journald log driver tags its lines with the first 12 digits of the container's id.
  const identifier = containerId?.replace(/^([0-9a-f]{12})[0-9a-f]{52}$/, "$1");
  const values = { unit, identifier, lines: count, since, until, output: format ?? "short" };
  return [
    ...(all ? ["--all"] : []),
    ...(follow ? ["--follow"] : []),
    ...Object.entries(values).flatMap(([option, value]) => (value === undefined ? [] : [`--${option}=${value}`])),
  ];
}

function complaintOf(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env: environment }, (error, _, stderr) => {
      if (!error) return resolve(undefined);
      // Only exit code 1 with a message means that journalctl refused the arguments.
      if (error.code !== 1 || stderr === "") return reject(error);
      resolve(stderr.trim());
    });
  });
}

/** A program's stdout, read only on demand. Cancelling the stream kills the program. */
function outputOf(child: ChildProcess): ReadableStream<Uint8Array> {
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  failed.catch(() => undefined);
  const chunks = child.stdout?.iterator({ destroyOnReturn: false });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await Promise.race([chunks?.next(), failed]);
        if (!next || next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: () => void child.kill("SIGKILL"),
    },
    { highWaterMark: 0 },
  );
}
