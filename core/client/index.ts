import type { endpoints as adminEndpoints } from "../api/admin/index.ts";
import type { endpoints } from "../api/index.ts";
import { systemClock, type Clock } from "../ports/clock.ts";
import { followChanges, type FollowChangesOptions, type FollowedChange } from "./follow-changes.ts";
import { follow, type Followed, type FollowOptions } from "./follow.ts";
import { operationsOf, type Operations } from "./operations.ts";
import { sendTo, withoutSlash, type Outgoing, type Sent, type TransportOptions, type Wire } from "./transport.ts";
import { administration, device } from "./wires.ts";

/**
 * `fairlead/client`: the APIs of the device and of the cloud, typed, for browsers and Node. It has no dependencies; its types
 * are those of the servers.
 */

export { Refusal, type Operation } from "./operations.ts";
export type { RunningOperation } from "../api/once.ts";
export type { Followed, FollowOptions } from "./follow.ts";
export type { FollowChangesOptions, FollowedChange } from "./follow-changes.ts";

interface ClientOptions {
  /** "http://10.0.0.7:48484", or the address of a cloud. Absent: only with `fetch`. */
  readonly baseUrl?: string;
  /** Sends a request. Absent: the global one. That of a device in memory, or a Worker's binding, need no network. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** A key of the device, or a token of the cloud. */
  readonly key?: string;
  /**
   * How often a request is repeated after a failure of the network; 2 by default. One that changes something is repeated only if
   * the server does it once for each `Idempotency-Key`.
   */
  readonly retries?: number;
  /** Sees each answer before its reader does. Throws for one that the reader should not get. */
  readonly check?: TransportOptions["check"];
  /** Absent: that of the system. Tests have their own. */
  readonly clock?: Pick<Clock, "sleep" | "random">;
}

/** The API of one device. */
export interface DeviceClient extends Operations<typeof endpoints> {
  /** What happens on the device, as it happens, across disconnections. */
  readonly follow: (options?: FollowOptions) => AsyncGenerator<Followed>;
}

/** A cloud. */
export interface CloudClient {
  /** Its administration. */
  readonly admin: Operations<typeof adminEndpoints>;
  /** The API of a device, through the relay: the same as on the device itself. */
  readonly device: (uuid: string) => DeviceClient;
  /** What happens in the cloud, as it happens, across disconnections. */
  readonly follow: (options?: FollowChangesOptions) => AsyncGenerator<FollowedChange>;
}

export const createClient = (options: ClientOptions): DeviceClient => deviceClient(toTransport(options));

export function createCloudClient(options: ClientOptions): CloudClient {
  const cloud = toTransport(options);
  return {
    admin: operationsOf<typeof adminEndpoints>(administration, (wire, sent) => sendTo(cloud, wire, sent)),
    device: (uuid) =>
      deviceClient({
        ...cloud,
        ...{ baseUrl: nowhere, key: undefined, knowsKeys: undefined },
        send: (request) => relay(cloud, uuid, request),
      }),
    follow: (options) => followChanges(cloud, options),
  };
}

function deviceClient(transport: TransportOptions): DeviceClient {
  const send = (wire: Wire, sent: Sent) => sendTo(transport, wire, sent);
  return {
    ...operationsOf<typeof endpoints>(device, send),
    follow: (options) => follow(transport, options),
  };
}

/** The origin of requests that do not reach the network as they are. */
const nowhere = "http://device";

function toTransport({
  baseUrl,
  fetch,
  key,
  retries = 2,
  check,
  clock = systemClock,
}: ClientOptions): TransportOptions {
  if (baseUrl === undefined && !fetch) throw new TypeError("A client needs a baseUrl, or a fetch");
  return {
    baseUrl: baseUrl ?? nowhere,
    send: ({ url, ...init }) => (fetch ? fetch(new Request(url, init)) : globalThis.fetch(url, init)),
    key,
    retries,
    check,
    clock,
  };
}

/** Sends a request for a device to its cloud, which passes it on. */
async function relay(
  { baseUrl, send, key }: TransportOptions,
  uuid: string,
  { url, method, headers, body, signal }: Outgoing,
): Promise<Response> {
  const passed = ["accept", "idempotency-key", "prefer"].flatMap((name) =>
    headers[name] === undefined ? [] : [[name, headers[name]]],
  );
  const data: unknown = body === undefined ? undefined : JSON.parse(body);
  return send({
    url: `${withoutSlash(baseUrl)}/supervisor${url.slice(nowhere.length)}`,
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...Object.fromEntries(passed),
    },
    body: JSON.stringify({ uuid, method, ...(data !== undefined && { data }) }),
    ...(signal && { signal }),
  });
}
