import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker, startRegistry } from "../support/docker.ts";
import { slowLine } from "../support/slow-line.ts";
import { runIn } from "../support/volumes.ts";
import { agentOnEngine, docker, inspect, pause, showFolder, target, touch, type Remote } from "./on-the-engine.ts";
import { agentOn, megabyte, smallEngine } from "./small-engine.ts";

/** What fails around an update on a real engine: the registry, the disks, a lock that nobody releases. */

const server = "fairlead-faults:1";
const silent = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"];

/** A release of one server, whose page says its number. */
const release = (n: number, wish: object = {}, more: object = {}) =>
  target(
    {
      web: {
        image: server,
        environment: { N: String(n) },
        labels: { "io.balena.update.http": "8080/page", "io.balena.update.monitor": "300ms", ...deadline },
        ...wish,
      },
    },
    { commit: `c${n}`, releaseId: n, config: { SUPERVISOR_SAFE_UPDATES: "on" }, ...more },
  );
const deadline = { "io.balena.update.deadline": "20s" };

const Update = z.object({
  state: z.string(),
  committed: z.object({ commit: z.string() }).nullable(),
  waitsFor: z.array(z.string()),
  failure: z.object({ message: z.string() }).optional(),
});

/** The state of the update, the committed release, and why an update has failed. */
async function stateOf(agent: Remote) {
  const { state, committed, failure } = Update.parse(await (await agent.get("/v3/apps/1/update")).json());
  return [state, committed?.commit, ...(failure ? [failure.message] : [])];
}

const expectState = (agent: Remote, ...state: readonly unknown[]) =>
  expect.poll(() => stateOf(agent), { timeout: 90_000, interval: 100 }).toEqual(state);

const waitsFor = async (agent: Remote) =>
  Update.parse(await (await agent.get("/v3/apps/1/update")).json()).waitsFor.join("; ");

/** The number of the release that serves. */
async function served(n: number): Promise<string> {
  const { NetworkSettings } = await inspect(`web_1_${n}_c${n}`);
  const address = Object.values(NetworkSettings.Networks)[0]?.IPAddress;
  return (await (await fetch(`http://${address}:8080/page`)).text()).trim();
}

const expectServed = (n: number) => expect.poll(() => served(n).catch(String), { timeout: 20_000 }).toBe(String(n));

const run = (program: string, ...args: readonly string[]) => {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
};

const DockerRoot = z.looseObject({ DockerRootDir: z.string() });
const Manifest = z.looseObject({ config: z.looseObject({ digest: z.string() }) });

/** Makes an image of a registry one for a mainframe. */
async function makeForeign(host: string, name: string, tag: string): Promise<void> {
  const api = `http://${host}/v2/${name}`;
  // Which one an engine pushes depends on its image store.
  const accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
  const answer = await fetch(`${api}/manifests/${tag}`, { headers: { accept } });
  const type = answer.headers.get("content-type") ?? "";
  const manifest = Manifest.parse(await answer.json());
  const config = z.looseObject({}).parse(await (await fetch(`${api}/blobs/${manifest.config.digest}`)).json());
  const body = JSON.stringify({ ...config, architecture: "s390x" });
  const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
  const upload = (await fetch(`${api}/blobs/uploads/`, { method: "POST" })).headers.get("location") ?? "";
  const blob = await fetch(`${upload}&digest=${digest}`, { method: "PUT", body });
  const changed = { ...manifest, config: { ...manifest.config, digest, size: body.length } };
  const headers = { "content-type": type };
  const put = await fetch(`${api}/manifests/${tag}`, { method: "PUT", headers, body: JSON.stringify(changed) });
  expect([blob.status, put.status]).toEqual([201, 201]);
}

async function registry() {
  const started = await startRegistry();
  onTestFinished(() => started.stop());
  return started;
}

describe.skipIf(noDocker !== undefined)("the committed release serves", () => {
  beforeAll(() =>
    makeImage(
      docker,
      server,
      `echo "$N" > /tmp/page; /bin/busybox httpd -p 8080 -h /tmp
      trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done`,
    ),
  );

  /** An agent whose release 1 is committed and serves, and the id of its container. */
  async function committed(folder?: string) {
    const agent = await agentOnEngine([], folder);
    await agent.accept(release(1));
    await expectState(agent, "steady", "c1");
    await expectServed(1);
    return { agent, id: (await inspect("web_1_1_c1")).Id };
  }

  test("while the registry is away in the middle of a download, which ends when it is back", async () => {
    const { agent, id } = await committed();
    const { host, push } = await registry();
    const large = "fairlead-faults-large:1";
    const random = 'RUN ["/bin/busybox", "dd", "if=/dev/urandom", "of=/blob", "bs=1M", "count=12"]';
    await makeImage(docker, large, undefined, [random]);
    await push(docker, large, "large:1");
    await docker.getImage(large).remove();
    const line = await slowLine(host, 4_000_000);
    const image = `${line.host}/large:1`;
    onTestFinished(async () => void (await docker.getImage(image).remove({ force: true })));

    await agent.accept(release(2, { image, labels: deadline }));
    await expect.poll(line.sent, { timeout: 30_000 }).toBeGreaterThan(3_000_000);
    await line.cut();
    await pause(5_000);
    await expectState(agent, "preparing", "c1");
    expect([(await inspect("web_1_1_c1")).Id, await served(1)]).toEqual([id, "1"]);
    await line.mend();
    await expectState(agent, "steady", "c2");
  });

  test("when the next one is for another machine, which is not even downloaded", async () => {
    const folder = await temporaryFolder();
    // Nothing is known about the downloads of an engine whose disk the agent does not see.
    await showFolder(folder, DockerRoot.parse(await docker.info()).DockerRootDir);
    const { agent, id } = await committed(folder);
    const { push, host } = await registry();
    await push(docker, server, "foreign:1");
    await makeForeign(host, "foreign", "1");

    await agent.accept(release(2, { image: `${host}/foreign:1` }));
    await expect.poll(() => waitsFor(agent), { timeout: 20_000 }).toMatch(/for this machine.*s390x/);
    await expectState(agent, "preparing", "c1");
    expect([(await inspect("web_1_1_c1")).Id, await served(1)]).toEqual([id, "1"]);
    expect(JSON.stringify(await docker.listImages())).not.toContain("foreign");
  });

  test("while the agent's disk is full, since nothing stops before that is written down", async () => {
    const folder = await temporaryFolder();
    const state = join(folder, "state");
    run("mkdir", state);
    run("mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", state);
    onTestFinished(() => run("umount", "--lazy", state));
    const { agent, id } = await committed(folder);
    const lock = agent.shared("web", "updates.lock");
    await touch(lock);
    await agent.accept(release(2));
    await expectState(agent, "waiting", "c1");
    spawnSync("dd", ["if=/dev/zero", `of=${state}/filler`, "bs=1k"]);
    await rm(lock);
    await expect.poll(() => agent.said.join("\n"), { timeout: 60_000 }).toMatch(/database or disk is full/);
    await pause(2_000);
    expect([(await inspect("web_1_1_c1")).Id, await served(1)]).toEqual([id, "1"]);
    await rm(join(state, "filler"));
    await expectState(agent, "steady", "c2");
    await expectServed(2);
  });

  test("as soon as a failing service has released its lock", async () => {
    const { agent } = await committed();
    const lock = agent.shared("web", "updates.lock");
    await agent.accept(release(2, { command: silent }));
    await expectState(agent, "trying", "c1");
    await expect.poll(async () => (await inspect("web_1_2_c2")).State.Running).toBe(true);
    await touch(lock);
    await expectState(agent, "goingBack", "c1", expect.stringMatching(/HTTP check/));
    await pause(3_000);
    expect((await inspect("web_1_2_c2")).State.Running).toBe(true);
    expect(await waitsFor(agent)).toMatch(/[Ll]ock/);
    await rm(lock);
    await expectState(agent, "rejected", "c1", expect.stringMatching(/HTTP check/));
    await expectServed(1);
  });

  test("although the failed one has locked itself and then ended", async () => {
    const { agent } = await committed();
    const command = ["sh", "-c", "touch /tmp/balena/updates.lock; exit 1"];
    await agent.accept(release(2, { command }));
    await expect.poll(() => readdir(agent.shared("web", ".")), { timeout: 20_000 }).toContain("updates.lock");
    await expectState(agent, "rejected", "c1", expect.stringMatching(/did not stay up/));
    await expectServed(1);
  });
});

describe.skipIf(noDocker !== undefined)("on a disk that is full before a volume has been copied,", () => {
  test("the committed release runs again at the deadline, with its data", async () => {
    const small = await smallEngine();
    await makeImage(small.engine, server);
    const agent = await agentOn(small);
    const fill = (n: number) =>
      release(
        n,
        {
          ...{ network_mode: "host", volumes: ["data:/data"], command: silent },
          labels: { "io.balena.update.monitor": "300ms", ...deadline },
        },
        { volumes: { data: { labels: { "io.balena.update.snapshot": "true" } } } },
      );
    await agent.accept(fill(1));
    await expectState(agent, "steady", "c1");
    const sum = () => runIn(small.engine, server, "1_data", "/bin/busybox sha256sum blob; ls");
    await runIn(small.engine, server, "1_data", "/bin/busybox dd if=/dev/urandom of=blob bs=1000000 count=80");
    const before = await sum();
    const volumes = async () => (await small.engine.listVolumes()).Volumes.map(({ Name }) => Name).toSorted();
    const container = () =>
      small.engine
        .listContainers({ all: true })
        .then((all) => all.map(({ Names, State }) => `${Names.join()} ${State}`));

    await agent.accept(fill(2));
    await expect.poll(volumes, { timeout: 30_000, interval: 10 }).toEqual(["1_data", "before_1_data"]);
    await small.leave(10 * megabyte);
    await expectState(agent, "rejected", "c1", expect.stringMatching(/no space left/));
    expect(await container()).toEqual(["/web_1_1_c1 running"]);
    await expect.poll(volumes, { timeout: 30_000 }).toEqual(["1_data"]);
    expect(await sum()).toBe(before);
  });
});
