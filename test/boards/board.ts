import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";
import { createNamespace, removeNamespace, startIn, type Background } from "../support/namespaces.ts";
import { wait } from "../support/wait.ts";
import { createLink, type Link } from "./link.ts";

/** A simulated device: its own network with a connection to its cloud only, an engine and an agent. */
export interface Board {
  readonly docker: Docker;
  /** The name of its network namespace. */
  readonly namespace: string;
  /** The connection to the cloud. */
  readonly link: Link;
  /** Starts the program with this config.json and waits until it answers. */
  readonly startAgent: (config: object) => Promise<Background>;
  /** A file that a service sees in /tmp/balena. */
  readonly fileOf: (appId: number, service: string, name: string) => string;
  readonly stop: () => Promise<void>;
}

/** The board can use `ports` of this machine's loopback. The first one is the cloud's. */
export async function createBoard(folder: string, ports: readonly [number, ...number[]]): Promise<Board> {
  mkdirSync(folder, { recursive: true });
  const namespace = await createNamespace();
  const links = await Promise.all(ports.map((port) => createLink(join(folder, `${port}.sock`), () => port)));
  const [link] = links;
  if (!link) throw new Error("no link");
  const forwarder = startIn(
    namespace,
    "test/boards/forward.ts",
    links.map(({ path }, n) => `${ports[n]}=${path}`),
  );
  for (const port of ports) await forwarder.said(new RegExp(`leads ${port}`));

  const socket = join(folder, "docker.sock");
  const output = openSync(join(folder, "dockerd.log"), "w");
  const engine = spawn(
    "nsenter",
    [
      `--net=/run/netns/${namespace.name}`,
      "dockerd",
      ...["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")],
      ...["--host", `unix://${socket}`, "--pidfile", join(folder, "dockerd.pid")],
    ],
    { stdio: ["ignore", output, output] },
  );
  const ended = new Promise<void>((resolve) => engine.once("exit", () => resolve()));
  const docker = new Docker({ socketPath: socket });
  await wait(`an engine; it said: ${readFileSync(join(folder, "dockerd.log"), "utf8")}`, async () => {
    if (engine.exitCode !== null) throw new Error(readFileSync(join(folder, "dockerd.log"), "utf8"));
    return (
      existsSync(socket) &&
      (await docker.ping().then(
        () => true,
        () => false,
      ))
    );
  });

  return {
    docker,
    namespace: namespace.name,
    link,
    startAgent: async (config) => {
      const file = join(folder, "config.json");
      writeFileSync(file, JSON.stringify(config));
      const agent = startIn(namespace, "runtimes/cli/cli.ts", [
        "agent",
        ...["--engine", "docker", "--docker-host", `unix://${socket}`, "--iptables", "no"],
        ...["--config", file, "--state-dir", join(folder, "state"), "--host-root", folder],
      ]);
      await agent.said(/Fairlead answers on/);
      return agent;
    },
    fileOf: (appId, service, name) => join(folder, "tmp/balena-supervisor/services", String(appId), service, name),
    stop: async () => {
      for (const { Id } of await docker.listContainers({ all: true }))
        await docker.getContainer(Id).remove({ force: true });
      engine.kill();
      await ended;
      await forwarder.end();
      await Promise.all(links.map((one) => one.close()));
      await removeNamespace(namespace);
    },
  };
}
