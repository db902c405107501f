import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program without a shell, with `input` on stdin, for at most `timeoutMs`. Throws if it cannot be started. */
export type Run = (
  command: string,
  args: readonly string[],
  options?: { readonly input?: string; readonly timeoutMs?: number },
) => Promise<Ran>;

/** The PATH of an ordinary user often lacks the sbin folders. */
const searchPath = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"].filter(Boolean);

/** The environment of programs that we start. The locale is fixed, because we parse their output. */
export const environment = { ...process.env, PATH: searchPath.join(delimiter), LC_ALL: "C.UTF-8" };

/** The path of a program. Undefined if it is not installed. */
export const findProgram = (name: string): string | undefined =>
  searchPath.map((folder) => join(folder, name)).find(canRun);

/** The given programs that are not installed. */
export const missingPrograms = (names: readonly string[]): string[] =>
  names.filter((name) => findProgram(name) === undefined);

export const run: Run = (command, args, { input = "", timeoutMs = 30_000 } = {}) =>
  new Promise((resolve, reject) => {
    const options = { env: environment, timeout: timeoutMs } as const;
    const child = spawn(command, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", (cause) => reject(new Error(`${command} cannot be started: ${cause.message}`, { cause })));
    child.on("close", (code, signal) => resolve({ code: code ?? -1, stdout, stderr: stderr || (signal ?? "") }));
    // A program may end before it has read all input. Its exit code says whether it failed.
    child.stdin.on("error", () => undefined).end(input);
  });

/** Like `run`, but returns stdout, and throws with the program's output if it fails. */
export async function mustRun(run: Run, command: string, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, input === undefined ? {} : { input });
  if (code === 0) return stdout;
  throw new Error(`${[command, ...args].join(" ")} ended with ${code}: ${stderr.trim() || stdout.trim()}`);
}

export function canRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
