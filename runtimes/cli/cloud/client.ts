import * as api from "../../../core/api/admin/index.ts";
import { createCloudClient, type CloudClient } from "../../../core/client/index.ts";
import { SettingsError } from "../../node/settings-error.ts";
import { bodyOf, checkAgainst, type AnyReply } from "../answer.ts";
import type { Io } from "../io.ts";
import { readAccount, type Account } from "./account.ts";

/** The cloud's administration, as the commands of `fairlead cloud` call it. */

export type Cloud = CloudClient["admin"];

export const clientOf = ({ url, token }: Account): Cloud =>
  createCloudClient({
    ...{ baseUrl: url, key: token, fetch: (request) => reach(url, request) },
    check: checkAgainst(api.endpoints),
  }).admin;

/** Calls the cloud of the environment, or that of `fairlead cloud init`. */
export const cloudOf = ({ environment }: Pick<Io, "environment">): Cloud => clientOf(readAccount(environment));

/** Throws `SettingsError` if the cloud cannot be reached: the user can correct the URL or the network. */
export async function reach(url: string, request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new SettingsError(`${url} cannot be reached: ${cause}`);
  }
}

export const expectStatus = <R extends AnyReply, S extends R["status"]>(answer: R, status: S) =>
  bodyOf(answer, status, "The cloud");

export async function findFleet(cloud: Cloud, nameOrId: string): Promise<api.Fleet> {
  const all = expectStatus(await cloud.fleets.reply(), 200);
  const found = all.find(({ id, name }) => name.toLowerCase() === nameOrId.toLowerCase() || String(id) === nameOrId);
  if (found) return found;
  const names = all.map(({ name }) => name).join(", ");
  throw new SettingsError(`There is no fleet ${JSON.stringify(nameOrId)}, only: ${names || "none yet"}`);
}

/** The devices of a fleet, or of all fleets. */
export async function allDevices(cloud: Cloud, fleetName?: string): Promise<readonly api.Device[]> {
  const params = { limit: 500, ...(fleetName !== undefined && { fleetId: (await findFleet(cloud, fleetName)).id }) };
  const all: api.Device[] = [];
  for (let after = 0, page: readonly api.Device[] = []; ; after = page.at(-1)?.id ?? 0) {
    page = expectStatus(await cloud.devices.reply({ params: { ...params, ...(after > 0 && { after }) } }), 200);
    all.push(...page);
    if (page.length < params.limit) return all;
  }
}

/** A whole uuid is not looked up: the cloud's answer to the request names it. */
export const uuidOf = async (cloud: Cloud, wanted: string): Promise<string> =>
  isUuid(wanted) ? wanted : (await findDevice(cloud, wanted)).uuid;

const isUuid = (text: string): boolean => /^([0-9a-f]{32}|[0-9a-f]{62})$/.test(text);

/** `wanted`: a name, a uuid, or the beginning of one, of at least 3 characters. A whole name takes precedence. */
export async function findDevice(cloud: Cloud, wanted: string): Promise<api.Device> {
  if (isUuid(wanted)) return expectStatus(await cloud.device.reply({ params: { uuid: wanted } }), 200);
  const all = await allDevices(cloud);
  const named = all.filter(({ name }) => name === wanted);
  const begun = all.filter(
    ({ name, uuid }) => wanted.length >= 3 && [name, uuid].some((one) => one.startsWith(wanted)),
  );
  const found = named.length > 0 ? named : begun;
  const [device] = found;
  if (device && found.length === 1) return device;
  throw new SettingsError(
    device
      ? `${JSON.stringify(wanted)} may be any of: ${found.map(({ name, uuid }) => `${name} (${uuid})`).join(", ")}`
      : `There is no device ${JSON.stringify(wanted)}; fairlead cloud devices lists those that there are`,
  );
}
