import { supervisorVersion } from "../../core/model/version.ts";
import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join as joinPath } from "node:path";
import * as z from "zod";
import { ProvisioningActor, Registered, type Registration } from "../../core/api/cloud/register.ts";
import { userAgent } from "../../core/cloud/user-agent.ts";
import { registrationAdvice, versionFields } from "../../core/cloud/device-registration.ts";
import { machineFacts } from "../../hardware/system.ts";
import { cloudUrl, writeSecretFile } from "./cloud/account.ts";
import {
  isServiceInstalled,
  ownConfig,
  readSettings,
  SettingsError,
  withServiceEnvironment,
} from "../node/settings.ts";
import { UsageError } from "../node/settings-error.ts";
import { command, type Invocation } from "./command.ts";
import { SqliteStore } from "../node/store/sqlite-store.ts";
import { redact } from "../../core/model/secrets.ts";
import { jsonFault, messageOf } from "../../core/model/show.ts";

/** The fields of config.json that this command reads. Other fields are kept. */
const ConfigJson = z.looseObject({
  uuid: z.string().optional(),
  deviceType: z.string().optional(),
  apiEndpoint: z.string().optional(),
  deviceApiKey: z.string().optional(),
  developmentMode: z.boolean().optional(),
});

const options = {
  key: {
    type: "string",
    hint: "the provisioning key (or FAIRLEAD_PROVISIONING_KEY); to create one: fairlead cloud fleet key <fleet>",
  },
  fleet: { type: "string", value: "<id>", hint: "the fleet's id, if the cloud is not a Fairlead cloud" },
  "device-type": {
    type: "string",
    value: "<slug>",
    hint: "such as raspberrypi4-64 (default: from config.json, else detected)",
  },
  dev: {
    type: "boolean",
    hint: "a development device: the cloud may switch it to local mode, in which its API needs no key (developmentMode in config.json)",
  },
  force: { type: "boolean", hint: "join again, even if the device is already a member of a fleet" },
  anew: { type: "boolean", hint: "the name of --force until version 0.1" },
  config: {
    type: "string",
    value: "<file>",
    hint: "the config.json (or FAIRLEAD_CONFIG; default: in the state folder)",
  },
  "state-dir": { type: "string", value: "<folder>", hint: "as for fairlead agent" },
  "host-root": { type: "string", value: "<folder>", hint: "as for fairlead agent" },
} as const;

export const join = command({
  options,
  about: `Writes the cloud's address and the device's key to config.json. Restart the agent afterwards.`,
  run: joinFleet,
});

async function joinFleet({ words: [given = ""], options: values, environment, say }: Invocation<typeof options>) {
  const url = cloudUrl(given);
  const key = values.key ?? environment["FAIRLEAD_PROVISIONING_KEY"];
  if (!key) throw new UsageError("Expected --key, a provisioning key: fairlead cloud fleet key <fleet> makes one");

  const passed = ["state-dir", "host-root"] as const;
  const flags = passed.flatMap((flag) => (values[flag] === undefined ? [] : [`--${flag}`, values[flag]]));
  const variables = withServiceEnvironment(environment);
  const { stateDir, hostRoot } = readSettings(flags, { ...variables, FAIRLEAD_CONFIG: "" });
  const file = values.config ?? (variables["FAIRLEAD_CONFIG"] || ownConfig(stateDir));
  const config = readConfig(file);
  mayWrite(file);
  if (config.deviceApiKey && !values.force && !values.anew)
    throw new SettingsError(
      `This device has joined ${config.apiEndpoint ?? "a cloud"} already (${file}). To join again: --force`,
    );

  const facts = machineFacts(hostRoot);
  const uuid = config.uuid ?? (await keptUuid(stateDir)) ?? randomBytes(16).toString("hex");
  const developmentMode = values.dev ?? config.developmentMode ?? false;
  const osVariant = developmentMode ? "dev" : facts.osVariant;
  const who = { url, key, agent: userAgent({ ...facts, osVariant, supervisorVersion }) };
  const fleet = values.fleet ?? (await fleetOf(who));
  const registered = await register(who, {
    application: Number(fleet),
    device_type: values["device-type"] ?? config.deviceType ?? facts.type,
    uuid,
    ...versionFields({ supervisorVersion, osVersion: facts.reportedOsVersion, osVariant }),
  });
  const { api_key: deviceApiKey } = registered;
  const joined = { ...config, uuid, apiEndpoint: url, deviceApiKey, ...(values.dev && { developmentMode }) };
  writeSecretFile(file, `${JSON.stringify(joined, undefined, 2)}\n`);
  say(
    `Joined ${url} as device ${registered.id}, ${uuid}. Written to ${file}. Now restart the agent:\n  ${restartLine(values)}`,
    { id: registered.id, uuid, url, file },
  );
}

/** The line that (re)starts the agent with the same files. */
function restartLine(values: {
  readonly config?: string;
  readonly "state-dir"?: string;
  readonly "host-root"?: string;
}) {
  const flags = (["config", "state-dir", "host-root"] as const).flatMap((flag) =>
    values[flag] === undefined ? [] : [` --${flag} ${values[flag]}`],
  );
  return flags.length === 0 && isServiceInstalled()
    ? "sudo systemctl restart fairlead"
    : `fairlead agent${flags.join("")}`;
}

/** Throws `SettingsError` if the config cannot be written: before the device is registered, and its key is lost. */
function mayWrite(file: string): void {
  let path = file;
  while (!existsSync(path) && path !== dirname(path)) path = dirname(path);
  try {
    accessSync(path, constants.W_OK);
    if (path !== file && !statSync(path).isDirectory()) throw new Error(`${path} is no folder`);
    // The file is replaced by a new one.
    accessSync(dirname(path), path === file ? constants.W_OK : constants.X_OK);
  } catch (error) {
    throw new SettingsError(
      `${file} cannot be written: ${messageOf(error)}\nAs root: sudo fairlead join <url> --key <key>. Or elsewhere: --config <file>`,
    );
  }
}

function readConfig(file: string): z.output<typeof ConfigJson> {
  if (!existsSync(file)) return {};
  try {
    return ConfigJson.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw new SettingsError(`${file} is no config.json: ${jsonFault(error)}`);
  }
}

/** The uuid that an agent on this machine generated. The device keeps it when it joins. */
async function keptUuid(stateDir: string): Promise<string | undefined> {
  for (const name of ["agent.sqlite", "embedded.sqlite"]) {
    const file = joinPath(stateDir, name);
    if (!existsSync(file)) continue;
    const store = new SqliteStore(file);
    const uuid = z.string().safeParse(await store.read("uuid")).data;
    store.close();
    if (uuid !== undefined) return uuid;
  }
  return undefined;
}

interface CloudAccess {
  readonly url: string;
  readonly key: string;
  readonly agent: string;
}

const headersOf = ({ key, agent }: CloudAccess) => ({ authorization: `Bearer ${key}`, "user-agent": agent });

/** The fleet of the provisioning key. */
async function fleetOf(cloud: CloudAccess): Promise<number> {
  const { url } = cloud;
  const response = await reach(`${url}/actor/v1/whoami`, { headers: headersOf(cloud) });
  const fleet = ProvisioningActor.safeParse(await response.json().catch(() => undefined)).data;
  if (fleet) return fleet.actorTypeId;
  throw new SettingsError(
    `${url} does not know this key as a provisioning key; it may have expired, or be used up. A fresh one: fairlead cloud fleet key <fleet>`,
  );
}

async function register(cloud: CloudAccess, body: Registration): Promise<Registered> {
  const { url, key } = cloud;
  const response = await reach(`${url}/device/register`, {
    method: "POST",
    headers: { ...headersOf(cloud), "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status === 201) return Registered.parse(JSON.parse(text));
  throw new SettingsError(
    response.status === 409
      ? `The cloud knows a device with this uuid already. Remove it there first: fairlead cloud device delete <uuid> (of balena's clouds: balena device rm <uuid>)`
      : [
          `The cloud does not take this device (${response.status})`,
          ...[redact(text, { secrets: [key] }), registrationAdvice({ status: response.status, text })].filter(Boolean),
        ].join(": "),
  );
}

async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new SettingsError(`${url} cannot be reached: ${cause}`);
  }
}
