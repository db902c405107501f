import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { makeImage, noDocker, startRegistry } from "../support/docker.ts";
import { slowLine } from "../support/slow-line.ts";
import { docker, pause, target } from "./on-the-engine.ts";
import { agentOn, megabyte, smallEngine } from "./small-engine.ts";

/** Downloads on a disk of 500 MB, of which 200 MB stay in reserve. */

const Problems = z.object({ problems: z.array(z.object({ kind: z.string(), message: z.string() })) });

/** An agent on this engine. The updates of a device without a cloud are checked, since its target state says so. */
async function guardedOn(small: Awaited<ReturnType<typeof smallEngine>>) {
  const { said, settled, accept, get } = await agentOn(small);
  return {
    said,
    settled,
    update: (image: string) =>
      accept(target({ one: { image, network_mode: "host" } }, { config: { SUPERVISOR_SAFE_UPDATES: "on" } })),
    problems: async () => {
      const { problems } = Problems.parse(await (await get("/v3/problems")).json());
      return problems.map(({ kind, message }) => `${kind}: ${message}`);
    },
  };
}

/** A registry behind a slow line, with an image of 60 MB that cannot be compressed. */
async function slowRegistry(bytesPerSecond: number) {
  const { host, push, stop } = await startRegistry();
  onTestFinished(() => stop());
  await push(docker, large, "large:1");
  const line = await slowLine(host, bytesPerSecond);
  return { sent: line.sent, image: `${line.host}/large:1` };
}

const large = "fairlead-large:1";

describe.skipIf(noDocker !== undefined)("on a small disk", () => {
  beforeAll(async () => {
    const random = 'RUN ["/bin/busybox", "dd", "if=/dev/urandom", "of=/blob", "bs=1000000", "count=60"]';
    await makeImage(docker, large, undefined, [random]);
    return async () => void (await docker.getImage(large).remove({ force: true }));
  });

  test("a pull that would not fit is not begun, until there is space", async () => {
    const small = await smallEngine();
    const { sent, image } = await slowRegistry(50_000_000);
    const agent = await guardedOn(small);
    await small.leave(400 * megabyte);
    await agent.update(image);
    await expect
      .poll(agent.problems, { timeout: 20_000 })
      .toEqual([
        expect.stringMatching(
          /^diskFull: The update waits for space on the disk: 21\d MB needed, \d+ MB free, 200 MB kept in reserve$/,
        ),
      ]);
    await pause(3_000);
    // A manifest and a configuration, and no layer.
    expect(sent()).toBeLessThan(20_000);
    expect(await small.images()).toEqual([]);

    await small.cleanUp();
    await expect.poll(small.images, { timeout: 60_000, interval: 500 }).toEqual([image]);
    await agent.settled();
    expect(await agent.problems()).toEqual([]);
  });

  test("a pull during which the space is used up is ended, and goes on when there is space", async () => {
    const small = await smallEngine();
    const { sent, image } = await slowRegistry(4_000_000);
    const agent = await guardedOn(small);
    await agent.update(image);
    await expect.poll(sent, { timeout: 30_000, interval: 50 }).toBeGreaterThan(4_000_000);
    await small.leave(100 * megabyte);
    await expect
      .poll(() => agent.said.join("\n"), { timeout: 20_000 })
      .toMatch(/too little space left: 1?\d\d MB free/);
    await pause(1_000);
    const before = sent();
    await pause(15_000);
    expect(sent()).toBe(before);
    expect(await small.images()).toEqual([]);
    expect(await small.free()).toBeGreaterThan(50 * megabyte);

    await small.cleanUp();
    await expect.poll(small.images, { timeout: 100_000, interval: 500 }).toEqual([image]);
    await agent.settled();
    expect(await agent.problems()).toEqual([]);
  });
});
