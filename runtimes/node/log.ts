import type { Log } from "../../core/ports/log.ts";

/** Lines to standard output and standard error; what keeps them adds the time. */
export const consoleLog: Log = {
  info: (message) => void process.stdout.write(`${message}\n`),
  warn: (message) => void process.stderr.write(`${message}\n`),
};
