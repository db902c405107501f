import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import * as z from "zod";
import { makeImage, noDocker, startRegistry, type Registry } from "../support/docker.ts";
import { noNamespaces } from "../support/namespaces.ts";
import { wait } from "../support/wait.ts";
import "../worker/offline.ts";
import { createBoard, type Board } from "./board.ts";

/** The steps of docs/fleet.md on two boards, with nothing but what `npm run build` has made: the program and the Worker. */

const root = join(import.meta.dirname, "../..");
const secret = "the admin secret of the built cloud";

const saying = (version: string) => `
echo "version ${version} \${MODE:-day}" "$(cat /run/secrets/psk)"
trap 'exit 0' TERM
while :; do sleep 1 & wait $!; done
`;

const Device = z.object({
  name: z.string(),
  uuid: z.string(),
  connected: z.boolean(),
  release: z.string().nullable(),
  updateStatus: z.string().nullable(),
});

describe.skipIf((noDocker ?? noNamespaces) !== undefined)("a fleet of built artifacts", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "fl-built-"));
  const dist = join(folder, "dist");
  const cli = join(dist, "cli.js");
  const worker = createTestHarness({
    workers: [{ configPath: join(dist, "wrangler.toml"), secrets: { ADMIN_SECRET: secret } }],
  });
  const images: Record<string, string> = {};
  const boards: { readonly board: Board; readonly agent: ReturnType<typeof spawn> }[] = [];
  let url = "";
  let registry: Registry;

  /** Runs the built program as the owner, in a folder that has no sources. */
  async function fairlead(args: readonly string[], input = ""): Promise<string> {
    const running = promisify(execFile)(process.execPath, [cli, "cloud", ...args], {
      cwd: folder,
      env: { PATH: process.env["PATH"], XDG_CONFIG_HOME: join(folder, "config") },
    });
    running.child.stdin?.end(input);
    return (await running).stdout;
  }
  const devices = async () => z.array(Device).parse(JSON.parse(await fairlead(["devices", "--json"])));

  beforeAll(async () => {
    const build = ["--import", "tsx", "packaging/build.ts", dist];
    await promisify(execFile)(process.execPath, build, { cwd: root });
    url = (await worker.listen()).url.origin;
    registry = await startRegistry();
    const docker = new Docker();
    for (const version of ["1", "2"]) {
      await makeImage(docker, `built-web:${version}`, saying(version));
      images[version] = await registry.push(docker, `built-web:${version}`, `web:${version}`);
    }
  }, 180_000);

  afterAll(async () => {
    for (const { agent } of boards) agent.kill("SIGKILL");
    await Promise.all(boards.map(({ board }) => board.stop()));
    await registry?.stop();
    await worker.close();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  /** Joins a new board to the fleet, and starts its agent. */
  async function addBoard(name: string, key: string): Promise<void> {
    const place = join(folder, name);
    const ports: [number, number] = [Number(new URL(url).port), Number(registry.host.split(":")[1])];
    const board = await createBoard(place, ports);
    const state = ["--state-dir", join(place, "state"), "--host-root", place];
    const inside = ["netns", "exec", board.namespace, process.execPath, cli];
    const env = { PATH: process.env["PATH"] };
    await promisify(execFile)("ip", [...inside, "join", url, "--key", key, ...state], { cwd: folder, env });
    const output = openSync(join(place, "agent.log"), "w");
    const engine = ["--docker-host", `unix://${join(place, "docker.sock")}`, "--iptables", "no"];
    const agent = spawn("ip", [...inside, "agent", ...engine, ...state], {
      ...{ cwd: folder, env },
      stdio: ["ignore", output, output],
    });
    boards.push({ board, agent });
  }

  /** Releases the compose file with this version of the image. */
  async function release(version: string): Promise<string> {
    mkdirSync(join(folder, "app"), { recursive: true });
    writeFileSync(join(folder, "app/psk.txt"), "hunter2\n");
    const compose =
      "services: { web: { image: $IMAGE, secrets: [psk], tty: false } }\nsecrets: { psk: { file: psk.txt } }\n";
    writeFileSync(join(folder, "app/compose.yml"), compose);
    writeFileSync(join(folder, "app/.env"), `IMAGE=${images[version]}\n`);
    return fairlead(["release", "cameras", "app/compose.yml", "--keep-tags", "--commit", `r${version}`]);
  }

  const untilRunning = (commits: readonly string[]) =>
    wait(commits.join(", "), async () => {
      const all = await devices();
      return (
        all.length === commits.length &&
        all.every(({ release: runs, updateStatus }, n) => runs === commits[n] && updateStatus === "done")
      );
    }).catch((error: unknown) => {
      const logs = boards.map((_, n) => readFileSync(join(folder, `board${n + 1}/agent.log`), "utf8").slice(-2000));
      throw new Error([String(error), ...logs].join("\n"));
    });

  const logsOf = (device: string) => fairlead(["logs", device, "--service", "web"]);

  test("a cloud, a fleet and a key are made, and two boards join", async () => {
    expect(await fairlead(["init", url], secret)).toContain(url);
    await fairlead(["fleet", "create", "cameras"]);
    const { key } = z
      .object({ key: z.string() })
      .parse(JSON.parse(await fairlead(["fleet", "key", "cameras", "--json"])));
    await addBoard("board1", key);
    await addBoard("board2", key);
    await wait("both", async () => {
      const all = await devices();
      return all.length === 2 && all.every(({ connected }) => connected);
    });
  });

  test("a release with a secret runs on both, and their logs reach the cloud", async () => {
    expect(await release("1")).toBe("Release r1 of web\n");
    await untilRunning(["r1", "r1"]);
    for (const { name } of await devices())
      await wait("its log", async () => (await logsOf(name)).includes("version 1 day hunter2"));
  });

  test("a variable changes one board, and a pin keeps it", async () => {
    const [one] = await devices();
    await fairlead(["env", "set", one?.name ?? "", "MODE=night"]);
    await wait("its log", async () => (await logsOf(one?.name ?? "")).includes("version 1 night"));
    await fairlead(["pin", one?.name ?? "", "r1"]);
    expect(await release("2")).toBe("Release r2 of web\n");
    await untilRunning(["r1", "r2"]);
    await fairlead(["pin", one?.name ?? "", "latest"]);
    await untilRunning(["r2", "r2"]);
    await wait("its log", async () => (await logsOf(one?.name ?? "")).includes("version 2 night"));
  });

  test("a release without services removes them, and nothing of the secret stays on the boards", async () => {
    writeFileSync(join(folder, "app/empty.yml"), "services: {}\n");
    await fairlead(["release", "cameras", "app/empty.yml"]);
    for (const { board } of boards)
      await wait("no containers", async () => (await board.docker.listContainers({ all: true })).length === 0);
    for (const name of ["board1", "board2"])
      await wait("no files", async () => {
        const { stdout } = await promisify(execFile)("ls", [join(folder, name, "state/files")]);
        return stdout === "key\n";
      });
  });
});
