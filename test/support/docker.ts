import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import * as z from "zod";
import { wait } from "./wait.ts";

/** Images and registries for tests on a real engine. Each test removes what it creates. */

const ours = { label: ["io.balena.supervised"] };
const required = process.env["FAIRLEAD_TEST_DOCKER"] === "required";
const busybox = "/bin/busybox";

/** The reason why tests on a real engine are skipped; undefined if they run. */
export const noDocker = await reason();

async function reason(): Promise<string | undefined> {
  try {
    const docker = new Docker();
    await docker.ping();
    accessSync(busybox);
    const { length } = await docker.listContainers({ all: true, filters: ours });
    // Tests remove all containers of an agent, so they must not run on an engine that a real agent uses.
    if (length > 0 && !required) throw new Error(`this engine runs ${length} containers of an agent`);
    return undefined;
  } catch (error) {
    const why = `No tests on a real engine: ${error instanceof Error ? error.message : String(error)}`;
    if (required) throw new Error(why);
    return `${why}. To have them: apt-get install docker.io docker-registry busybox-static, and start dockerd (FAIRLEAD_TEST_DOCKER=required insists).`;
  }
}

const pidFile = process.env["FAIRLEAD_TEST_DOCKERD"];

/** Ends the engine and waits until its service has restarted it. Undefined without FAIRLEAD_TEST_DOCKERD. */
export const restartEngine =
  pidFile === undefined
    ? undefined
    : async (): Promise<void> => {
        // The engine removes the file when it ends, and may still answer then.
        const pid = () => {
          try {
            return readFileSync(pidFile, "utf8").trim();
          } catch {
            return "";
          }
        };
        await wait("the engine's process", async () => pid() !== "");
        const before = pid();
        process.kill(Number(before));
        const docker = new Docker();
        const answers = () =>
          docker.ping().then(
            () => true,
            () => false,
          );
        await wait("the engine to come back", async () => !["", before].includes(pid()) && answers());
      };

/** The reason why tests that restart the engine are skipped; undefined if they run. */
export const noRestart =
  noDocker === undefined && restartEngine === undefined
    ? "No tests across a restart of the engine. To have them, let FAIRLEAD_TEST_DOCKERD name the pid file of a dockerd that comes back when it ends (test/engine.sh)."
    : undefined;

if (required && noRestart) throw new Error(noRestart);

/** A script that prints a greeting and ends on SIGTERM. */
export const polite = `
echo "hello from $BALENA_SERVICE_NAME"
trap 'echo "got TERM"; exit 0' TERM
while :; do sleep 1 & wait $!; done
`;

const commands = [
  ...["tar", "gzip", "cp", "chown", "stat"],
  "sh",
  "sleep",
  "echo",
  "cat",
  "ls",
  "touch",
  "rm",
  "id",
  "wget",
  "nc",
  "env",
  "ip",
  "hostname",
  "test",
  "grep",
];

/** Builds an image of busybox and a script, with further `lines` in its Dockerfile. Returns the image's id. */
export async function makeImage(
  docker: Docker,
  name: string,
  script = polite,
  lines: readonly string[] = [],
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-image-"));
  try {
    const root = join(folder, "root");
    for (const one of ["bin", "tmp", "etc"]) mkdirSync(join(root, one), { recursive: true });
    cpSync(busybox, join(root, "bin/busybox"));
    for (const command of commands) symlinkSync("busybox", join(root, "bin", command));
    writeFileSync(join(root, "run.sh"), `#!/bin/sh\n${script}`, { mode: 0o755 });
    const dockerfile = ["FROM scratch", "COPY root /", 'CMD ["/bin/sh", "/run.sh"]', ...lines];
    writeFileSync(join(folder, "Dockerfile"), `${dockerfile.join("\n")}\n`);
    const stream = await docker.buildImage({ context: folder, src: ["Dockerfile", "root"] }, { t: name });
    for await (const chunk of stream) if (/"errorDetail"/.test(String(chunk))) throw new Error(String(chunk));
    return (await docker.getImage(name).inspect()).Id;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const Left = z.object({ Containers: z.record(z.string(), z.object({ Name: z.string() })).nullish() });

/** Removes all containers, networks and volumes of an agent, including volumes that the engine created for it. */
export async function sweep(docker: Docker): Promise<void> {
  for (const { Id } of await docker.listContainers({ all: true, filters: ours }))
    await docker.getContainer(Id).remove({ force: true, v: true });
  for (const { Id } of await docker.listNetworks({ filters: ours })) {
    const network = docker.getNetwork(Id);
    // The engine may have kept the endpoint of a container that is gone.
    const { Containers } = Left.parse(await network.inspect());
    for (const { Name } of Object.values(Containers ?? {})) await network.disconnect({ Container: Name, Force: true });
    // An endpoint that the engine keeps without naming it stays until its restart. The next test finds the network again.
    await network.remove().catch((error: unknown) => {
      if (!/has active endpoints/.test(String(error))) throw error;
    });
  }
  const { Volumes } = await docker.listVolumes();
  for (const { Name, Labels } of Volumes)
    if (ours.label.some((label) => label in (Labels ?? {})) || /^(before_)?47\d\d_/.test(Name))
      await docker.getVolume(Name).remove();
}

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });

export interface Registry {
  /** `127.0.0.1:port` */
  readonly host: string;
  /** The folder of its images. */
  readonly data: string;
  /** Pushes an image as `name`; resolves with the full name. */
  readonly push: (docker: Docker, image: string, name: string) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** The user "fairlead" with the password "fairlead". Source: `htpasswd -B`. */
const htpasswd = "fairlead:$2y$05$Iv/JdBZ7Y6VCBhl2wX4sceneFJb.Z9fBtluJ.v.edr9uN/ZWQMxMi\n";

interface RegistryOptions {
  /** It requires the user "fairlead" and the password "fairlead". */
  readonly login?: boolean;
  /** It requires tokens of this realm, signed with the key of this certificate. */
  readonly tokens?: { readonly realm: string; readonly issuer: string; readonly certificate: string };
  /** The folder of another registry's images. */
  readonly data?: string;
}

/** Starts a registry on a free port of this machine. */
export async function startRegistry({ login = false, tokens, data }: RegistryOptions = {}): Promise<Registry> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-registry-"));
  const host = `127.0.0.1:${await freePort()}`;
  writeFileSync(join(folder, "htpasswd"), htpasswd);
  const certificate = join(folder, "certificate.pem");
  if (tokens) writeFileSync(certificate, tokens.certificate);
  const auth = {
    ...(login && { htpasswd: { realm: "test", path: join(folder, "htpasswd") } }),
    ...(tokens && {
      token: { realm: tokens.realm, service: host, issuer: tokens.issuer, rootcertbundle: certificate },
    }),
  };
  const images = data ?? join(folder, "data");
  const config = {
    version: "0.1",
    storage: { filesystem: { rootdirectory: images } },
    http: { addr: host },
    auth,
  };
  // JSON is valid YAML.
  writeFileSync(join(folder, "config.yml"), JSON.stringify(config));
  const child = spawn("docker-registry", ["serve", join(folder, "config.yml")], { stdio: "ignore" });
  const up = async () => (await fetch(`http://${host}/v2/`).catch(() => undefined)) !== undefined;
  for (let tries = 0; !(await up()); tries++) {
    if (tries > 100 || child.exitCode !== null) throw new Error("docker-registry does not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const authconfig = { username: "fairlead", password: "fairlead", serveraddress: host };
  return {
    host,
    data: images,
    push: async (docker, image, name) => {
      const [repo = name, tag = "latest"] = name.split(":");
      await docker.getImage(image).tag({ repo: `${host}/${repo}`, tag });
      const stream = await docker.getImage(`${host}/${repo}`).push({ tag, authconfig });
      for await (const chunk of stream) if (/"errorDetail"/.test(String(chunk))) throw new Error(String(chunk));
      await docker.getImage(`${host}/${repo}:${tag}`).remove();
      return `${host}/${repo}:${tag}`;
    },
    stop: () => ended(child).then(() => rmSync(folder, { recursive: true })),
  };
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill();
  });
