#!/usr/bin/env node
import { SettingsError } from "../node/settings-error.ts";
import type { Print, RunCommand } from "./command.ts";

const help = `Usage: fairlead <command> [options]

  agent   keep the containers of this device in their target state, and answer the balena Supervisor API
  doctor  list the parts of this machine that the agent uses; for missing parts, the effect and the fix
  join    make this device a member of a fleet
  cloud   manage fleets, devices, releases and tokens

fairlead <command> --help lists the options of a command.
`;

/** Only the module of the chosen command is loaded: a board has little memory. */
const commands: Readonly<Record<string, () => Promise<RunCommand>>> = {
  agent: async () => (await import("./agent.ts")).agentCommand,
  doctor: async () => (await import("./doctor.ts")).doctorCommand,
  join: async () => (await import("./join.ts")).joinCommand,
  cloud: async () => (await import("./cloud/cloud.ts")).cloudCommand,
};

const print: Print = (text) => void process.stdout.write(text);

async function main([name = "help", ...args]: readonly string[]): Promise<void> {
  if (name === "help" || name === "--help") return print(help);
  if (!Object.hasOwn(commands, name))
    throw new SettingsError(`There is no command ${JSON.stringify(name)}.\n\n${help}`);
  const run = await commands[name]?.();
  process.exitCode = (await run?.(args, process.env, print)) ?? 0;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    error instanceof SettingsError ? `${error.message}\n` : `${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
});
