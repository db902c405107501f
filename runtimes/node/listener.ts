import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Fetch } from "../../core/http/fetch.ts";

/** Answers one request of a node:http server. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * A request listener for any node:http server: streams both ways, with back-pressure; ends what the client leaves. It
 * reads the body itself, so it comes before whatever parses bodies.
 */
export const toNodeListener = (fetch: Fetch): NodeListener =>
  // Replacing the global Request and Response is faster, but they belong to whoever owns the process.
  getRequestListener((request) => fetch(request), { ...nameless, overrideGlobalObjects: false });

/** HTTP/1.0 need not say whom it asks. */
const nameless = { hostname: "localhost" };

/** The same for a process of our own. */
export const toOwnListener = (fetch: Fetch): NodeListener => getRequestListener((request) => fetch(request), nameless);

/** The API on any number of addresses. */
export class Listener {
  readonly #servers = new Map<string, Server>();
  readonly #answer: NodeListener;
  #port: number;

  constructor(fetch: Fetch, port: number, toListener = toOwnListener) {
    this.#answer = toListener(fetch);
    this.#port = port;
  }

  /** With port 0: the one that the system gave. */
  get port(): number {
    return this.#port;
  }

  /** Throws when the address is taken, or none of this machine. */
  async listen(host: string): Promise<void> {
    if (this.isOpen(host)) return;
    const server = createServer((request, response) => void this.#answer(request, response));
    // A stream of logs is silent for as long as the services are.
    server.requestTimeout = 0;
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
