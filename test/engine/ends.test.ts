import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startProgram } from "../node/program.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { freePort, makeImage, noDocker, sweep } from "../support/docker.ts";
import { docker, environmentOf, inspect, names, remote, target, watch, type Remote } from "./on-the-engine.ts";

/** The real program in a separate process, ended in different ways and started again. */

const image = "fairlead-ends:1";

interface Running extends Remote {
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

/** A device on which the program can be started repeatedly. */
async function device() {
  const folder = await temporaryFolder();
  onTestFinished(() => sweep(docker));
  const port = String(await freePort());
  const start = async (): Promise<Running> => {
    const environment = process.env["DOCKER_HOST"] === undefined ? {} : { DOCKER_HOST: process.env["DOCKER_HOST"] };
    const paths = ["--state-dir", join(folder, "state"), "--host-root", folder];
    const program = startProgram(["agent", "--port", port, ...paths, "--iptables", "no"], environment);
    await expect.poll(() => program.stdout(), { timeout: 60_000 }).toContain("answers on");
    return {
      ...remote(`http://127.0.0.1:${port}`),
      end: async (signal) => {
        program.kill(signal);
        const { code, signal: by } = await program.ended;
        expect(by ?? code).toBe(signal === "SIGKILL" ? "SIGKILL" : 0);
      },
    };
  };
  return { folder, start };
}

const wish = (value: string) =>
  target({
    one: { image, environment: { A: value } },
    two: { image, environment: { A: value }, depends_on: ["one"] },
    three: { image, environment: { A: "same" } },
  });

describe.skipIf(noDocker !== undefined)("when the agent is ended", () => {
  beforeAll(() => makeImage(docker, image));

  test("by SIGTERM, the containers run on, and the next start takes them over", async () => {
    const { start } = await device();
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
    const { folder, start } = await device();
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
