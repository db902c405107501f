import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { docker, environmentOf, inspect, names, programOnEngine, target, watch } from "./on-the-engine.ts";

/** The real program in a separate process, ended in different ways and started again. */

const image = "fairlead-ends:1";

const wish = (value: string) =>
  target({
    one: { image, environment: { A: value } },
    two: { image, environment: { A: value }, depends_on: ["one"] },
    three: { image, environment: { A: "same" } },
  });

describe.skipIf(noDocker !== undefined)("when the agent is ended", () => {
  beforeAll(() => makeImage(docker, image));

  test("by SIGTERM, the containers run on, and the next start takes them over", async () => {
    const { start } = await programOnEngine();
    const first = await start();
    await first.accept(wish("1"));
    const before = await first.settled();
    const states = () => Promise.all(Object.values(before).map(async (id) => (await inspect(id)).State));
    const running = await states();
    await first.end("SIGTERM");
    expect(await states()).toEqual(running);

    const second = await start();
    expect(await second.settled()).toEqual(before);
    expect(await states()).toEqual(running);
  });

  test("by SIGKILL in the middle of an update, the next start completes the update and leaves nothing behind", async () => {
    const { folder, start } = await programOnEngine();
    let agent = await start();
    await agent.accept(wish("0"));
    const { three } = await agent.settled();
    for (const moment of ["kill one", "destroy two", "create one"]) {
      const reached = Promise.withResolvers<void>();
      await watch((what) => what.startsWith(moment) && reached.resolve());
      await agent.accept(wish(moment));
      await reached.promise;
      await agent.end("SIGKILL");

      agent = await start();
      const after = await agent.settled();
      expect(await names()).toEqual(["one_1_1_c1", "three_3_1_c1", "two_2_1_c1"]);
      expect(after["three"]).toBe(three);
      for (const service of ["one", "two"]) {
        expect((await environmentOf(after[service]))["A"]).toBe(moment);
        expect((await inspect(after[service])).State.Running).toBe(true);
        expect(await readdir(join(folder, "tmp/balena-supervisor/services/1", service))).toEqual([]);
      }
    }
  }, 240_000);
});
