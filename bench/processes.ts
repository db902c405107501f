import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../test/support/docker.ts";

const root = join(import.meta.dirname, "..");

/** A server in a process of its own, once it has answered `/ping`. */
export interface Served {
  readonly url: string;
  /** Milliseconds from the start of the process to the first 200. */
  readonly startMs: number;
  /** Resident memory, in MB of a million bytes. */
  readonly rss: () => number;
  /** Bytes that it has sent towards the disk since its start; what a folder in memory takes does not count. */
  readonly written: () => number;
  readonly stop: () => Promise<void>;
}

async function serve(
  makeCommand: (port: number) => readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<Served> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const begun = performance.now();
  const [program = "", ...args] = makeCommand(port);
  const child = spawn(program, args, {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  while (!(await answers(`${url}/ping`))) {
    if (child.exitCode !== null) throw new Error(`${program} ${args.join(" ")} ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const startMs = performance.now() - begun;
  return {
    url,
    startMs,
    rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1.024e-3,
    written: () => Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${child.pid}/io`, "utf8"))?.[1]),
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

const answers = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode === 200));
    });
    request.once("error", () => resolve(false));
  });

/** What a server answers, byte for byte but for what node:http adds itself. */
export interface Answer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export async function answerOf(url: string): Promise<Answer> {
  const response = await fetch(url);
  const own = new Set(["date", "connection", "keep-alive", "transfer-encoding"]);
  return {
    headers: Object.fromEntries([...response.headers].filter(([name]) => !own.has(name))),
    body: await response.text(),
  };
}

export const startBare = (answers: Readonly<Record<string, Answer>> = {}): Promise<Served> =>
  serve((port) => [
    process.execPath,
    join(import.meta.dirname, "bare-server.js"),
    String(port),
    JSON.stringify(answers),
  ]);

export type EngineKind = "docker" | "embedded";

export const builtProgram = join(root, "dist/cli.js");

interface BuiltOptions {
  readonly dockerHost?: string;
  /** What its config.json is to say. */
  readonly config?: object;
  readonly program?: string;
}

/** The built program, on an empty state. */
export async function startBuilt(
  engine: EngineKind,
  { dockerHost, config, program = builtProgram }: BuiltOptions = {},
): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  mkdirSync(join(folder, "state"));
  if (config) writeFileSync(join(folder, "state/config.json"), JSON.stringify(config));
  const paths = ["--state-dir", join(folder, "state"), "--host-root", folder];
  const settings = ["--engine", engine, ...paths, "--iptables", "no"];
  const served = await serve(
    (port) => [program, "agent", "--port", String(port), ...settings],
    dockerHost === undefined ? {} : { DOCKER_HOST: dockerHost },
  );
  const stop = async () => {
    await served.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { ...served, stop };
}
