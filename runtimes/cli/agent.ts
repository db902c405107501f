import { startAgent } from "../node/agent.ts";
import { createConsoleLog, isJournal, priorities } from "../node/log.ts";
import { readSettings, settingOptions, withServiceEnvironment } from "../node/settings.ts";
import { commonOptions, type Command } from "./command.ts";

/** Runs until SIGTERM or SIGINT. */
export const agent: Command = {
  options: { ...settingOptions, help: commonOptions.help },
  run: async (args, _, { environment, print }) => {
    const settings = readSettings(args, withServiceEnvironment(environment));
    const log = createConsoleLog(settings.logFormat);
    const { url, engine, engineIs, host, supervisor, stop } = await startAgent(settings, log);
    const end = () => void stop().then(() => process.exit(0));
    process.once("SIGTERM", end);
    process.once("SIGINT", end);
    const open = supervisor.targets.isLocalMode();
    const lan = settings.listen.length > 0 ? `, also on ${settings.listen.join(", ")}` : "";
    const facts = [
      `Fairlead answers on ${url}${lan}`,
      `  engine   ${engineIs === "embedded" ? "embedded, in memory: NOTHING REALLY RUNS" : engine.name}`,
      `  host     ${host === "embedded" ? "embedded, too: its name and proxy are kept, reboot, shutdown and blink are logged, and nothing real happens" : "this machine"}`,
      `  key      ${open ? "none is needed: the device is in local mode" : "needed; services get theirs as BALENA_SUPERVISOR_API_KEY"}`,
    ];
    const tryOut = `  try      curl ${url}${open ? "/v2/state/status" : "/ping"}`;
    const warnings =
      open && lan
        ? ["everybody who reaches these addresses can control this device, and become root on it: no key is needed"]
        : [];
    if (settings.logFormat === "json") {
      for (const fact of [...facts, tryOut]) log.info(fact.trim().replace(/ +/g, " "));
      for (const warning of warnings) log.warn(warning);
      return;
    }
    const priority = isJournal(process.stdout, environment) ? priorities.warn : "";
    const lines = [...facts, ...warnings.map((warning) => `${priority}  WARNING  ${warning}`), tryOut];
    print(lines.map((line) => `${line}\n`).join(""));
  },
};
