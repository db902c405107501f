import { issueMessage } from "../../core/model/issue.ts";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import * as z from "zod";
import { parseGpioLine, type GpioLine } from "../../hardware/led-gpio.ts";
import { parseHost, parseOrigin } from "../../core/http/origin.ts";
import { jsonFault, messageOf } from "../../core/model/show.ts";
import { parseFlags } from "./flags.ts";
import { SettingsError, UsageError } from "./settings-error.ts";

export { SettingsError };

interface Row {
  readonly variable: string;
  readonly hint: string;
  /** The default value. */
  readonly fallback?: string;
  /** A description of the default, if it depends on the machine. */
  readonly otherwise?: string;
}

/** Every setting. The parser, `--help` and docs/settings.md are made from this table. */
const table = {
  port: { variable: "FAIRLEAD_PORT", hint: "port of the API", fallback: "48484" },
  listen: {
    variable: "FAIRLEAD_LISTEN",
    hint: "further addresses to listen on, comma separated; 0.0.0.0 opens the API to the LAN",
    otherwise: "only the loopback and the services' gateway",
  },
  "allow-origin": {
    variable: "FAIRLEAD_ALLOW_ORIGIN",
    hint: "origins of web pages that may use the API, comma separated, such as http://panel.lan:8080",
    otherwise: "none",
  },
  "allow-host": {
    variable: "FAIRLEAD_ALLOW_HOST",
    hint: "further names that a Host header may have in local mode, comma separated",
    otherwise: "only addresses and local names",
  },
  exec: {
    variable: "FAIRLEAD_EXEC",
    hint: "on, or off: no caller, also of the cloud, runs programs in containers (fairlead exec)",
    fallback: "on",
  },
  "log-format": {
    variable: "FAIRLEAD_LOG_FORMAT",
    hint: "text, or json: each line of the log is a JSON object",
    fallback: "text",
  },
  engine: {
    variable: "FAIRLEAD_ENGINE",
    hint: "docker, or embedded: engine and host in memory; no container runs",
    fallback: "docker",
  },
  "state-dir": {
    variable: "FAIRLEAD_STATE_DIR",
    hint: "folder of the database",
    otherwise: "/var/lib/fairlead as root, else ~/.local/state/fairlead",
  },
  "host-root": {
    variable: "FAIRLEAD_HOST_ROOT",
    hint: "where the host's root folder is mounted; update locks are under it",
    fallback: "/",
  },
  config: {
    variable: "FAIRLEAD_CONFIG",
    hint: "a balena config.json, also written by fairlead join; without apiEndpoint: local mode",
    otherwise: "config.json in the state folder",
  },
  "led-file": {
    variable: "LED_FILE",
    hint: "brightness file of the LED to blink, such as /sys/class/leds/ACT/brightness",
    otherwise: "the board's LED, if found",
  },
  "led-gpio": {
    variable: "LED_GPIO",
    hint: "GPIO line of the LED to blink, as CHIP:LINE, such as gpiochip0:17",
    otherwise: "none",
  },
  bus: {
    variable: "DBUS_SYSTEM_BUS_ADDRESS",
    hint: "address of the host's system bus",
    otherwise: "unix:path=/run/dbus/system_bus_socket under the host's root",
  },
  iptables: {
    variable: "FAIRLEAD_IPTABLES",
    hint: "yes or no: whether the agent may set iptables rules, for firewall and proxy",
    otherwise: "yes as root on Docker",
  },
  "boot-config": {
    variable: "FAIRLEAD_BOOT_CONFIG",
    hint: "the boot loader's config.txt",
    otherwise: "found on a Raspberry Pi",
  },
  "docker-host": {
    variable: "DOCKER_HOST",
    hint: "address of the engine",
    otherwise: "unix:///var/run/docker.sock",
  },
} as const satisfies Readonly<Record<string, Row>>;

/** The rows of the table, each with its flag. */
export const settingRows: readonly (Row & { readonly flag: string })[] = Object.entries(table).map(([flag, row]) => ({
  flag,
  ...row,
}));

const Port = z.coerce.number({ error: "expected a port, 0 to 65535" }).int().min(0).max(65535);

const List = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(",")
      .map((one) => one.trim())
      .filter(Boolean),
  );

/** `parse` returns undefined for an invalid item. */
const listOf = (parse: (text: string) => string | undefined, expected: string) =>
  List.transform((all, context) => {
    const parsed = all.map(parse);
    if (parsed.every((one) => one !== undefined)) return parsed;
    context.addIssue({ code: "custom", message: expected, input: all });
    return z.NEVER;
  });

const Given = z.object({
  port: Port,
  listen: List,
  "allow-origin": listOf(parseOrigin, "expected origins such as http://panel.lan:8080: without a path, and no *"),
  "allow-host": listOf(parseHost, "expected host names such as device.example.com: without a port, and no *"),
  engine: z.enum(["docker", "embedded", "auto"], { error: "expected docker or embedded" }),
  exec: z.enum(["on", "off"], { error: "expected on or off" }),
  "log-format": z.enum(["text", "json"], { error: "expected text or json" }),
  "state-dir": z.string().optional(),
  // The engine mounts folders under it, and does not know the agent's working directory.
  "host-root": z.string().transform((path) => resolve(path)),
  config: z.string().optional(),
  "led-file": z.string().optional(),
  iptables: z.enum(["yes", "no"], { error: "expected yes or no" }).optional(),
  "boot-config": z.string().optional(),
  "led-gpio": z
    .string()
    .transform((text, context): GpioLine => {
      const line = parseGpioLine(text);
      if (line) return line;
      context.addIssue({ code: "custom", message: "expected CHIP:LINE, such as gpiochip0:17", input: text });
      return z.NEVER;
    })
    .optional(),
  bus: z.string().optional(),
  "docker-host": z.string().optional(),
});

/** An id. Older tools write it as a string. */
const IdNumber = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: "expected a whole number of 0 or more" })
  .refine((value) => Number.isInteger(value) && value >= 0, { error: "expected a whole number of 0 or more" });

/** The fields of a balena config.json that the agent reads. */
const ConfigJson = z.looseObject({
  uuid: z
    .string()
    .regex(/^([0-9a-f]{32}|[0-9a-f]{62})$/, { error: "expected 32 or 62 lower case hex digits" })
    .optional(),
  deviceType: z.string().optional(),
  deviceArch: z.string().optional(),
  apiEndpoint: z
    .string()
    .regex(/^(https?:\/\/.+)?$/, { error: "expected the address of a cloud, such as https://api.balena-cloud.com" })
    .optional(),
  deviceApiKey: z.string().optional(),
  /** balenaOS's name for a development device. */
  developmentMode: z.boolean({ error: "expected true or false" }).optional(),
  registryEndpoint: z.string().optional(),
  /** A provisioning key; `applicationId` is its fleet. A device without its own key registers with these. */
  apiKey: z.string().optional(),
  applicationId: IdNumber.optional(),
  userId: IdNumber.optional(),
  initialDeviceName: z.string().optional(),
  /** Milliseconds; a target state overrides it. */
  appUpdatePollInterval: IdNumber.optional(),
  hostname: z.string().optional(),
});
export type ConfigJson = z.output<typeof ConfigJson>;

export interface Settings {
  readonly port: number;
  readonly listen: readonly string[];
  /** Pages of these origins may use the API: "http://panel.lan:8080". */
  readonly allowOrigins: readonly string[];
  /** Names that a Host header may have in local mode, besides addresses and local names. */
  readonly allowHosts: readonly string[];
  /** auto: Docker if it answers, otherwise embedded. Used by `npm start`. */
  readonly engine: "docker" | "embedded" | "auto";
  /** Whether callers may run programs in containers. */
  readonly exec: boolean;
  readonly logFormat: "text" | "json";
  readonly stateDir: string;
  readonly hostRoot: string;
  readonly config: ConfigJson;
  readonly configFile: string | undefined;
  readonly ledFile: string | undefined;
  /** Undefined: search on a Raspberry Pi. */
  readonly bootConfig: string | undefined;
  /** Undefined: yes on a Docker engine, if the agent is root. */
  readonly iptables: boolean | undefined;
  readonly ledGpio: GpioLine | undefined;
  /** Undefined: search under the host's root. */
  readonly busAddress: string | undefined;
  readonly dockerHost: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A flag takes precedence over a variable, and a variable over the default. Throws `SettingsError`. */
export function readSettings(args: readonly string[], environment: Environment): Settings {
  const options = Object.fromEntries(settingRows.map(({ flag }) => [flag, { type: "string" as const }]));
  const flags = parseFlags(args, options, false).values;
  const given = Object.fromEntries(
    settingRows.flatMap(({ flag, variable, fallback }) => {
      const value = (flags[flag] ?? environment[variable]) || fallback;
      return value === undefined ? [] : [[flag, value]];
    }),
  );
  const parsed = Given.safeParse(given);
  if (!parsed.success) throw new UsageError(parsed.error.issues.map((issue) => nameIssue(issue, given)).join("\n"));
  const { data } = parsed;
  const stateDir = data["state-dir"] ?? defaultStateDir(environment);
  return {
    port: data.port,
    listen: data.listen,
    allowOrigins: data["allow-origin"],
    allowHosts: data["allow-host"],
    engine: data.engine,
    exec: data.exec === "on",
    logFormat: data["log-format"],
    stateDir,
    hostRoot: data["host-root"],
    config: data.config === undefined ? readOwnConfig(stateDir) : readConfig(data.config),
    configFile: data.config,
    ledFile: data["led-file"],
    bootConfig: data["boot-config"],
    iptables: data.iptables === undefined ? undefined : data.iptables === "yes",
    ledGpio: data["led-gpio"],
    busAddress: data.bus,
    dockerHost: data["docker-host"],
  };
}

/** The settings as the options of a command. */
export const settingOptions = Object.fromEntries(
  settingRows.map(({ flag, variable, hint, fallback, otherwise }) => [
    flag,
    { type: "string" as const, hint: `${hint} (${variable}; default: ${fallback ?? otherwise})` },
  ]),
);

function nameIssue({ path, message }: z.core.$ZodIssue, given: Readonly<Record<string, unknown>>): string {
  const row = settingRows.find(({ flag }) => flag === path[0]);
  return `--${row?.flag} (or ${row?.variable}): ${message}, but got ${JSON.stringify(given[String(path[0])])}`;
}

/** The config.json that is read without --config. */
export const ownConfig = (stateDir: string): string => join(stateDir, "config.json");

const readOwnConfig = (stateDir: string): ConfigJson =>
  existsSync(ownConfig(stateDir)) ? readConfig(ownConfig(stateDir)) : {};

function readConfig(file: string): ConfigJson {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new SettingsError(`${file} (--config or FAIRLEAD_CONFIG) cannot be read: ${messageOf(error)}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new SettingsError(`${file} is not JSON: ${jsonFault(error)}`);
  }
  const parsed = ConfigJson.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new SettingsError(
    parsed.error.issues
      .map((issue) => [file, ...(issue.path.length > 0 ? [issue.path.join(".")] : []), issueMessage(issue)].join(": "))
      .join("\n"),
  );
}

const unitFiles = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"].map(
  (folder) => `${folder}/fairlead.service`,
);

/** The agent is a service of this machine. */
export const isServiceInstalled = (): boolean => unitFiles.some((file) => existsSync(file));

/**
 * The variables of the service's settings file, and those of the environment, which take precedence: so `fairlead join`
 * and the other commands use the same files and port as the service, also without root's rights.
 */
export function withServiceEnvironment(environment: Environment, file = "/etc/fairlead.env"): Environment {
  try {
    return { ...parseEnv(readFileSync(file, "utf8")), ...environment };
  } catch {
    return environment;
  }
}

/** With the service installed, its folder is used by every user: join and agent use the same one. */
function defaultStateDir(environment: Environment): string {
  if (process.getuid?.() === 0 || isServiceInstalled()) return "/var/lib/fairlead";
  return join(environment["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "fairlead");
}
