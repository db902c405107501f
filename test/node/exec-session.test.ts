import { PassThrough } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { expect, test } from "vitest";
import { createClient } from "../../core/client/index.ts";
import { runExec, type ExecOptions } from "../../runtimes/cli/device/exec-session.ts";
import { app, testDevice } from "../support/device.ts";

/** `runExec` with a device in memory. */
async function inWeb() {
  const device = await testDevice();
  await device.run({ "1": app({ web: {} }) });
  const client = createClient({ fetch: device.fetch });
  const modes: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (isRaw: boolean) => modes.push(isRaw) });
  const stdout = Object.assign(new PassThrough(), { columns: 93, rows: 31 });
  const stderr = new PassThrough();
  const run = (options: Partial<ExecOptions>) => {
    const ended = runExec(client, { appId: 1, service: "web", tty: false, ...options }, { stdin, stdout, stderr });
    return ended.finally(() => [stdout, stderr].forEach((one) => one.end()));
  };
  return { device, modes, stdin, stdout, stderr, run };
}

test("a terminal is in raw mode while the program runs, and its new sizes are passed on", async () => {
  const { modes, stdin, stdout, run } = await inWeb();
  let seen = "";
  stdout.on("data", (chunk) => (seen += String(chunk)));
  const code = run({ tty: true });
  await expect.poll(() => seen).toContain("# ");
  expect(modes).toEqual([true]);
  stdin.write("stty size\r");
  await expect.poll(() => seen).toContain("31 93\r\n");
  Object.assign(stdout, { columns: 41, rows: 17 }).emit("resize");
  await new Promise((resolve) => setTimeout(resolve, 20));
  stdin.write("stty size\rexit 5\r");
  expect(await code).toBe(5);
  expect(seen).toContain("17 41\r\n");
  expect(modes).toEqual([true, false]);
});

test("without a terminal, the input is sent to its end, and the streams stay apart", async () => {
  const { modes, stdin, stdout, run } = await inWeb();
  const output = textOf(stdout);
  const code = run({ command: ["cat"] });
  const large = "0123456789".repeat(20_000);
  stdin.end(large);
  expect([await code, await output]).toEqual([0, large]);
  expect(modes).toEqual([]);

  const other = await inWeb();
  const streams = [textOf(other.stdout), textOf(other.stderr)];
  expect(await other.run({ command: ["sh", "-c", "echo out; echo err >&2; exit 3"] })).toBe(3);
  expect(await Promise.all(streams)).toEqual(["out\n", "err\n"]);
});

test("a program that cannot be started, or is cut off, is an error that says why; the terminal is as before", async () => {
  const { device, modes, stdout, run } = await inWeb();
  stdout.resume();
  await expect(run({ service: "wbe" })).rejects.toThrow(/no container of a service "wbe", only of: web/);
  const other = await inWeb();
  const seen = new Promise((resolve) => other.stdout.once("data", resolve));
  const cut = other.run({ tty: true });
  await seen;
  other.stdout.resume();
  void other.device.stop();
  await expect(cut).rejects.toThrow("The program was cut off: the agent stops");
  expect([modes, other.modes]).toEqual([[], [true, false]]);
  expect(device.log.lines.join()).not.toContain("has started");
});
