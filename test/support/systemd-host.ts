import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import * as z from "zod";
import { wait } from "./wait.ts";

/** A host with a real systemd, logind, hostnamed and journald in one unprivileged container. */

const script = join(import.meta.dirname, "../host/image.sh");
const image = `fairlead-test/systemd-host:${createHash("sha256").update(readFileSync(script)).digest("hex").slice(0, 12)}`;

/** The reason why tests on a real systemd are skipped; undefined if they run. */
export const noHost = await reason();

async function reason(): Promise<string | undefined> {
  try {
    await new Docker().getImage(image).inspect();
    return undefined;
  } catch (error) {
    const why = `No tests on a real systemd: ${error instanceof Error ? error.message : String(error)}`;
    if (process.env["FAIRLEAD_TEST_HOST"] === "required") throw new Error(why);
    return `${why}. To have them: start dockerd, apt-get install debootstrap, and run test/host/image.sh as root (FAIRLEAD_TEST_HOST=required insists).`;
  }
}

export interface SystemdHost {
  /** The path of its root folder on this machine; it changes with each start. */
  readonly root: () => Promise<string>;
  readonly busAddress: string;
  /** The address of its engine. */
  readonly dockerHost: string;
  /** Runs a command line in it as root. Resolves with the output; throws if the command fails. */
  readonly run: (...command: readonly string[]) => Promise<string>;
  /** Resolves with the way in which the host ended, when it has. */
  readonly ended: () => Promise<"rebooted" | "powered off" | `code ${number}`>;
  readonly isRunning: () => Promise<boolean>;
  /** Boots it again with the same files. Does nothing if it is running. */
  readonly start: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

interface HostOptions {
  readonly hostname?: string;
  /** Whether to start an engine in it, which takes some seconds. */
  readonly withEngine?: boolean;
}

/** Creates a host and boots it. */
export async function startSystemdHost({
  hostname = "abc1234",
  withEngine = false,
}: HostOptions = {}): Promise<SystemdHost> {
  const docker = new Docker();
  const bus = mkdtempSync(join(tmpdir(), "fairlead-bus-"));
  // Other users than root use the bus, too.
  chmodSync(bus, 0o755);
  const HostConfig = {
    CgroupnsMode: "private",
    // SYS_BOOT: in a pid namespace, reboot(2) ends only that namespace, so only the container reboots.
    CapAdd: ["SYS_ADMIN", "NET_ADMIN", "SYS_BOOT", ...(withEngine ? ["SYS_PTRACE"] : [])],
    SecurityOpt: ["seccomp=unconfined", "apparmor=unconfined"],
    Tmpfs: { "/run": "exec", "/run/lock": "", "/tmp": "exec" },
    NetworkMode: "none",
    Binds: [`${bus}:/run/dbus`],
    // The inner engine sets sysctls. Its storage cannot be on the storage of the outer engine.
    ...(withEngine && {
      MaskedPaths: [],
      ReadonlyPaths: [],
      Mounts: [{ Type: "volume" as const, Target: "/var/lib/docker", Source: "" }],
    }),
  };
  const Env = withEngine ? ["with_engine=1"] : [];
  const container = await docker.createContainer({ Image: image, Hostname: hostname, Env, HostConfig });
  const remove = async () => {
    await container.remove({ force: true, v: true });
    rmSync(bus, { recursive: true, force: true });
  };

  async function run(...command: readonly string[]): Promise<string> {
    const exec = await container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true, Tty: true });
    let output = "";
    for await (const chunk of await exec.start({ Tty: true })) output += String(chunk);
    const { ExitCode } = await exec.inspect();
    if (ExitCode !== 0) throw new Error(`${command.join(" ")} ended with ${ExitCode}: ${output}`);
    return output.replaceAll("\r\n", "\n").trim();
  }

  async function start(): Promise<void> {
    if ((await container.inspect()).State.Running) return;
    await container.start();
    await wait("systemd to be up", async () =>
      /^(running|degraded)$/.test(await run("sh", "-c", "systemctl is-system-running || true").catch(() => "")),
    );
  }

  try {
    await start();
    if (withEngine) await run("systemctl", "enable", "--now", "docker");
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    run,
    start,
    remove,
    busAddress: `unix:path=${join(bus, "system_bus_socket")}`,
    dockerHost: `unix://${join(bus, "docker.sock")}`,
    root: async () => `/proc/${(await container.inspect()).State.Pid}/root`,
    ended: async () => {
      const { StatusCode } = Ended.parse(await container.wait());
      // 128 + the signal with which reboot(2) ends a namespace. Source: pid_namespaces(7).
      return StatusCode === 129 ? "rebooted" : StatusCode === 130 ? "powered off" : `code ${StatusCode}`;
    },
    isRunning: async () => (await container.inspect()).State.Running,
  };
}

const Ended = z.object({ StatusCode: z.number() });
