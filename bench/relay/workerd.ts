import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import type * as z from "zod";

const root = join(import.meta.dirname, "../..");

export const ownerSecret = "the-secret-of-the-owner-of-the-bench";

export interface Cloud {
  readonly url: string;
  readonly pid: number;
  /** Asks for JSON of that shape, as the owner unless it is said as whom. Throws for a refusal. */
  readonly ask: <T>(
    shape: z.ZodType<T>,
    method: "GET" | "POST",
    path: string,
    body?: object,
    bearer?: string,
  ) => Promise<T>;
  readonly stop: () => Promise<void>;
}

/** The Worker on workerd itself: `wrangler dev` and the test harness put a proxy before it, and are many times slower. */
export async function startWorkerd(entry = "runtimes/worker/worker.ts"): Promise<Cloud> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  mkdirSync(join(folder, "state"));
  await build({
    entryPoints: [join(root, entry)],
    outfile: join(folder, "worker.js"),
    bundle: true,
    format: "esm",
    target: "es2024",
    minify: true,
    external: ["cloudflare:workers"],
    // As wrangler imports it.
    loader: { ".html": "text" },
  });
  const port = await freePort();
  const config = join(folder, "workerd.capnp");
  writeFileSync(config, capnp(port, folder));
  const program = spawn(join(root, "node_modules/@cloudflare/workerd-linux-64/bin/workerd"), ["serve", config], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const url = `http://127.0.0.1:${port}`;
  await answers(url, program);
  return {
    url,
    pid: program.pid ?? 0,
    ask: async (shape, method, path, body, bearer = ownerSecret) => {
      const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
      const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
      return shape.parse(await response.json());
    },
    stop: async () => {
      const ended = new Promise((resolve) => program.once("exit", resolve));
      program.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const capnp = (port: number, folder: string): string => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .relay),
    (name = "disk", disk = (path = "${join(folder, "state")}", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const relay :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-23",
  compatibilityFlags = ["enable_request_signal", "no_web_socket_compression"],
  bindings = [
    (name = "DEVICES", durableObjectNamespace = "DeviceSession"),
    (name = "DIRECTORY", durableObjectNamespace = "Directory"),
    (name = "LOGS", durableObjectNamespace = "DeviceLogs"),
    (name = "ADMIN_SECRET", text = "${ownerSecret}"),
  ],
  durableObjectNamespaces = [
    (className = "DeviceSession", uniqueKey = "device-session", enableSql = true),
    (className = "Directory", uniqueKey = "directory", enableSql = true),
    (className = "DeviceLogs", uniqueKey = "device-logs", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
);
`;

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

async function answers(url: string, program: ChildProcess): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end && program.exitCode === null;) {
    if (await fetch(`${url}/ping`).catch(() => undefined)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  program.kill("SIGKILL");
  throw new Error("workerd does not answer");
}
