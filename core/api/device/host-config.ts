import * as z from "zod";
import { endpoint, json, none, reply, sentences, text, type Fault } from "../endpoint.ts";
import { Failed, Truthy, deviceOnly, orEmpty } from "../fields.ts";

const ProxyType = z.enum(["socks4", "socks5", "http-connect", "http-relay"]);

const Port = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: "expected a port, 1 to 65535" })
  .refine((port) => Number.isInteger(port) && port >= 1 && port <= 65535, { error: "expected a port, 1 to 65535" });

// A value in a configuration file must not contain a line break.
const Line = z.string().regex(/^[^\p{Cc}]*$/u, { error: "expected a text without line breaks and control characters" });

/** Redsocks requires an address and a port number. `true` means a public resolver. */
const Dns = z.union([
  z.boolean(),
  z.string().regex(/^[\w.-]+:\d{1,5}$/, { error: 'expected true, false or "ADDRESS:PORT"' }),
]);

const Proxy = z.object({
  type: ProxyType.optional(),
  ip: Line.regex(/^[A-Za-z0-9.:-]+$/, { error: "expected an address or a host name" }).optional(),
  port: Port.optional(),
  login: Line.nullish(),
  password: Line.nullish(),
  dns: Dns.nullish(),
  noProxy: z.array(Line.regex(/^[A-Za-z0-9.:/-]+$/, { error: "expected an address or a subnet" })).nullish(),
});

/** The rule of hostnamed (man hostname(7), sd-hostnamed): labels of letters, digits and dashes, at most 64 characters. */
const Hostname = z
  .string()
  .max(64, { error: "expected at most 64 characters" })
  .regex(/^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*)?$/, {
    error: "expected letters, digits, dashes and dots, each part beginning and ending with a letter or digit",
  });

export const hostConfig = endpoint({
  method: "GET",
  path: "/v1/device/host-config",
  summary: "The host's name and its proxy",
  params: none,
  body: none,
  replies: {
    200: json(
      z.object({
        network: z.object({
          hostname: z.string().optional(),
          proxy: z
            .object({
              type: ProxyType.optional().describe("Absent, as ip and port: the host's file cannot be read"),
              ip: z.string().optional(),
              port: z.number().optional(),
              login: z.string().optional(),
              password: z.string().optional().describe("Only for who may see all secrets"),
              hasPassword: z.literal(true).optional().describe("In its place, for everybody else"),
              dns: z.string().optional(),
              noProxy: z.array(z.string()).readonly().optional(),
            })
            .optional(),
        }),
      }),
    ),
    401: Failed,
    501: Failed,
  },
  device: deviceOnly,
});

/** The body of a PATCH. An absent field stays unchanged. Null and empty values clear a field. */
const HostConfigPatch = orEmpty(
  z.object({
    network: z.object({ proxy: Proxy.nullish(), hostname: Hostname.nullish(), force: Truthy }),
    force: Truthy,
  }),
);

export const unfit = (faults: readonly Fault[]) =>
  reply(400, `Could not parse host config input to a valid format:\n${sentences(faults)}`);

export const setHostConfig = endpoint({
  method: "PATCH",
  path: "/v1/device/host-config",
  summary: "Change the host's name or its proxy; null and empty clear",
  params: none,
  body: HostConfigPatch,
  replies: {
    200: text("OK"),
    400: text<string>(),
    401: text("Unauthorized"),
    423: text<string>(),
    501: Failed,
    503: Failed,
  },
  device: { refused: () => reply(401, "Unauthorized") },
  invalid: ({ faults }) => unfit(faults),
});
