import type { Log } from "../../core/ports/log.ts";

/** Writes lines to standard output and standard error, without a time: journald and Docker add it. */
export const consoleLog: Log = {
  info: (message) => void process.stdout.write(`${message}\n`),
  warn: (message) => void process.stderr.write(`${message}\n`),
};
