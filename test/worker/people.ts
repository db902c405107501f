import * as z from "zod";
import { Fleet, ProvisioningKey, Token } from "../../core/api/admin/index.ts";
import type { Cloud } from "./cloud.ts";

const Keyed = ProvisioningKey.extend({ key: z.string() });
const WithToken = Token.extend({ token: z.string() });
export const Registered = z.object({ id: z.int(), uuid: z.string(), api_key: z.string() });
export type Registered = z.output<typeof Registered>;

export interface TestFleet extends Fleet {
  readonly key: string;
}

/** A fleet with a provisioning key. */
export async function newFleet(cloud: Cloud, name: string): Promise<TestFleet> {
  const fleet = await cloud.make(Fleet, "/admin/v1/fleets", { name });
  const { key } = await cloud.make(Keyed, `/admin/v1/fleets/${fleet.id}/provisioning-keys`);
  return { ...fleet, key };
}

export const newToken = (cloud: Cloud, given: object = {}) =>
  cloud.make(WithToken, "/admin/v1/tokens", { name: "a test's", fleets: "all", ...given });

let made = 0;
export const newUuid = (): string => (++made).toString(16).padStart(32, "0");

/** A device of a fleet, registered like an agent registers itself. */
export async function newDevice(cloud: Cloud, fleet: TestFleet, more: object = {}): Promise<Registered> {
  const { status, json, text } = await cloud.ask("POST", "/device/register", registration(fleet, more), fleet.key);
  if (status !== 201) throw new Error(`Registering answered ${status}: ${text}`);
  return Registered.parse(json);
}

export const registration = ({ id }: Pick<Fleet, "id">, more: object = {}): object => ({
  application: id,
  device_type: "generic-amd64",
  uuid: newUuid(),
  ...more,
});
