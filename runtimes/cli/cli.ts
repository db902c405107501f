#!/usr/bin/env node
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { startAgent } from "../node/agent.ts";
import { consoleLog } from "../node/log.ts";
import { SettingsError, readSettings, settingsHelp } from "../node/settings.ts";

const help = `Usage: fairlead agent [options]
       fairlead doctor [options]
       fairlead join <url> --key <key>
       fairlead cloud <command>

The agent keeps the containers of this device in their target state, and answers the balena Supervisor API.
The doctor looks at what there is for it on this machine: what is missing, what does not work then, how to have it.
Join makes this device one of a fleet. Cloud manages fleets, devices and tokens: fairlead cloud --help has more.

Options, and the variables that mean the same:
${settingsHelp()}
`;

/** What the agent does without is loaded only for whoever asks for it: a board has little memory. */
async function main([command, ...args]: readonly string[]): Promise<void> {
  switch (command) {
    case "agent":
      return args.includes("--help") ? print(help) : agent(args);
    case "doctor":
      return args.includes("--help") ? print(help) : doctor(args);
    case "join":
      return (await import("./join.ts")).joinCommand(args, process.env, print);
    case "cloud":
      process.exitCode = await (await import("./cloud/cloud.ts")).cloudCommand(args, process.env, print);
      return;
    case undefined:
    case "help":
    case "--help":
      return print(help);
    default:
      throw new SettingsError(`There is no command ${JSON.stringify(command)}.\n\n${help}`);
  }
}

const print = (text: string) => void process.stdout.write(text);

async function doctor(args: readonly string[]): Promise<void> {
  const { examine, toTable } = await import("./doctor.ts");
  print(toTable(await examine(readSettings(args, process.env))));
}

async function agent(args: readonly string[]): Promise<void> {
  const settings = readSettings(args, process.env);
  const { url, engine, host, supervisor, stop } = await startAgent(settings, consoleLog);
  const end = () => void stop().then(() => process.exit(0));
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  const embedded = engine instanceof EmbeddedEngine;
  const open = supervisor.targets.isLocalMode();
  print(`Fairlead answers on ${url}
  engine   ${embedded ? "embedded, in memory: NOTHING REALLY RUNS" : engine.name}
  host     ${host === "embedded" ? "embedded, too: its name and proxy are kept, reboot, shutdown and blink are logged, and nothing real happens" : "this machine"}
  key      ${open ? "none is needed: the device is in local mode" : "needed; services get theirs as BALENA_SUPERVISOR_API_KEY"}
  try      curl ${url}${open ? "/v2/state/status" : "/ping"}
`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    error instanceof SettingsError ? `${error.message}\n` : `${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
});
