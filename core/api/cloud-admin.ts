import * as z from "zod";
import { empty, endpoint, json, none, reply, sentences, type Invalid } from "./endpoint.ts";

/** The cloud's administration: fleets, their provisioning keys, devices, and the tokens of people. */

export const Refused = json(z.object({ error: z.string() }));
export const refused = (error: string) => ({ error });

const Id = z.coerce.number({ error: "expected a whole number" }).int().positive();
const Name = z.string().trim().min(1).max(100);
/** As the public clients write them: `raspberrypi4-64`. */
const DeviceType = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,99}$/, { error: "expected a slug, such as generic-amd64" });
const Uuid = z.string();
const When = z.string().describe("ISO 8601");

const invalid = ({ faults }: Invalid) => reply(400, refused(sentences(faults)));

export const Fleet = z.object({
  id: z.int(),
  uuid: z.string(),
  name: z.string(),
  deviceType: z.string(),
  devices: z.int().describe("How many there are"),
  createdAt: When,
});
export type Fleet = z.output<typeof Fleet>;

export const Device = z.object({
  id: z.int(),
  uuid: z.string(),
  name: z.string(),
  fleetId: z.int(),
  deviceType: z.string(),
  connected: z.boolean().describe("Its tunnel is up"),
  connectedSince: When.nullable(),
  supervisorVersion: z.string().nullable(),
  osVersion: z.string().nullable(),
  createdAt: When,
});
export type Device = z.output<typeof Device>;

export const Token = z.object({
  id: z.string(),
  name: z.string(),
  fleets: z.union([z.array(z.int()), z.literal("all")]),
  write: z.boolean(),
  issuedAt: When,
  expiresAt: When.nullable(),
  revokedAt: When.nullable(),
});
export type Token = z.output<typeof Token>;

export const ProvisioningKey = z.object({
  id: z.int(),
  fleetId: z.int(),
  name: z.string(),
  createdAt: When,
  expiresAt: When.nullable(),
});
export type ProvisioningKey = z.output<typeof ProvisioningKey>;

const LifetimeDays = z.number().positive().max(36_500).optional().describe("Absent: it does not expire");

export const whoami = endpoint({
  method: "GET",
  path: "/admin/v1/whoami",
  summary: "What the caller's token may do",
  params: none,
  body: none,
  replies: {
    200: json(
      z.object({ tokenId: z.string(), fleets: z.union([z.array(z.int()), z.literal("all")]), write: z.boolean() }),
    ),
    401: Refused,
  },
});

export const fleets = endpoint({
  method: "GET",
  path: "/admin/v1/fleets",
  summary: "The fleets that the caller may see",
  params: none,
  body: none,
  replies: { 200: json(z.array(Fleet)), 401: Refused },
});

export const createFleet = endpoint({
  method: "POST",
  path: "/admin/v1/fleets",
  summary: "A new fleet; for callers who may write in all fleets",
  params: none,
  body: z.object({ name: Name, deviceType: DeviceType.default("generic-amd64") }),
  replies: { 201: json(Fleet), 409: Refused, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const renameFleet = endpoint({
  method: "PATCH",
  path: "/admin/v1/fleets/:fleetId",
  summary: "Another name for a fleet",
  params: z.object({ fleetId: Id }),
  body: z.object({ name: Name }),
  replies: { 200: json(Fleet), 409: Refused, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const deleteFleet = endpoint({
  method: "DELETE",
  path: "/admin/v1/fleets/:fleetId",
  summary: "Delete a fleet that has no devices",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 204: empty, 409: Refused, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const provisioningKeys = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/provisioning-keys",
  summary: "The provisioning keys of a fleet, without the keys themselves",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 200: json(z.array(ProvisioningKey)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const createProvisioningKey = endpoint({
  method: "POST",
  path: "/admin/v1/fleets/:fleetId/provisioning-keys",
  summary: "A key with which devices join the fleet; it is told only here",
  params: z.object({ fleetId: Id }),
  body: z.object({ name: Name.default("provisioning key"), lifetimeDays: LifetimeDays }),
  replies: {
    201: json(ProvisioningKey.extend({ key: z.string() })),
    400: Refused,
    401: Refused,
    403: Refused,
    404: Refused,
  },
  invalid,
});

export const deleteProvisioningKey = endpoint({
  method: "DELETE",
  path: "/admin/v1/fleets/:fleetId/provisioning-keys/:keyId",
  summary: "No device joins with this key any more; those that have joined stay",
  params: z.object({ fleetId: Id, keyId: Id }),
  body: none,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const devices = endpoint({
  method: "GET",
  path: "/admin/v1/devices",
  summary: "Devices by id, and whether each is connected; page by `after`, the last id of the page before",
  params: z.object({
    fleetId: Id.optional(),
    after: Id.optional(),
    limit: Id.pipe(z.number().max(500)).default(100),
  }),
  body: none,
  replies: { 200: json(z.array(Device)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const device = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid",
  summary: "One device",
  params: z.object({ uuid: Uuid }),
  body: none,
  replies: { 200: json(Device), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const changeDevice = endpoint({
  method: "PATCH",
  path: "/admin/v1/devices/:uuid",
  summary: "Rename a device, or move it to another fleet",
  params: z.object({ uuid: Uuid }),
  body: z.object({ name: Name.optional(), fleetId: z.int().positive().optional() }),
  replies: { 200: json(Device), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const deleteDevice = endpoint({
  method: "DELETE",
  path: "/admin/v1/devices/:uuid",
  summary: "Forget a device: its key is dead, its tunnel is closed",
  params: z.object({ uuid: Uuid }),
  body: none,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const replaceDeviceKey = endpoint({
  method: "POST",
  path: "/admin/v1/devices/:uuid/key",
  summary: "A new key for a device; the old one is dead from now on, the new one is told only here",
  params: z.object({ uuid: Uuid }),
  body: none,
  replies: { 200: json(z.object({ key: z.string() })), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const tokens = endpoint({
  method: "GET",
  path: "/admin/v1/tokens",
  summary: "All tokens, without the tokens themselves; for the admin secret only",
  params: none,
  body: none,
  replies: { 200: json(z.array(Token)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
});

export const createToken = endpoint({
  method: "POST",
  path: "/admin/v1/tokens",
  summary: "A token, told only here; for the admin secret only",
  params: none,
  body: z.object({
    name: Name,
    fleets: z.union([z.array(z.int().positive()).min(1), z.literal("all")], {
      error: 'expected "all", or a list of fleet ids',
    }),
    write: z.boolean().default(false),
    lifetimeDays: LifetimeDays,
  }),
  replies: { 201: json(Token.extend({ token: z.string() })), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const revokeToken = endpoint({
  method: "DELETE",
  path: "/admin/v1/tokens/:tokenId",
  summary: "Refuse a token from now on, everywhere; for the admin secret only",
  params: z.object({ tokenId: z.string() }),
  body: none,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

/** The whole administration, by the names of its operations. */
export const endpoints = {
  whoami,
  fleets,
  createFleet,
  renameFleet,
  deleteFleet,
  provisioningKeys,
  createProvisioningKey,
  deleteProvisioningKey,
  devices,
  device,
  changeDevice,
  deleteDevice,
  replaceDeviceKey,
  tokens,
  createToken,
  revokeToken,
};
