import { startAgent } from "../node/agent.ts";
import { consoleLog } from "../node/log.ts";
import { readSettings, settingsHelp } from "../node/settings.ts";
import type { Environment, Print } from "./command.ts";

const help = () => `Usage: fairlead agent [options]

Keeps the containers of this device in their target state, and answers the balena Supervisor API.

Options and the equivalent variables:
${settingsHelp()}
`;

/** `fairlead agent …`: runs until SIGTERM or SIGINT. */
export async function agentCommand(args: readonly string[], environment: Environment, print: Print): Promise<void> {
  if (args.includes("--help")) return print(help());
  const { url, engine, engineIs, host, supervisor, stop } = await startAgent(
    readSettings(args, environment),
    consoleLog,
  );
  const end = () => void stop().then(() => process.exit(0));
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  const open = supervisor.targets.isLocalMode();
  print(`Fairlead answers on ${url}
  engine   ${engineIs === "embedded" ? "embedded, in memory: NOTHING REALLY RUNS" : engine.name}
  host     ${host === "embedded" ? "embedded, too: its name and proxy are kept, reboot, shutdown and blink are logged, and nothing real happens" : "this machine"}
  key      ${open ? "none is needed: the device is in local mode" : "needed; services get theirs as BALENA_SUPERVISOR_API_KEY"}
  try      curl ${url}${open ? "/v2/state/status" : "/ping"}
`);
}
