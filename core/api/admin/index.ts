import * as z from "zod";
import { powers } from "../../model/powers.ts";
import { empty, endpoint, json, none, reply, sentences, type Invalid } from "../endpoint.ts";

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
  release: z.string().nullable().describe("The commit that devices should run which are not pinned to another"),
  tracksLatest: z.boolean().describe("The next release is for them; else the fleet is pinned"),
  forbidden: z.array(z.enum(powers)).describe("The powers over their host that its services may not ask for"),
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
  release: z.string().nullable().describe("The commit that it runs, as it reports"),
  target: z.string().nullable().describe("The commit that it should run"),
  pinned: z.boolean().describe("To that commit; else it follows its fleet"),
  updateStatus: z.string().nullable().describe("How far it is with it, as it reports: downloading, done, …"),
  progress: z.int().nullable().describe("Of what it downloads now, in percent"),
  heardAt: When.nullable().describe("When it last asked or reported, to the minute"),
  createdAt: When,
});
export type Device = z.output<typeof Device>;

const Permissions = {
  write: z.boolean().describe("To change things, not only to read"),
  secrets: z.boolean().describe("To be told the values of variables, and passwords"),
  manage: z.boolean().describe("To make and end keys and tokens"),
};

export const Token = z.object({
  id: z.string(),
  name: z.string(),
  fleets: z.union([z.array(z.int()), z.literal("all")]),
  ...Permissions,
  madeBy: z.string().nullable().describe("The id of the token by which it was made, and with which it ends"),
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
  usesLeft: z.int().nullable().describe("How many devices may still join with it; null: there is no limit"),
  madeBy: z.string().nullable().describe("The id of the token by which it was made, and with which it ends"),
});
export type ProvisioningKey = z.output<typeof ProvisioningKey>;

/** It becomes part of the names of containers. */
const Commit = z.string().regex(/^(?!latest$)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, {
  error: "expected a commit: 1 to 64 letters, digits, _, . and -, and not the word latest",
});
const Pin = z.string().min(1).optional().describe('A release\'s commit; or "latest", to follow again');

export const Release = z.object({
  id: z.int(),
  fleetId: z.int(),
  commit: z.string(),
  services: z.array(z.string()),
  target: z.boolean().describe("What devices of the fleet should run that are not pinned to another"),
  devices: z.int().describe("How many run it, as they report"),
  createdAt: When,
});
export type Release = z.output<typeof Release>;

/** Never with its value: who sets a variable knows it, and nobody else needs to. */
export const Variable = z.object({
  name: z.string(),
  kind: z.enum(["env", "config"]),
  service: z.string().nullable().describe("Null: for all services"),
  createdAt: When,
});
export type Variable = z.output<typeof Variable>;

const Service = z.string().optional().describe("For this service alone");
const NewVariables = z.object({
  service: Service,
  variables: z
    .record(z.string(), z.string(), { error: "expected an object of names and values, all of them strings" })
    .describe(
      "Names that begin with RESIN_ or BALENA_ are configuration of the device, others environment of services",
    ),
});

const Powers = z
  .array(z.enum(powers, { error: `expected one of ${powers.join(", ")}` }), { error: "expected a list of powers" })
  .transform((words) => powers.filter((power) => words.includes(power)))
  .describe("Powers over their host that services may not ask for");

const mostDays = 36_500;
const LifetimeDays = z
  .union([z.number().positive().max(mostDays), z.literal("never")], {
    error: `expected a number of days, at most ${mostDays}, or "never"`,
  })
  .optional();

export const whoami = endpoint({
  method: "GET",
  path: "/admin/v1/whoami",
  summary: "What the caller's token may do",
  params: none,
  body: none,
  replies: {
    200: json(z.object({ tokenId: z.string(), fleets: z.union([z.array(z.int()), z.literal("all")]), ...Permissions })),
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
  body: z.object({ name: Name, deviceType: DeviceType.default("generic-amd64"), forbidden: Powers.default([]) }),
  replies: { 201: json(Fleet), 409: Refused, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const changeFleet = endpoint({
  method: "PATCH",
  path: "/admin/v1/fleets/:fleetId",
  summary: "Rename a fleet, pin it to a release, or forbid its services powers over their host",
  params: z.object({ fleetId: Id }),
  body: z.object({ name: Name.optional(), release: Pin, forbidden: Powers.optional() }),
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
  manages: true,
  body: z.object({
    name: Name.default("provisioning key"),
    lifetimeDays: LifetimeDays.describe("Absent: 90, or as long as the token by which it is made, if that is less"),
    uses: z.int().positive().optional().describe("How many devices may join with it; absent: there is no limit"),
  }),
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
  manages: true,
  summary: "No device joins with this key any more; those that have joined stay",
  params: z.object({ fleetId: Id, keyId: Id }),
  body: none,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

const CheckedRelease = z.object({
  warnings: z.array(z.string()),
  powers: z
    .record(z.string(), z.array(z.enum(powers)))
    .describe("What services ask to be able to do to their host, by service"),
});

const Change = z.object({
  part: z.enum(["service", "network", "volume"]),
  name: z.string(),
  change: z.enum(["added", "removed", "changed"]),
  fields: z.array(z.string()).describe("Of what has changed, such as image and environment.TZ; without values"),
});

export const createRelease = endpoint({
  method: "POST",
  path: "/admin/v1/fleets/:fleetId/releases",
  summary: "A release of a compose file; the fleet's devices are told at once, unless they or the fleet are pinned",
  params: z.object({ fleetId: Id }),
  body: z.object({
    commit: Commit.optional().describe("Absent: one is made up"),
    composition: z
      .looseObject({}, { error: "expected an object with services, networks and volumes" })
      .describe("The compose file as JSON; its images must be in a registry"),
    allowUnsupported: z.boolean().optional().describe("Leave out what devices do not support, with a warning"),
    dryRun: z.boolean().optional().describe("Only check it, and say what it would change"),
  }),
  bodyLimitBytes: 1024 * 1024,
  replies: {
    200: json(CheckedRelease.extend({ changes: z.array(Change).describe("From the release that the fleet has now") })),
    201: json(Release.extend(CheckedRelease.shape)),
    409: Refused,
    400: Refused,
    401: Refused,
    403: Refused,
    404: Refused,
  },
  invalid,
});

export const releases = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/releases",
  summary: "The releases of a fleet, the newest first; page by `before`, the last id of the page before",
  params: z.object({ fleetId: Id, before: Id.optional(), limit: Id.pipe(z.number().max(500)).default(100) }),
  body: none,
  replies: { 200: json(z.array(Release)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const fleetVariables = endpoint({
  method: "GET",
  path: "/admin/v1/fleets/:fleetId/variables",
  summary: "The names of a fleet's variables",
  params: z.object({ fleetId: Id }),
  body: none,
  replies: { 200: json(z.array(Variable)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const setFleetVariables = endpoint({
  method: "POST",
  path: "/admin/v1/fleets/:fleetId/variables",
  summary: "Set variables of a fleet; its devices are told at once",
  params: z.object({ fleetId: Id }),
  body: NewVariables,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const deleteFleetVariable = endpoint({
  method: "DELETE",
  path: "/admin/v1/fleets/:fleetId/variables/:name",
  summary: "A variable of the fleet is no more; its devices are told at once",
  params: z.object({ fleetId: Id, name: z.string(), service: Service }),
  body: none,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const deviceVariables = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid/variables",
  summary: "The names of a device's own variables, which win over its fleet's",
  params: z.object({ uuid: Uuid }),
  body: none,
  replies: { 200: json(z.array(Variable)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const setDeviceVariables = endpoint({
  method: "POST",
  path: "/admin/v1/devices/:uuid/variables",
  summary: "Set variables of a device; it is told at once",
  params: z.object({ uuid: Uuid }),
  body: NewVariables,
  replies: { 204: empty, 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const deleteDeviceVariable = endpoint({
  method: "DELETE",
  path: "/admin/v1/devices/:uuid/variables/:name",
  summary: "A variable of the device is no more; it is told at once",
  params: z.object({ uuid: Uuid, name: z.string(), service: Service }),
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
  summary: "Rename a device, move it to another fleet, or pin it to a release",
  params: z.object({ uuid: Uuid }),
  body: z.object({ name: Name.optional(), fleetId: z.int().positive().optional(), release: Pin }),
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
  manages: true,
  summary: "A new key for a device; the old one is dead from now on, the new one is told only here",
  params: z.object({ uuid: Uuid }),
  body: none,
  replies: { 200: json(z.object({ key: z.string() })), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const tokens = endpoint({
  method: "GET",
  path: "/admin/v1/tokens",
  summary:
    "The tokens, without the tokens themselves: all for the admin secret, else the caller's and those made by it",
  manages: true,
  params: none,
  body: none,
  replies: { 200: json(z.array(Token)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
});

export const createToken = endpoint({
  method: "POST",
  path: "/admin/v1/tokens",
  summary: "A token, told only here. It may do no more, and lasts no longer, than that by which it is made",
  manages: true,
  params: none,
  body: z.object({
    name: Name,
    fleets: z.union([z.array(z.int().positive()).min(1).max(200), z.literal("all")], {
      error: 'expected "all", or a list of fleet ids, 200 at most',
    }),
    write: z.boolean().default(false),
    secrets: z.boolean().default(false),
    manage: z.boolean().default(false),
    lifetimeDays: LifetimeDays.describe("Absent: as long as the token by which it is made"),
  }),
  replies: { 201: json(Token.extend({ token: z.string() })), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

/** What has ended with a token. */
const Ended = z.object({
  tokens: z.int().describe("Tokens that it, or one of these, had made"),
  provisioningKeys: z.int().describe("Provisioning keys that they had made"),
  deviceKeys: z.int().describe("Keys that they had given to devices, which must join again"),
  apiKeys: z
    .int()
    .describe("Devices whose API key they were told, and that replace it, at the latest when they connect"),
  joined: z.int().describe("Devices that had joined with these provisioning keys, and stay"),
});
export type Ended = z.output<typeof Ended>;

export const revokeToken = endpoint({
  method: "DELETE",
  path: "/admin/v1/tokens/:tokenId",
  summary: "Refuse a token from now on, everywhere, and with it what it has made",
  manages: true,
  params: z.object({ tokenId: z.string() }),
  body: none,
  replies: { 200: json(Ended), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

export const AuditEntry = z.object({
  id: z.int(),
  at: When,
  who: z
    .string()
    .describe(
      "The id of a token, or admin; device:<id>, service:<id> of a device, key:<id> that is for provisioning; nobody",
    ),
  name: z.string().nullable().describe("Of the token"),
  address: z.string().nullable().describe("From which it was asked"),
  operation: z.string().describe("The operationId, here or in the device's API; unknown for a path that none has"),
  method: z.string().nullable(),
  path: z.string().nullable().describe("As described: without what stood in it"),
  fleetId: z.int().nullable(),
  uuid: z.string().nullable().describe("Of the device"),
  about: z.string().nullable().describe("Names and ids, such as those of what was made"),
  status: z.int().describe("Of the answer; 499 if who asked did not wait for it"),
  count: z.int().describe("More than 1 for refused keys and tokens of one address in one minute"),
});
export type AuditEntry = z.output<typeof AuditEntry>;

export const audit = endpoint({
  method: "GET",
  path: "/admin/v1/audit",
  summary:
    "Who has changed what, the newest first; page by `before`, the last id of the page before, or follow by `after`",
  manages: true,
  params: z.object({
    fleetId: Id.optional(),
    before: Id.optional(),
    after: z.coerce.number().int().nonnegative().optional().describe("Entries after that id, the oldest first"),
    limit: Id.pipe(z.number().max(500)).default(100),
  }),
  body: none,
  replies: { 200: json(z.array(AuditEntry)), 400: Refused, 401: Refused, 403: Refused, 404: Refused },
  invalid,
});

/** The whole administration, by the names of its operations. */
export const endpoints = {
  whoami,
  fleets,
  createFleet,
  changeFleet,
  deleteFleet,
  provisioningKeys,
  createProvisioningKey,
  deleteProvisioningKey,
  createRelease,
  releases,
  fleetVariables,
  setFleetVariables,
  deleteFleetVariable,
  deviceVariables,
  setDeviceVariables,
  deleteDeviceVariable,
  devices,
  device,
  changeDevice,
  deleteDevice,
  replaceDeviceKey,
  tokens,
  createToken,
  revokeToken,
  audit,
};
