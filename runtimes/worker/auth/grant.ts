import * as z from "zod";

/** What a verified credential allows: of a signed token, of the admin secret, or of a device's own key. */
export const Grant = z
  .object({
    /** Id of the token; "admin" for the admin secret, "device:<id>" for a device's own key. Revocation is by this id. */
    tokenId: z.string(),
    /** Ids of fleets (applications), or all of them. */
    fleets: z.union([z.array(z.int()).readonly(), z.literal("all")]),
    write: z.boolean(),
    /** Read the values of variables, and passwords. */
    secrets: z.boolean().default(false),
    /** Create and revoke keys and tokens. */
    manage: z.boolean().default(false),
    /** Run programs in the containers of devices. */
    shell: z.boolean().default(false),
    /** Seconds since the epoch when the token was issued. */
    issuedAt: z.number(),
    /** Of a session's token: until when sessions that it makes may last, in seconds since the epoch. */
    sessionUntil: z.number().optional(),
    /** Set for a device's own key: the grant covers only the device with this uuid. */
    device: z.string().optional(),
  })
  .readonly();
export type Grant = z.output<typeof Grant>;

export const coversFleet = ({ fleets }: Grant, fleetId: number): boolean =>
  fleets === "all" || fleets.includes(fleetId);

/** The grant of the admin secret. */
export const ownerGrant: Grant = {
  tokenId: "admin",
  fleets: "all",
  write: true,
  secrets: true,
  manage: true,
  shell: true,
  issuedAt: 0,
};

export const isOwner = ({ tokenId }: Pick<Grant, "tokenId">): boolean => tokenId === ownerGrant.tokenId;

/** What the Worker learns from a request's credential before the directory has looked anything up. */
export const Authentication = z.discriminatedUnion("is", [
  z.object({ is: z.literal("person"), grant: Grant }),
  /** SHA-256 as hex: of a key, and of the service key that is derived from it if it is a device's. */
  z.object({ is: z.literal("key"), digest: z.string(), serviceKeyDigest: z.string().optional() }),
  z.object({ is: z.literal("nobody") }),
]);
export type Authentication = z.output<typeof Authentication>;

/** Carries the `Authentication` from the Worker to a Durable Object. The Worker removes it from requests of clients. */
export const authenticationHeader = "x-fairlead-authentication";

export const authenticationOf = ({ headers }: Request): Authentication =>
  Authentication.parse(JSON.parse(headers.get(authenticationHeader) ?? '{"is":"nobody"}'));

/** A device as its session and its log know it; the directory sends it to them. */
export interface EnrolledDevice {
  readonly uuid: string;
  readonly deviceId: number;
  readonly fleetId: number;
  /** SHA-256 of the device's key, as hex. */
  readonly keyDigest: string;
  /** Ids of revoked tokens. */
  readonly revoked: readonly string[];
  /** A principal whose access has ended knows the key of the device's API: the session replaces it. */
  readonly replaceApiKey?: boolean;
}

export const coversDevice = (grant: Grant, { uuid, fleetId, revoked }: EnrolledDevice): boolean =>
  !revoked.includes(grant.tokenId) &&
  (grant.device === undefined ? coversFleet(grant, fleetId) : grant.device === uuid);
