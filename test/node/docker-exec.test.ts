import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { DockerExec } from "../../runtimes/node/engine/docker-exec.ts";

const starting = { Running: false, ExitCode: null };
const running = { Running: true, ExitCode: null };
const ended = { Running: false, ExitCode: 129 };

test.each([
  ["that ends at once, once", [ended], 1],
  ["that had only just been started, again", [running, running, ended], 3],
  ["that is still being started, again", [starting, running, ended], 3],
  ["that ignores the signal, a bounded number of times", Array.from({ length: 9 }, () => running), 5],
])("a program %s is hung up", async (_, states, times) => {
  const answers = [...states];
  const pauses: number[] = [];
  let hangUps = 0;
  const stream = new PassThrough();
  const exec = new DockerExec({
    stream,
    hasTerminal: true,
    clock: { sleep: async (ms) => void pauses.push(ms) },
    inspect: async () => answers.shift(),
    resize: async () => {},
    hangUp: async () => void hangUps++,
  });
  await exec.hangUp();
  expect(hangUps).toBe(times);
  expect(pauses.length).toBe(times);
  expect(stream.destroyed).toBe(true);
});
