#!/usr/bin/env node
import { SettingsError, UsageError } from "../node/settings-error.ts";
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
    process.stderr.write(
      error instanceof SettingsError
        ? `${error.message}\n`
        : `${error instanceof Error ? error.stack : String(error)}\n`,
    );
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
