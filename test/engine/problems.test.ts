import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { Problem } from "../../core/api/problem.ts";
import { freePort, makeImage, noDocker, startRegistry } from "../support/docker.ts";
import { agentOnEngine, docker, inspect, target, type OnEngine } from "./on-the-engine.ts";

/** What `GET /v3/problems` says about a real engine's containers. */

const polite = "fairlead-problems:polite";
const crashing = "fairlead-problems:crashing";
const foreign = "fairlead-problems:foreign";
const arm = "fairlead-problems:arm";

const Answer = z.object({ problems: z.array(Problem) });
const problemsOf = async (agent: OnEngine) => Answer.parse(await (await agent.get("/v3/problems")).json()).problems;
const become = (agent: OnEngine, expected: readonly object[]) =>
  expect.poll(() => problemsOf(agent), { timeout: 60_000, interval: 50 }).toMatchObject(expected);

/** Loads a copy of an image that is marked as one for arm64. */
async function markAsArm(image: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-arm-"));
  try {
    await pipeline(await docker.getImage(image).get(), createWriteStream(join(folder, "image.tar")));
    execFileSync("tar", ["-xf", "image.tar"], { cwd: folder });
    const manifest = join(folder, "manifest.json");
    const [{ Config, ...rest }] = Manifest.parse(JSON.parse(await readFile(manifest, "utf8")));
    const config = await readFile(join(folder, Config), "utf8");
    await writeFile(join(folder, Config), config.replace(/"architecture":"\w+"/, '"architecture":"arm64"'));
    await writeFile(manifest, JSON.stringify([{ ...rest, Config, RepoTags: [arm] }]));
    const files = (await readdir(folder)).filter((name) => name !== "image.tar");
    execFileSync("tar", ["-cf", "image.tar", ...files], { cwd: folder });
    const stream = await docker.loadImage(join(folder, "image.tar"));
    for await (const chunk of stream) if (/"errorDetail"/.test(String(chunk))) throw new Error(String(chunk));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const Manifest = z.tuple([z.looseObject({ Config: z.string() })]);

describe.skipIf(noDocker !== undefined)("the problems of a device", () => {
  beforeAll(async () => {
    await makeImage(docker, polite);
    await makeImage(docker, crashing, 'echo "starting"; sleep 0.2; echo "no database at $TOKEN" >&2; exit 3');
    await makeImage(docker, foreign, "", [
      'RUN ["/bin/busybox", "sh", "-c", "echo garbage > /garbage; /bin/busybox chmod 755 /garbage"]',
      'CMD ["/garbage"]',
    ]);
    await markAsArm(foreign);
  });

  test("a crash loop has its exit code and its last line without secrets, and ends with its cause", async () => {
    const agent = await agentOnEngine();
    const environment = { TOKEN: "a very secret token" };
    await agent.accept(target({ one: { image: crashing, environment, tty: false }, two: { image: polite } }));
    await become(agent, [
      {
        ...{ appId: 1, service: "one", kind: "crashLoop" },
        message: expect.stringMatching(/^It has exited \d+ times, last with exit code 3: no database at \(hidden\)$/),
      },
    ]);
    const [first] = await problemsOf(agent);
    const { one } = await agent.settled();
    const { RestartCount } = await inspect(one);
    await expect
      .poll(async () => Number(/\d+/.exec((await problemsOf(agent))[0]?.message ?? "")?.[0]), { timeout: 60_000 })
      .toBeGreaterThan(RestartCount);
    expect((await problemsOf(agent))[0]?.since).toBe(first?.since);

    await agent.accept(target({ one: { image: polite }, two: { image: polite } }));
    await agent.settled();
    expect(await problemsOf(agent)).toEqual([]);
    expect(agent.said.filter((line) => /^Problem|^The problem/.test(line))).toEqual([
      expect.stringMatching(/^Problem \(crash loop\): It has exited \d+ times.*no database at \(hidden\)$/),
      expect.stringMatching(/^The problem \(crash loop\) is over after/),
    ]);
  });

  test("a program that runs once and fails", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image: crashing, restart: "no" } }));
    await become(agent, [
      { service: "one", kind: "exited", message: "It has exited with exit code 3: no database at" },
    ]);
  });

  test("an image that its registry does not have", async () => {
    const { host, stop } = await startRegistry();
    onTestFinished(stop);
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image: `${host}/gone:1` } }));
    await become(agent, [
      {
        service: "one",
        kind: "imageNotFound",
        // The words of the classic store, and of containerd.
        message: expect.stringMatching(/^Image \S+\/gone:1: .*\/gone:1:? not found/),
      },
    ]);
  });

  test("a host port that another process has, and one that another service has", async () => {
    const server = createServer().listen(0, "0.0.0.0");
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const taken = typeof address === "object" ? address?.port : undefined;
    const shared = await freePort();
    const agent = await agentOnEngine();
    await agent.accept(
      target({
        one: { image: polite, ports: [`${taken}:80`] },
        two: { image: polite, ports: [`${shared}:80`] },
        three: { image: polite, ports: [`${shared}:80`], depends_on: ["two"] },
      }),
    );
    await become(agent, [
      {
        ...{ service: "one", kind: "portTaken" },
        message: expect.stringContaining(`Host port ${taken} is taken by another process or container of this machine`),
      },
      {
        ...{ service: "three", kind: "portTaken" },
        message: expect.stringContaining(`Host port ${shared} is taken by service two`),
      },
    ]);
    server.close();
    await become(agent, [{ service: "three" }]);
  });

  test("a program for another machine", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image: foreign } }));
    await become(agent, [
      {
        service: "one",
        kind: "wrongArchitecture",
        message: expect.stringMatching(/^A program of the image.*exec format error/),
      },
    ]);
  });

  test("an image for another machine", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ two: { image: arm, command: ["/garbage"] } }));
    const info: unknown = await docker.info();
    // The containerd store has no image of this name for this machine, so the agent asks the registry for one.
    const isContainerd = JSON.stringify(info).includes("io.containerd.snapshotter");
    await become(agent, [
      isContainerd
        ? { service: "two", kind: "imageUnavailable", message: expect.stringContaining(`Image ${arm}: `) }
        : {
            service: "two",
            kind: "wrongArchitecture",
            message: expect.stringMatching(/^The image is for arm64, .*exec format error/),
          },
    ]);
  });

  test("what the engine refuses, in its own words", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image: polite, devices: ["/dev/nothing-like-this:/dev/x"] } }));
    await become(agent, [
      { service: "one", kind: "refused", message: expect.stringContaining("/dev/nothing-like-this") },
    ]);
  });
});
