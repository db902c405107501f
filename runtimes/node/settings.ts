import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import * as z from "zod";
import { parseGpioLine, type GpioLine } from "../../hardware/led-gpio.ts";
import { parseHost, parseOrigin } from "../../core/http/origin.ts";
import { jsonFault, messageOf } from "../../core/model/show.ts";

/** What is wrong with what the user gave, as sentences. */
export class SettingsError extends Error {}

const Port = z.coerce.number({ error: "expected a port, 0 to 65535" }).int().min(0).max(65535);

/** Every setting: its flag, its variable, what it takes, and what it says in `--help`. */
const table = {
  port: { variable: "FAIRLEAD_PORT", hint: "port of the API (48484)" },
  listen: {
    variable: "FAIRLEAD_LISTEN",
    hint: "further addresses to answer on, comma separated; 0.0.0.0 opens it to the LAN",
  },
  "allow-origin": {
    variable: "FAIRLEAD_ALLOW_ORIGIN",
    hint: "origins of web pages that may use the API, comma separated, e.g. http://panel.lan:8080",
  },
  "allow-host": {
    variable: "FAIRLEAD_ALLOW_HOST",
    hint: "names by which the device is reached in local mode, comma separated, besides addresses and local names",
  },
  engine: {
    variable: "FAIRLEAD_ENGINE",
    hint: "docker, or embedded: engine and host in memory; nothing really happens",
  },
  "state-dir": { variable: "FAIRLEAD_STATE_DIR", hint: "folder of the database (/var/lib/fairlead as root)" },
  "host-root": { variable: "FAIRLEAD_HOST_ROOT", hint: "where the host's root folder is mounted (/)" },
  config: {
    variable: "FAIRLEAD_CONFIG",
    hint: "a balena config.json (config.json in the state folder, which fairlead join writes)",
  },
  "led-file": {
    variable: "LED_FILE",
    hint: "brightness file of the LED to blink, e.g. /sys/class/leds/ACT/brightness",
  },
  iptables: {
    variable: "FAIRLEAD_IPTABLES",
    hint: "yes, or no: whether the agent may set rules of iptables, for proxy and firewall (yes as root on Docker)",
  },
  "boot-config": {
    variable: "FAIRLEAD_BOOT_CONFIG",
    hint: "the boot loader's config.txt (found on a Raspberry Pi)",
  },
  "led-gpio": { variable: "LED_GPIO", hint: "or a GPIO line to blink by, as CHIP:LINE, e.g. gpiochip0:17" },
  bus: {
    variable: "DBUS_SYSTEM_BUS_ADDRESS",
    hint: "the host's system bus (unix:path=/run/dbus/system_bus_socket, under the host root)",
  },
  "docker-host": { variable: "DOCKER_HOST", hint: "the engine's address (unix:///var/run/docker.sock)" },
} as const;

const List = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(",")
      .map((one) => one.trim())
      .filter(Boolean),
  );

/** Each as `parse` has it, which gives undefined for what is none. */
const listOf = (parse: (text: string) => string | undefined, expected: string) =>
  List.transform((all, context) => {
    const parsed = all.map(parse);
    if (parsed.every((one) => one !== undefined)) return parsed;
    context.addIssue({ code: "custom", message: expected, input: all });
    return z.NEVER;
  });

const Given = z.object({
  port: Port.default(48484),
  listen: List,
  "allow-origin": listOf(parseOrigin, "expected origins such as http://panel.lan:8080: without a path, and no *"),
  "allow-host": listOf(parseHost, "expected host names such as device.example.com: without a port, and no *"),
  engine: z.enum(["docker", "embedded", "auto"], { error: "expected docker or embedded" }).default("docker"),
  "state-dir": z.string().optional(),
  // The engine is told of folders under it, and knows nothing of where we were started.
  "host-root": z
    .string()
    .default("/")
    .transform((path) => resolve(path)),
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

/** A number, which older tools write as text. */
const IdNumber = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: "expected a whole number of 0 or more" })
  .refine((value) => Number.isInteger(value) && value >= 0, { error: "expected a whole number of 0 or more" });

/** The fields of a balena config.json that mean something to us. */
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
  /** balenaOS's word: the device is one for developing. */
  developmentMode: z.boolean({ error: "expected true or false" }).optional(),
  registryEndpoint: z.string().optional(),
  /** A provisioning key, and the fleet that it is for: with them, a device without a key of its own registers itself. */
  apiKey: z.string().optional(),
  applicationId: IdNumber.optional(),
  userId: IdNumber.optional(),
  initialDeviceName: z.string().optional(),
  /** Milliseconds; holds until a target state says otherwise. */
  appUpdatePollInterval: IdNumber.optional(),
  hostname: z.string().optional(),
});
export type ConfigJson = z.output<typeof ConfigJson>;

export interface Settings {
  readonly port: number;
  readonly listen: readonly string[];
  /** Pages of these origins may use the API: "http://panel.lan:8080". */
  readonly allowOrigins: readonly string[];
  /** Names by which the device is reached in local mode, besides addresses and local names. */
  readonly allowHosts: readonly string[];
  /** auto: Docker if it answers, else embedded; for `npm start`. */
  readonly engine: "docker" | "embedded" | "auto";
  readonly stateDir: string;
  readonly hostRoot: string;
  readonly config: ConfigJson;
  readonly configFile: string | undefined;
  readonly ledFile: string | undefined;
  /** Undefined: the one of this board, if it has one. */
  readonly bootConfig: string | undefined;
  /** Undefined: as root on a Docker engine. */
  readonly iptables: boolean | undefined;
  readonly ledGpio: GpioLine | undefined;
  /** As `DBUS_SYSTEM_BUS_ADDRESS` has it. Undefined: wherever it is found. */
  readonly busAddress: string | undefined;
  readonly dockerHost: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Flags before variables before defaults. Throws `SettingsError`. */
export function readSettings(args: readonly string[], environment: Environment): Settings {
  const options = Object.fromEntries(Object.keys(table).map((flag) => [flag, { type: "string" as const }]));
  const flags = parse(() => parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values);
  const given = Object.fromEntries(
    Object.entries(table).flatMap(([flag, { variable }]) => {
      const value = flags[flag] ?? environment[variable];
      return value === undefined || value === "" ? [] : [[flag, value]];
    }),
  );
  const parsed = Given.safeParse(given);
  if (!parsed.success) throw new SettingsError(parsed.error.issues.map((issue) => nameIssue(issue, given)).join("\n"));
  const { data } = parsed;
  const stateDir = data["state-dir"] ?? defaultStateDir(environment);
  return {
    port: data.port,
    listen: data.listen,
    allowOrigins: data["allow-origin"],
    allowHosts: data["allow-host"],
    engine: data.engine,
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

/** The settings, as `--help` lists them. */
export const settingsHelp = (): string =>
  Object.entries(table)
    .map(([flag, { variable, hint }]) => `  --${flag.padEnd(12)} ${variable.padEnd(23)} ${hint}`)
    .join("\n");

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new SettingsError(messageOf(error));
  }
}

function nameIssue({ path, message }: z.core.$ZodIssue, given: Readonly<Record<string, unknown>>): string {
  const flag = Object.keys(table).find((one) => one === path[0]);
  const entry = Object.entries(table).find(([one]) => one === flag)?.[1];
  return `--${flag} (or ${entry?.variable}): ${message}, but got ${JSON.stringify(given[String(flag)])}`;
}

/** Where the agent looks when it is given no other config.json. */
export const ownConfig = (stateDir: string): string => join(stateDir, "config.json");

const readOwnConfig = (stateDir: string): ConfigJson =>
  existsSync(ownConfig(stateDir)) ? readConfig(ownConfig(stateDir)) : {};

function readConfig(file: string): ConfigJson {
  const text = parse(() => readFileSync(file, "utf8"));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new SettingsError(`${file} is no JSON: ${jsonFault(error)}`);
  }
  const parsed = ConfigJson.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new SettingsError(
    parsed.error.issues
      .map(({ path, message }) => [file, ...(path.length > 0 ? [path.join(".")] : []), message].join(": "))
      .join("\n"),
  );
}

function defaultStateDir(environment: Environment): string {
  if (process.getuid?.() === 0) return "/var/lib/fairlead";
  return join(environment["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "fairlead");
}
