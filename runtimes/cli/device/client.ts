import { existsSync } from "node:fs";
import { join } from "node:path";
import { endpoints } from "../../../core/api/index.ts";
import { createClient, createCloudClient, type DeviceClient } from "../../../core/client/index.ts";
import { readSettings, withServiceEnvironment } from "../../node/settings.ts";
import { SettingsError, UsageError } from "../../node/settings-error.ts";
import { bodyOf, checkAgainst, type AnyReply } from "../answer.ts";
import { readAccount } from "../cloud/account.ts";
import { cloudOf, reach, uuidOf } from "../cloud/client.ts";
import type { Io } from "../io.ts";

/** A device's API, as the commands call it: on this device, or through the cloud with `--device`. */

export const deviceOption = {
  type: "string",
  short: "d",
  value: "<device>",
  hint: "a device of the cloud, by its name or uuid, instead of this one",
} as const;
export const appOption = { type: "string", value: "<app>", hint: "the application, by its name or id" } as const;
export const forceOption = { type: "boolean", hint: "also while an update lock is held" } as const;

export type Device = DeviceClient;

interface Choice {
  readonly device?: string | undefined;
}

export const deviceOf = ({ device }: Choice, io: Pick<Io, "environment">): Promise<Device> =>
  device === undefined ? thisDevice(io) : remoteDevice(device, io);

/** The body of an answer with this status. Throws `SettingsError` with the device's message for any other status. */
export function expectStatus<R extends AnyReply, S extends R["status"]>(answer: R, status: S) {
  if (answer.status === 401)
    throw new SettingsError(
      "The device needs its key. On the device: run the command as root (sudo). In a service: set BALENA_SUPERVISOR_API_KEY",
    );
  return bodyOf(answer, status, "The device");
}

/** Where this device's API is, and the key for it. */
export async function addressOf({ environment }: Pick<Io, "environment">) {
  const variables = withServiceEnvironment(environment);
  const given = environment["BALENA_SUPERVISOR_ADDRESS"];
  const base = given || `http://127.0.0.1:${variables["FAIRLEAD_PORT"] || "48484"}`;
  // This machine's key is not sent to another address.
  const key = environment["BALENA_SUPERVISOR_API_KEY"] || (given ? undefined : await storedKey(variables));
  return { base, key };
}

async function thisDevice(io: Pick<Io, "environment">): Promise<Device> {
  const { base, key } = await addressOf(io);
  const send = async (request: Request): Promise<Response> => {
    try {
      return await fetch(request);
    } catch (error) {
      if (request.signal.aborted) throw error;
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new SettingsError(
        `No agent answers on ${base} (${cause}). Does it run? systemctl status fairlead. On another port: FAIRLEAD_PORT. Of another device: --device`,
      );
    }
  };
  return createClient({ baseUrl: base, fetch: send, ...(key !== undefined && { key }), ...asCommands });
}

/** The key of the agent on this machine. Undefined if there is none, or if only root may read it. */
async function storedKey(variables: Io["environment"]): Promise<string | undefined> {
  const { stateDir } = readSettings([], { ...variables, FAIRLEAD_CONFIG: "" });
  const file = ["agent.sqlite", "embedded.sqlite"].map((name) => join(stateDir, name)).find((one) => existsSync(one));
  try {
    if (file === undefined) return undefined;
    const { readGlobalKey } = await import("./stored-key.ts");
    return await readGlobalKey(file);
  } catch {
    return undefined;
  }
}

async function remoteDevice(wanted: string, io: Pick<Io, "environment">): Promise<Device> {
  const { url, token } = readAccount(io.environment);
  const uuid = await uuidOf(cloudOf(io), wanted);
  return createCloudClient({
    ...{ baseUrl: url, key: token, fetch: (request) => reach(url, request) },
    ...asCommands,
  }).device(uuid);
}

/** A person who waits repeats a command himself. */
const asCommands = { retries: 0, check: checkAgainst(endpoints) } as const;

/** A device's applications and their services. */
export interface Application {
  readonly name: string;
  readonly appId: number;
  readonly services: readonly string[];
}

export async function applicationsOf(device: Device): Promise<readonly Application[]> {
  const state = expectStatus(await device.applicationsState.reply(), 200);
  return Object.entries(state).map(([name, { appId, services }]) => ({ name, appId, services: Object.keys(services) }));
}

/** The application of `--app`, else the only one that has the service. Throws `UsageError` for none, or several. */
export async function findApplication(
  device: Device,
  { app, service }: { readonly app?: string | undefined; readonly service?: string | undefined },
): Promise<Application> {
  const all = await applicationsOf(device);
  const named = all.filter(({ name, appId }) => app === undefined || name === app || String(appId) === app);
  const found = named.filter(({ services }) => service === undefined || services.includes(service));
  const [only] = found;
  if (only && found.length === 1) return only;
  const nameList = (list: readonly Application[]) => list.map(({ name }) => name).join(", ");
  if (found.length > 1)
    throw new UsageError(`Which application? --app ${found.map(({ name }) => name).join(", --app ")}`);
  if (all.length === 0) throw new SettingsError("The device has no application");
  if (named.length === 0)
    throw new UsageError(`There is no application ${JSON.stringify(app)}, only: ${nameList(all)}`);
  const services = named.flatMap((one) => one.services).join(", ");
  throw new UsageError(`There is no service ${JSON.stringify(service)}, only: ${services || "none"}`);
}
