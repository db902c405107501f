import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { DockerExec } from "../../runtimes/node/engine/docker-exec.ts";

const created = { Running: false, ExitCode: null, Pid: 0 };
const starting = { Running: true, ExitCode: null, Pid: 0 };
const running = { Running: true, ExitCode: null, Pid: 42 };
const ended = { Running: false, ExitCode: 129, Pid: 42 };

test.each([
  ["that has ended is not hung up", [ended], 0],
  ["that ends at once is hung up once", [running, ended], 1],
  ["that has only just been started is hung up again", [running, running, ended], 2],
  ["is hung up when it has been started", [created, starting, starting, running, ended], 1],
  ["that ignores the signal is hung up a bounded number of times", Array.from({ length: 9 }, () => running), 5],
  ["that is never started is given up", Array.from({ length: 999 }, () => starting), 5],
])("a program %s", async (_, states, times) => {
  const answers = [...states];
  let hangUps = 0;
  const stream = new PassThrough();
  const exec = new DockerExec({
    stream,
    hasTerminal: true,
    clock: { sleep: async () => {} },
    inspect: async () => answers.shift(),
    resize: async () => {},
    hangUp: async () => void hangUps++,
  });
  await exec.hangUp();
  expect(hangUps).toBe(times);
  expect(stream.destroyed).toBe(true);
});
