import { request as ask, Agent, createServer } from "node:http";
import { connect, createServer as createLink, type Socket } from "node:net";
import * as z from "zod";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { Listener } from "../../runtimes/node/listener.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { measure } from "./load.ts";

/** One process of the benchmark, so that none of them has to share its thread. Its role comes as a message. */

const Role = z.discriminatedUnion("is", [
  z.object({
    is: z.literal("agent"),
    cloud: z.string(),
    devices: z.array(z.object({ uuid: z.string(), key: z.string() })),
    /** Its connections to the cloud are cut after times up to this. */
    cutMs: z.number().optional(),
  }),
  z.object({ is: z.literal("proxy"), target: z.string() }),
  z.object({ is: z.literal("echo"), cloud: z.string() }),
  z.object({
    is: z.literal("load"),
    url: z.string(),
    method: z.enum(["GET", "POST"]),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
    connections: z.int(),
    warmMs: z.number(),
    ms: z.number(),
  }),
]);
export type Role = z.input<typeof Role>;

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const encoder = new TextEncoder();

/** The agent's own answers, how often its LED has blinked, and two bodies that are large. */
function withBodies(fetch: Fetch, blinks: () => number): Fetch {
  return (request, caller) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/bench/blinks") return Promise.resolve(Response.json(blinks()));
    let left = Number(searchParams.get("n") ?? 0);
    const lines = pathname === "/bench/lines";
    if (!lines && pathname !== "/bench/bytes") return fetch(request, caller);
    const line = encoder.encode(`${JSON.stringify({ message: "a line of a log, as a service writes it" })}\n`);
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left <= 0) return controller.close();
        const next = lines ? line : new Uint8Array(65_536);
        left -= lines ? 1 : next.length;
        controller.enqueue(next);
      },
    });
    const type = lines ? "application/x-ndjson" : "application/octet-stream";
    return Promise.resolve(new Response(body, { headers: { "content-type": type } }));
  };
}

/** The way to a cloud, on which all connections are cut again and again. Resolves with its address. */
function linkWithCuts(cloud: string, cutMs: number): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createLink((near) => {
    const far = connect(Number(new URL(cloud).port), "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const one of [near, far]) {
      sockets.add(one);
      one.once("close", () => sockets.delete(one)).once("error", () => (near.destroy(), far.destroy()));
    }
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    setTimeout(cut, Math.random() * cutMs);
  };
  cut();
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`);
    }),
  );
}

/** The devices of this process share one agent; each has a tunnel of its own. Resolves with the address of its API. */
async function agent({ cloud, devices, cutMs }: Extract<Role, { is: "agent" }>): Promise<string> {
  const device = await createMemoryDevice();
  const fetch = withBodies(device.fetch, () => device.led.blinks);
  const url = cutMs === undefined ? cloud : await linkWithCuts(cloud, cutMs);
  const listener = new Listener(fetch, 0);
  await listener.listen("127.0.0.1");
  const waiting = [...devices];
  const lane = async () => {
    for (let one = waiting.pop(); one; one = waiting.pop()) {
      const tunnel = startTunnel({ url, ...one, fetch, clock: systemClock, log: silent });
      while (tunnel.state().is !== "connected") await systemClock.sleep(2);
    }
  };
  await Promise.all(Array.from({ length: 32 }, lane));
  return `http://127.0.0.1:${listener.port}`;
}

/** The plainest reverse proxy that node:http makes. */
function proxy(target: string): Promise<string> {
  const connections = new Agent({ keepAlive: true, maxSockets: 128 });
  const { hostname, port } = new URL(target);
  const server = createServer((request, response) => {
    const { url, method, headers } = request;
    const onward = ask({ host: hostname, port, path: url, method, headers, agent: connections }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  });
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`);
    }),
  );
}

/** The device of the least Worker: sends back what it is sent. */
function echo(cloud: string): Promise<string> {
  const socket = new WebSocket(`${cloud.replace("http", "ws")}/?uuid=echo`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer>) => socket.send(data));
  return new Promise((resolve) => socket.addEventListener("open", () => resolve("echo")));
}

/** What a role does until it is ready, or done. */
function begin(role: z.output<typeof Role>): Promise<unknown> {
  switch (role.is) {
    case "agent":
      return agent(role);
    case "proxy":
      return proxy(role.target);
    case "echo":
      return echo(role.cloud);
    case "load":
      return measure(role);
  }
}

process.on("message", (message) => {
  begin(Role.parse(message)).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
