import { spawn } from "node:child_process";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const root = join(import.meta.dirname, "../..");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<Ended>;
}

/**
 * The real program in a separate process. It starts Node itself with tsx as a loader: tsx's own command
 * would be a parent process that does not pass on SIGKILL.
 */
export function startProgram(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  input = "",
): Program {
  const child = spawn(process.execPath, ["--import", "tsx", "runtimes/cli/cli.ts", ...args], {
    cwd: root,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(input);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { stdout: () => stdout, stderr: () => stderr, kill: (signal) => void child.kill(signal), ended };
}

export interface RunningAgent extends Program {
  readonly url: string;
  readonly get: (path: string) => Promise<Response>;
  readonly post: (path: string, body: object) => Promise<Response>;
}

/** An agent on the engine in memory, after it has logged that it listens. */
export async function startAgent(
  folder: string,
  { args = [], environment = {} }: { args?: readonly string[]; environment?: Readonly<Record<string, string>> } = {},
): Promise<RunningAgent> {
  const program = startProgram(
    [
      "agent",
      ...["--engine", "embedded", "--port", "0"],
      ...["--state-dir", join(folder, "state"), "--host-root", folder],
      ...args,
    ],
    environment,
  );
  const url = await Promise.race([
    said(program, /curl (http:\/\/[^/\s]+)\S*\n/),
    program.ended.then(({ code, stderr }) => Promise.reject(new Error(`It ended with ${code}: ${stderr}`))),
  ]);
  return {
    ...program,
    url,
    get: (path) => fetch(url + path),
    post: (path, body) =>
      fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
  };
}

async function said(program: Program, pattern: RegExp): Promise<string> {
  for (;;) {
    const found = pattern.exec(program.stdout())?.[1];
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
