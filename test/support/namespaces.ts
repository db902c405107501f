import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingPrograms, mustRun, run, type Ran } from "../../hardware/run.ts";

/** Network namespaces for a device, its network and its containers. They do not change the machine's own network. */

const root = join(import.meta.dirname, "../..");
const required = process.env["FAIRLEAD_TEST_HOST"] === "required";
const tools = ["ip", "iptables", "ip6tables", "redsocks", "curl", "ping"];

/** The reason why tests in namespaces are skipped; undefined if they run. */
export const noNamespaces = await reason();

async function reason(): Promise<string | undefined> {
  try {
    const absent = missingPrograms(tools);
    if (absent.length > 0) throw new Error(`there is no ${absent.join(", no ")}`);
    const name = `fairlead-probe-${process.pid}`;
    await mustRun(run, "ip", ["netns", "add", name]);
    await mustRun(run, "ip", ["netns", "delete", name]);
    return undefined;
  } catch (error) {
    const why = `No tests in network namespaces: ${error instanceof Error ? error.message : String(error)}`;
    if (required) throw new Error(why);
    return `${why}. To have them, as root: apt-get install iproute2 iptables redsocks curl iputils-ping (FAIRLEAD_TEST_HOST=required insists).`;
  }
}

export interface Namespace {
  readonly name: string;
  /** Runs a program in the namespace. */
  readonly run: (command: string, ...args: readonly string[]) => Promise<Ran>;
  /** The same, but throws if the program fails. Resolves with its stdout. */
  readonly must: (command: string, ...args: readonly string[]) => Promise<string>;
}

let made = 0;

export async function createNamespace(): Promise<Namespace> {
  const name = `fairlead-${process.pid}-${made++}`;
  await mustRun(run, "ip", ["netns", "add", name]);
  await mustRun(run, "ip", ["-n", name, "link", "set", "lo", "up"]);
  const inside = (command: string, args: readonly string[]) => ["netns", "exec", name, command, ...args];
  return {
    name,
    run: (command, ...args) => run("ip", inside(command, args)),
    must: (command, ...args) => mustRun(run, "ip", inside(command, args)),
  };
}

/** Kills all processes in a namespace and removes it. */
export async function removeNamespace({ name }: Namespace): Promise<void> {
  for (const pid of (await mustRun(run, "ip", ["netns", "pids", name])).split("\n").filter(Boolean))
    process.kill(Number(pid), "SIGKILL");
  await mustRun(run, "ip", ["netns", "delete", name]);
}

/** Runs `ip` commands in a namespace, one per line. */
export async function configure({ name }: Namespace, lines: string): Promise<void> {
  for (const line of lines
    .split("\n")
    .map((one) => one.trim())
    .filter(Boolean))
    await mustRun(run, "ip", ["-n", name, ...line.split(" ")]);
}

/** A device with a bridge for containers: inside, prefix.2 ── bridge, prefix.1, device, 192.0.2.2 ── outside, 192.0.2.1 */
export async function deviceWithBridge(bridge: string, prefix: string, bits: number) {
  const [device, outside, inside] = [await createNamespace(), await createNamespace(), await createNamespace()];
  await configure(
    device,
    `link add up0 type veth peer name gw0 netns ${outside.name}
     addr add 192.0.2.2/24 dev up0
     link set up0 up
     link add ${bridge} type bridge
     addr add ${prefix}.1/${bits} dev ${bridge}
     link set ${bridge} up
     link add v0 type veth peer name eth0 netns ${inside.name}
     link set v0 master ${bridge}
     link set v0 up`,
  );
  await configure(
    outside,
    `addr add 192.0.2.1/24 dev gw0
     link set gw0 up`,
  );
  await configure(
    inside,
    `addr add ${prefix}.2/${bits} dev eth0
     link set eth0 up
     route add default via ${prefix}.1`,
  );
  const remove = async () => {
    for (const one of [inside, device, outside]) await removeNamespace(one);
  };
  return { device, outside, inside, remove };
}

export interface Background {
  readonly output: () => string;
  readonly said: (pattern: RegExp) => Promise<void>;
  readonly end: (signal?: NodeJS.Signals) => Promise<void>;
}

/** Starts a program of this repository in a namespace. Its output goes to a file, since its children may outlive it. */
export function startIn(
  { name }: Namespace,
  file: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Background {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-output-"));
  const output = openSync(join(folder, "output"), "w");
  const child = spawn("ip", ["netns", "exec", name, process.execPath, "--import", "tsx", file, ...args], {
    cwd: root,
    env: { PATH: process.env["PATH"], ...environment },
    stdio: ["ignore", output, output],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const read = () => readFileSync(join(folder, "output"), "utf8");
  return {
    output: read,
    said: async (pattern) => {
      for (let tries = 0; !pattern.test(read()); tries++) {
        if (tries > 400 || child.exitCode !== null) throw new Error(`${file} does not say ${pattern}: ${read()}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    end: async (signal = "SIGTERM") => {
      child.kill(signal);
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Agent extends Background {
  readonly get: (path: string) => Promise<unknown>;
  /** Resolves with the status and the body. */
  readonly patch: (path: string, body: unknown) => Promise<readonly [number, string]>;
  readonly post: (path: string, body: unknown) => Promise<readonly [number, string]>;
}

/** Starts the real program in a namespace, with the engine in memory. Resolves when it answers. */
export async function startAgentIn(namespace: Namespace, folder: string, args: readonly string[] = []): Promise<Agent> {
  const program = startIn(namespace, "runtimes/cli/cli.ts", [
    "agent",
    ...["--engine", "embedded", "--iptables", "yes"],
    ...["--state-dir", join(folder, "state"), "--host-root", folder],
    ...args,
  ]);
  await program.said(/Fairlead answers on/);
  const url = "http://127.0.0.1:48484";
  const send = async (method: string, path: string, body: unknown): Promise<readonly [number, string]> => {
    const json = ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
    const said = await namespace.must("curl", "-sS", "-X", method, ...json, "-w", "\n%{http_code}", url + path);
    const [, text = "", status = ""] = /^(.*)\n(\d+)$/s.exec(said) ?? [];
    return [Number(status), text];
  };
  return {
    ...program,
    get: async (path): Promise<unknown> => JSON.parse(await namespace.must("curl", "-sS", url + path)),
    patch: (path, body) => send("PATCH", path, body),
    post: (path, body) => send("POST", path, body),
  };
}
