import { UsageError } from "../../node/settings-error.ts";
import { command, type Command } from "../command.ts";
import type { Io } from "../io.ts";
import { appOption, applicationsOf, deviceOf, deviceOption, findApplication, type Device } from "./client.ts";

const options = {
  app: appOption,
  user: { type: "string", short: "u", value: "<user>", hint: "run as this user of the container" },
  workdir: { type: "string", short: "w", value: "<folder>", hint: "run in this folder of the container" },
  "no-tty": { type: "boolean", short: "T", hint: "no terminal: for input and output that are not text" },
} as const;

interface Values {
  readonly app?: string | undefined;
  readonly user?: string | undefined;
  readonly workdir?: string | undefined;
  readonly "no-tty"?: boolean | undefined;
}

/** With a terminal, the program gets one, too. Resolves with the program's exit status. */
async function runIn(
  device: Device,
  { service, words }: { readonly service: string; readonly words: readonly string[] },
  values: Values,
  { isTerminal, columns }: Pick<Io, "isTerminal" | "columns">,
): Promise<number> {
  const { appId } = await findApplication(device, { app: values.app, service });
  const { runExec } = await import("./exec-session.ts");
  return runExec(device, {
    ...{ appId, service, user: values.user, workdir: values.workdir },
    ...(words.length > 0 && { command: words }),
    tty: isTerminal && columns !== undefined && !values["no-tty"],
  });
}

export const exec: Command = command({
  options: { device: deviceOption, ...options },
  about: "Without a command: a shell. Options stand before the service. The exit status is that of the command.",
  passThroughAfter: 1,
  run: async ({ words: [service = "", ...words], options: values, environment, isTerminal, columns }) =>
    runIn(await deviceOf(values, { environment }), { service, words }, values, { isTerminal, columns }),
});

/** `fairlead cloud ssh`: `exec` on a device of the cloud. */
export const ssh: Command = command({
  options,
  about:
    "The shell runs in the container of the service; there is no shell on the host. The token needs the permission shell.\nA single command: fairlead exec --device <device> <service> <command>",
  run: async ({ words: [wanted = "", named], options: values, environment, isTerminal, columns }) => {
    const device = await deviceOf({ device: wanted }, { environment });
    const service = named ?? (await onlyService(device, values.app));
    return runIn(device, { service, words: [] }, values, { isTerminal, columns });
  },
});

async function onlyService(device: Device, app: string | undefined): Promise<string> {
  const chosen = app === undefined ? await applicationsOf(device) : [await findApplication(device, { app })];
  const services = chosen.flatMap((one) => one.services);
  const [only] = services;
  if (only !== undefined && services.length === 1) return only;
  throw new UsageError(
    services.length === 0
      ? "The device has no service"
      : `Which service? fairlead cloud ssh <device> ${services.join(" | ")}`,
  );
}
