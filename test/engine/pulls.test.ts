import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { makeImage, noDocker, startRegistry, type Registry } from "../support/docker.ts";
import { slowLine } from "../support/slow-line.ts";
import { agentOnEngine, docker, target, watch, type Status } from "./on-the-engine.ts";

const local = "fairlead-pull:1";

async function registry(options: { login?: boolean } = {}): Promise<Registry> {
  const started = await startRegistry(options);
  onTestFinished(() => started.stop());
  return started;
}

/** Removes the images that a test has pulled. */
function forget(...images: string[]): void {
  onTestFinished(async () => {
    for (const image of images)
      await docker
        .getImage(image)
        .remove({ force: true })
        .catch(() => {});
  });
}

describe.skipIf(noDocker !== undefined)("an image from a registry", () => {
  beforeAll(() => makeImage(docker, local));

  test("is downloaded with visible progress", async () => {
    const { host, push } = await registry();
    const built = "fairlead-slow:1";
    // Incompressible data, large enough for an image store that counts in MiB, and removed before it is downloaded.
    const random = 'RUN ["/bin/busybox", "dd", "if=/dev/urandom", "of=/blob", "bs=1M", "count=12"]';
    await makeImage(docker, built, undefined, [random]);
    await push(docker, built, "slow:1");
    await docker.getImage(built).remove();
    const line = await slowLine(host, 6_000_000);
    const image = `${line.host}/slow:1`;
    forget(image);
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image } }));
    const seen: Status[] = [];
    await expect
      .poll(async () => seen.push(await agent.status()) && seen.at(-1)?.appState, { timeout: 60_000, interval: 50 })
      .toBe("applied");
    const progress = seen.flatMap(({ overallDownloadProgress }) => overallDownloadProgress ?? []);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    // The progress must change several times. A single value could come from another event's observation.
    expect(new Set(progress.filter((percent) => percent > 0 && percent < 100)).size).toBeGreaterThan(4);
    expect(seen.flatMap(({ images }) => images)).toContainEqual(
      expect.objectContaining({ name: image, status: "Downloading" }),
    );
    expect(seen.at(-1)).toMatchObject({
      overallDownloadProgress: null,
      containers: [{ serviceName: "one", status: "Running" }],
      images: [{ name: image, status: "Downloaded" }],
    });
  });

  test("that needs a login is downloaded with the one in its name, which is not shown", async () => {
    const { push } = await registry({ login: true });
    const name = await push(docker, local, "secret:1");
    forget(name);
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image: name } }));
    await expect.poll(() => agent.said.join("\n"), { timeout: 30_000 }).toMatch(/Failed to download/);

    await agent.accept(target({ one: { image: `fairlead:fairlead@${name}` } }));
    await agent.settled();
    expect(await agent.status()).toMatchObject({ containers: [{ serviceName: "one", status: "Running" }] });
    expect(JSON.stringify([await agent.status(), agent.said])).not.toContain("fairlead:fairlead");
  });

  /** The engine's events while a service is updated from image 1 to image 2. */
  async function update(strategy: string): Promise<string[]> {
    const { host, push } = await registry();
    const images = [`${host}/app:1`, `${host}/app:2`] as const;
    forget(...images);
    const agent = await agentOnEngine();
    const wish = (image: string) => target({ one: { image, labels: { "io.balena.update.strategy": strategy } } });
    await push(docker, local, "app:1");
    await makeImage(docker, "fairlead-pull:2", undefined, ["ENV TWO=yes"]);
    await push(docker, "fairlead-pull:2", "app:2");
    await agent.accept(wish(images[0]));
    await agent.settled();
    const happened = await watch();
    await agent.accept(wish(images[1]));
    await agent.settled();
    const relevant = happened.map(({ what }) => what).filter((what) => /^(pull|untag|start|die) /.test(what));
    // An image has a name by tag and one by digest, and both are removed.
    return [...new Set(relevant.map((what) => what.replace(`${host}/`, "").replace(/sha256:.*/, "the old image")))];
  }

  test("is downloaded before its predecessor is stopped with download-then-kill", async () => {
    expect(await update("download-then-kill")).toEqual(["pull app:2", "die one_1_1_c1", "start one_1_1_c1"]);
  });

  test("is downloaded after its predecessor was stopped with kill-then-download", async () => {
    expect(await update("kill-then-download")).toEqual(["die one_1_1_c1", "pull app:2", "start one_1_1_c1"]);
  });

  test("is downloaded after its predecessor was removed with delete-then-download", async () => {
    expect(await update("delete-then-download")).toEqual([
      "die one_1_1_c1",
      "untag the old image",
      "pull app:2",
      "start one_1_1_c1",
    ]);
  });
});
