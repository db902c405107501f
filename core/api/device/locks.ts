import * as z from "zod";
import { leaseLimit, longestLeaseS } from "../../model/lease.ts";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { AppIdV2, outsideScope } from "../fields.ts";
import { refusal } from "../refusal.ts";

const Ttl = z.int().min(1).max(longestLeaseS).describe("Seconds until the lease ends, at most a day");
const ExpiresAt = z.iso.datetime().describe("By the clock of the device");

const Lock = z.object({
  id: z.string().optional().describe("Of a lease"),
  appId: z.number(),
  service: z.string().optional().describe("Absent: all services of the application"),
  owner: z
    .string()
    .describe('The service, "device key", "cloud", "caller without a key" (in local mode), or "agent" for its own'),
  reason: z.string().optional(),
  expiresAt: ExpiresAt.optional(),
  held: z.enum(["lease", "file", "agent"]),
});

export const locks = endpoint({
  method: "GET",
  path: "/v3/locks",
  summary: "Who holds update locks: leases, lock files of services, and the agent during an update",
  params: none,
  body: none,
  replies: { 200: json(z.object({ locks: z.array(Lock) })) },
});

export const takeLock = endpoint({
  method: "POST",
  path: "/v3/locks",
  summary: `Take a lease: an update lock that ends by itself; a device has at most ${leaseLimit}`,
  params: none,
  body: z.object({
    appId: AppIdV2,
    service: z.string().optional().describe("Absent: all services of the application"),
    reason: z
      .string()
      .trim()
      .min(1)
      .max(200)
      .regex(/^\P{Cc}*$/u, "expected a single line")
      .describe("What must not be interrupted. It is shown to everybody who may see the lock"),
    ttl: Ttl,
  }),
  replies: {
    201: json(z.object({ id: z.string(), owner: z.string(), expiresAt: ExpiresAt })),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    404: refusal("unknown-application", "unknown-service"),
    409: refusal("limit-reached"),
    423: refusal("locked"),
  },
  scope: {
    apps: ({ body }) => [body.appId],
    refused: outsideScope,
  },
});

const params = z.object({ id: z.string() });

export const renewLock = endpoint({
  method: "PUT",
  repeats: true,
  path: "/v3/locks/:id",
  summary: "Renew a lease: it ends after this time from now",
  params,
  body: z.object({ ttl: Ttl }),
  replies: {
    200: json(z.object({ id: z.string(), owner: z.string(), expiresAt: ExpiresAt })),
    400: refusal("invalid-request"),
    404: refusal("unknown-lease"),
  },
});

export const releaseLock = endpoint({
  method: "DELETE",
  path: "/v3/locks/:id",
  summary: "Release a lease",
  params,
  body: none,
  replies: { 204: empty, 404: refusal("unknown-lease") },
});
