import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { failed } from "../../core/api/fields.ts";
import type { Fetch } from "../../core/http/fetch.ts";

/** Answers one request of a node:http server. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * A request listener for any node:http server. Streams in both directions with back-pressure, and cancels the request if
 * the client disconnects. It reads the body itself, so register it before middleware that parses bodies.
 */
export const toNodeListener = (fetch: Fetch): NodeListener =>
  // Replacing the global Request and Response is faster, but the embedding program may depend on them.
  getRequestListener((request) => fetch(request), { ...nameless, overrideGlobalObjects: false });

/** The host name for HTTP/1.0 requests without a Host header. */
const nameless = { hostname: "localhost" };

/** Like `toNodeListener`, for the agent's own process: replaces the global Request and Response. */
export const toOwnListener = (fetch: Fetch): NodeListener => getRequestListener((request) => fetch(request), nameless);

/** Limits for clients of the listener. */
export interface ListenerLimits {
  /** Time limits for receiving a request's head and the whole request. After them: 408. Responses have no limit. */
  readonly headMs: number;
  readonly requestMs: number;
  /** Interval at which the time limits are checked. */
  readonly checkMs: number;
  /** Connections to one address of this machine. Requests on further connections are answered with 503. */
  readonly connections: number;
  /** Number of further connections. Any more are closed without a response. */
  readonly furtherConnections: number;
}

const usualLimits: ListenerLimits = {
  headMs: 15_000,
  // balena-cli waits 59 s for an answer.
  requestMs: 60_000,
  checkMs: 5_000,
  connections: 128,
  furtherConnections: 64,
};

/** Serves the API on any number of addresses, all with the same port number. */
export class Listener {
  readonly #servers = new Map<string, Server>();
  readonly #answer: NodeListener;
  readonly #limits: ListenerLimits;
  readonly #connections: Connections;
  #port: number;

  constructor(fetch: Fetch, port: number, toListener = toOwnListener, limits: Partial<ListenerLimits> = {}) {
    this.#answer = toListener(fetch);
    this.#port = port;
    this.#limits = { ...usualLimits, ...limits };
    this.#connections = new Connections(this.#limits);
  }

  /** With port 0, the port number that the system chose, once it listens. */
  get port(): number {
    return this.#port;
  }

  /** Throws if the address is in use or does not belong to this machine. */
  async listen(host: string): Promise<void> {
    if (this.isOpen(host)) return;
    const { headMs, requestMs, checkMs, connections } = this.#limits;
    const server = createServer(
      {
        headersTimeout: headMs,
        requestTimeout: requestMs,
        connectionsCheckingInterval: checkMs,
        // Detects clients that follow logs and have lost their network. Without it, their connections would stay open.
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
      },
      (request, response) => {
        if (this.#connections.isFurther(request.socket))
          return refuse(response, 503, `expected at most ${connections} connections; try again soon`);
        // RFC 9112, 3.2. Node uses the first Host header, other programs may use the last.
        if (hasSeveralHosts(request)) return refuse(response, 400, "expected one Host header, but got several");
        void this.#answer(request, response);
      },
    );
    server.on("connection", (socket) => this.#connections.add(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port: this.#port }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    const address = server.address();
    if (typeof address === "object" && address) this.#port = address.port;
    this.#servers.set(host, server);
  }

  isOpen(host: string): boolean {
    return ["0.0.0.0", "::", host].some((one) => this.#servers.has(one));
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#servers.values()].map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }
}

/**
 * The open connections, counted for each address of this machine, also if one socket listens on all addresses. So
 * containers, which connect to the gateway's address, cannot use up the connections of the loopback.
 */
class Connections {
  readonly #limits: ListenerLimits;
  readonly #open = new Map<string, number>();
  readonly #further = new Set<Socket>();

  constructor(limits: ListenerLimits) {
    this.#limits = limits;
  }

  add(socket: Socket): void {
    const { connections, furtherConnections } = this.#limits;
    // 127.0.0.0/8 counts as one address. `localAddress` is undefined if the connection is already closed.
    const address = socket.localAddress?.replace(/^(::ffff:)?127\..*/, "127.0.0.1");
    if (address === undefined) return void socket.destroy();
    const open = this.#countOf(address) + 1;
    if (open > connections + furtherConnections) return void socket.destroy();
    this.#open.set(address, open);
    if (open > connections) this.#further.add(socket);
    socket.once("close", () => {
      this.#further.delete(socket);
      const left = this.#countOf(address) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    });
  }

  /** Whether the connection exceeds `connections`, so that its requests are refused. */
  isFurther(socket: Socket): boolean {
    return this.#further.size > 0 && this.#further.has(socket);
  }

  #countOf(address: string): number {
    return this.#open.get(address) ?? 0;
  }
}

function hasSeveralHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const name = rawHeaders[n];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const body = JSON.stringify(failed(message));
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    connection: "close",
  };
  response.writeHead(status, headers).end(body);
}
