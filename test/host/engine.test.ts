import Docker from "dockerode";
import { expect, onTestFinished, test } from "vitest";
import { readLogs } from "../api/log-reader.ts";
import { remote, target } from "../engine/on-the-engine.ts";
import { startAgent } from "../node/program.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker } from "../support/docker.ts";
import { noHost, startSystemdHost } from "../support/systemd-host.ts";

/** A whole device: systemd, an engine that logs to the journal like balenaOS's engine, and the program. */

const image = "fairlead-journal:1";
// The journal does not keep the order of the first two.
const speaks = `
echo "to stdout"; echo "to stderr" >&2; sleep 1; echo "at last"
trap 'exit 0' TERM
while :; do sleep 1 & wait $!; done
`;

test.skipIf(noHost ?? noDocker)("logs are read from the journal, and containers restart after a reboot", async () => {
  const host = await startSystemdHost({ withEngine: true });
  onTestFinished(host.remove);
  const docker = new Docker({ socketPath: host.dockerHost.replace("unix://", "") });
  await makeImage(docker, image, speaks);
  const folder = await temporaryFolder();
  const start = async () => {
    const engine = ["--engine", "docker", "--docker-host", host.dockerHost, "--iptables", "no"];
    const args = [...engine, "--host-root", await host.root(), "--bus", host.busAddress];
    const agent = await startAgent(folder, { args });
    return { ...agent, ...remote(agent.url) };
  };
  const agent = await start();

  const logs = await readLogs({ fetch: ({ url }) => fetch(agent.url + new URL(url).pathname) });
  await agent.accept(target({ one: { image, tty: false } }));
  const { one = "" } = await agent.settled();
  const lines = await logs.until("at last");
  expect(lines).toContainEqual(expect.objectContaining({ serviceName: "one", message: "to stdout", isStdErr: false }));
  expect(lines).toContainEqual(expect.objectContaining({ serviceName: "one", message: "to stderr", isStdErr: true }));
  await logs.leave();

  const { HostConfig } = await docker.getContainer(one).inspect();
  expect(HostConfig.LogConfig?.Type).toBe("journald");
  const journal = await agent.post("/v2/journal-logs", { containerId: one, format: "cat" });
  expect((await journal.text()).split("\n").sort()).toEqual(["", "at last", "to stderr", "to stdout"]);

  const ended = host.ended();
  expect((await agent.post("/v1/reboot", {})).status).toBe(202);
  expect((await docker.getContainer(one).inspect()).State.Running).toBe(false);
  expect(await ended).toBe("rebooted");
  agent.kill("SIGKILL");
  await host.start();
  const next = await start();
  expect(await next.settled()).toEqual({ one });
  expect((await docker.getContainer(one).inspect()).State.Running).toBe(true);
});
