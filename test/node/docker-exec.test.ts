import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { DockerExec } from "../../runtimes/node/engine/docker-exec.ts";

test.each([
  ["that ends at once, once", [false], 1],
  ["that had only just been started, again", [true, true, false], 3],
  ["that ignores the signal, a bounded number of times", [true, true, true, true, true, true], 4],
])("a program %s is hung up", async (_, running, times) => {
  const answers = [...running];
  const pauses: number[] = [];
  let hangUps = 0;
  const stream = new PassThrough();
  const exec = new DockerExec({
    stream,
    hasTerminal: true,
    clock: { sleep: async (ms) => void pauses.push(ms) },
    inspect: async () => ({ Running: answers.shift() ?? false, ExitCode: null }),
    resize: async () => {},
    hangUp: async () => void hangUps++,
  });
  await exec.hangUp();
  expect(hangUps).toBe(times);
  expect(pauses.length).toBe(times);
  expect(stream.destroyed).toBe(true);
});
