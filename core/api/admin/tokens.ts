import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { LifetimeDays, Name, refusals, When } from "./fields.ts";

const Permissions = {
  write: z.boolean().describe("May change things, not only read"),
  secrets: z.boolean().describe("May read the values of variables, and passwords"),
  manage: z.boolean().describe("May create and revoke keys and tokens"),
  shell: z.boolean().describe("May run programs in the containers of devices"),
};

export const Token = z.object({
  id: z.string(),
  name: z.string(),
  fleets: z.union([z.array(z.int()), z.literal("all")]),
  ...Permissions,
  madeBy: z.string().nullable().describe("The id of the token that made it; it ends when that token is revoked"),
  issuedAt: When,
  expiresAt: When.nullable(),
  revokedAt: When.nullable(),
});
export type Token = z.output<typeof Token>;

export const whoami = endpoint({
  method: "GET",
  path: "/admin/v1/whoami",
  summary: "Show what the token may do",
  params: none,
  body: none,
  replies: {
    200: json(z.object({ tokenId: z.string(), fleets: z.union([z.array(z.int()), z.literal("all")]), ...Permissions })),
    401: refusals[401],
  },
});

export const longestSessionSeconds = 12 * 60 * 60;

export const createSession = endpoint({
  method: "POST",
  path: "/admin/v1/session",
  summary:
    "Sign a token for a browser, with the id and the permissions of the token that asks: it ends with that one when it is revoked. It cannot be prolonged: a session of a session ends with the first one's 12 hours. Every token may",
  writes: false,
  secretAnswer: true,
  params: none,
  body: z.object({
    lifetimeSeconds: z
      .number()
      .int()
      .min(1)
      .max(longestSessionSeconds)
      .default(longestSessionSeconds)
      .describe("Shorter if the token ends sooner"),
  }),
  replies: { 201: json(z.object({ token: z.string(), expiresAt: When })), ...refusals },
});

export const tokens = endpoint({
  method: "GET",
  path: "/admin/v1/tokens",
  summary:
    "List tokens, without the tokens themselves: all for the admin secret, else the token used and those made by it",
  manages: true,
  params: none,
  body: none,
  replies: { 200: json(z.array(Token)), 401: refusals[401], 403: refusals[403] },
});

export const createToken = endpoint({
  method: "POST",
  path: "/admin/v1/tokens",
  summary:
    "Create a token; no other answer contains it. It has no more permissions, and no longer lifetime, than the token that makes it",
  manages: true,
  secretAnswer: true,
  params: none,
  body: z.object({
    name: Name,
    fleets: z.union([z.array(z.int().positive()).min(1).max(200), z.literal("all")], {
      error: 'expected "all", or a list of fleet ids, 200 at most',
    }),
    write: z.boolean().default(false),
    secrets: z.boolean().default(false),
    manage: z.boolean().default(false),
    shell: z.boolean().default(false),
    lifetimeDays: LifetimeDays.describe("Absent: the lifetime of the token that makes it"),
  }),
  replies: {
    201: json(Token.extend({ token: z.string() })),
    ...refusals,
    404: refusal("unknown-fleet"),
    409: refusal("limit-reached"),
  },
});

/** What was revoked with a token. */
const Ended = z.object({
  tokens: z.int().describe("Tokens that it, or one of these, had made"),
  provisioningKeys: z.int().describe("Provisioning keys that they had made"),
  deviceKeys: z.int().describe("Keys that they had given to devices, which must join again"),
  apiKeys: z.int().describe("Devices whose API key they have read; each replaces it, at the latest when it connects"),
  joined: z.int().describe("Devices that joined with these provisioning keys, and stay"),
});
export type Ended = z.output<typeof Ended>;

export const revokeToken = endpoint({
  method: "DELETE",
  path: "/admin/v1/tokens/:tokenId",
  summary: "Revoke a token, and everything that it has made",
  manages: true,
  params: z.object({ tokenId: z.string() }),
  body: none,
  replies: { 200: json(Ended), ...refusals, 404: refusal("unknown-token") },
});
