import { supervisorVersion } from "../../core/model/version.ts";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { ProvisioningActor, Registered, type Registration } from "../../core/api/cloud/register.ts";
import { userAgent } from "../../core/cloud/user-agent.ts";
import { registrationAdvice, versionFields } from "../../core/cloud/device-registration.ts";
import { machineFacts } from "../../hardware/system.ts";
import { cloudUrl, writeSecretFile } from "./cloud/account.ts";
import { parseFlags } from "../node/flags.ts";
import type { Environment, Print } from "./command.ts";
import { ownConfig, readSettings, SettingsError } from "../node/settings.ts";
import { SqliteStore } from "../node/store/sqlite-store.ts";
import { redact } from "../../core/model/secrets.ts";
import { jsonFault } from "../../core/model/show.ts";

const help = `Usage: fairlead join <url> --key <provisioning key> [options]

Makes this device a member of the key's fleet, and writes the cloud's address and the device's key to config.json: to the
file given by --config, else to the file in the state folder. Restart the agent afterwards.

  --key          the provisioning key (or FAIRLEAD_PROVISIONING_KEY); to create one: fairlead cloud fleet key <fleet>
  --fleet        the fleet's id, if the cloud is not a Fairlead cloud
  --device-type  such as raspberrypi4-64 (default: from config.json, else detected)
  --dev          a development device: the cloud may switch it to local mode, in which its API needs no key
                 (developmentMode in config.json; without --dev, this field is not changed)
  --force        join again, even if the device is already a member of a fleet

The options --config, --state-dir and --host-root are those of fairlead agent.
`;

/** The fields of config.json that this command reads. Other fields are kept. */
const ConfigJson = z.looseObject({
  uuid: z.string().optional(),
  deviceType: z.string().optional(),
  apiEndpoint: z.string().optional(),
  deviceApiKey: z.string().optional(),
  developmentMode: z.boolean().optional(),
});

/** `fairlead join …`. Throws `SettingsError` for faults that the user can correct. */
export async function joinCommand(args: readonly string[], environment: Environment, print: Print): Promise<void> {
  const { values, positionals } = parseFlags(args, options, true);
  if (values.help) return print(help);
  const [given, ...more] = positionals;
  if (given === undefined || more.length > 0) throw new SettingsError(`Expected the cloud's URL.\n\n${help}`);
  const url = cloudUrl(given);
  const key = values.key ?? environment["FAIRLEAD_PROVISIONING_KEY"];
  if (!key) throw new SettingsError("Expected --key, a provisioning key: fairlead cloud fleet key <fleet> makes one");

  const passed = ["state-dir", "host-root"] as const;
  const flags = passed.flatMap((flag) => (values[flag] === undefined ? [] : [`--${flag}`, values[flag]]));
  const { stateDir, hostRoot } = readSettings(flags, { ...environment, FAIRLEAD_CONFIG: "" });
  const file = values.config ?? (environment["FAIRLEAD_CONFIG"] || ownConfig(stateDir));
  const config = readConfig(file);
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
  print(`Joined ${url} as device ${registered.id}, ${uuid}. Written to ${file}; now (re)start the agent:
  fairlead agent${values.config === undefined ? "" : ` --config ${file}`}
`);
}

const options = {
  key: { type: "string" },
  fleet: { type: "string" },
  "device-type": { type: "string" },
  dev: { type: "boolean" },
  force: { type: "boolean" },
  // The name of --force until version 0.1; old logs and documents still mention it.
  anew: { type: "boolean" },
  config: { type: "string" },
  "state-dir": { type: "string" },
  "host-root": { type: "string" },
  help: { type: "boolean" },
} as const;

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
    const file = join(stateDir, name);
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
