import * as z from "zod";
import { endpoint, json, mixed, none, reply } from "../endpoint.ts";
import { Refused } from "./refused.ts";

const Version = z.string().transform((version) => version.slice(0, 900));

/** Every field may be missing: a missing one is refused with a sentence, a wrong type without a body. */
export const Registration = z.object({
  user: z.unknown().optional(),
  application: z.union([z.number(), z.string()]).optional().describe("The id of the provisioning key's fleet"),
  device_type: z.string().optional(),
  uuid: z.string().optional().describe("32 or 62 lower case hex digits"),
  api_key: z.string().optional().describe("The device key that the device proposes; absent: the cloud makes one"),
  supervisor_version: Version.nullish(),
  os_version: Version.nullish(),
  os_variant: Version.nullish(),
  mac_address: Version.nullish(),
});
/** As a device sends it. */
export type Registration = z.input<typeof Registration>;

export const Registered = z.object({ id: z.int(), uuid: z.string(), api_key: z.string().min(1) });
export type Registered = z.output<typeof Registered>;

/** Recorded as text, its quotes included; `"key" must be unique.` is a JSON string. */
export const uuidTaken = '"uuid" must be unique.';

export const register = endpoint({
  method: "POST",
  path: "/device/register",
  summary: "Exchange a provisioning key for a device key",
  params: none,
  body: Registration,
  replies: {
    201: json(Registered),
    400: Refused,
    401: Refused,
    403: Refused,
    404: Refused,
    409: mixed(Refused, uuidTaken),
    413: Refused,
  },
  invalid: () => reply(400, undefined),
});

/** The answer to `GET /actor/v1/whoami` with a provisioning key: the id of its fleet. */
export const ProvisioningActor = z.object({ actorType: z.literal("application"), actorTypeId: z.int() });
