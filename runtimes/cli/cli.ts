#!/usr/bin/env node
import { statusOf } from "../node/settings-error.ts";
import { processIo } from "./io.ts";
import { runProgram } from "./run.ts";

// The reader of a pipe, such as `head`, may end first.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    throw error;
  });

runProgram(process.argv.slice(2), processIo()).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    const status = error instanceof Error ? statusOf(error) : undefined;
    const message = error instanceof Error ? (status === undefined ? error.stack : error.message) : String(error);
    process.stderr.write(`${message}\n`);
    process.exit(status ?? 1);
  },
);
