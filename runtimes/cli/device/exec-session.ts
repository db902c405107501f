import { Buffer } from "node:buffer";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ExecFrame } from "../../../core/api/device/exec.ts";
import { SettingsError } from "../../node/settings-error.ts";
import { linesOf } from "../ndjson.ts";
import { expectStatus, type Device } from "./client.ts";

export interface ExecOptions {
  readonly appId: number;
  readonly service: string;
  /** Absent: a shell. */
  readonly command?: readonly string[] | undefined;
  /** With a terminal: then the local one is in raw mode. */
  readonly tty: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  readonly user?: string | undefined;
  readonly workdir?: string | undefined;
}

/** Those of this process. */
export interface ExecStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean; readonly setRawMode?: (isRaw: boolean) => unknown };
  readonly stdout: Writable & { readonly columns?: number; readonly rows?: number };
  readonly stderr: Writable;
}

/** Fewer bytes than a request may have, in base64. */
const inputBytes = 32 * 1024;
const retryMs = 300;
/** The device ends a session that nobody has read for 30 s. */
const reconnections = 20;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs a program in a container, with the terminal or the pipes of this process. Resolves with its exit code, and leaves the
 * terminal as it was. Throws `SettingsError` if the program cannot be started, or was cut off.
 */
export async function runExec(
  device: Device,
  { appId, service, command, tty, environment = {}, user, workdir }: ExecOptions,
  { stdin, stdout, stderr }: ExecStreams = process,
): Promise<number> {
  // A pseudo-terminal without a size has 0 columns.
  const size = () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 });
  const body = {
    ...{ tty, ...size(), environment },
    ...(command && { command: [...command] }),
    ...(user !== undefined && { user }),
    ...(workdir !== undefined && { workdir }),
  };
  const { id } = expectStatus(await device.startExec.reply({ params: { appId, service }, body }), 201);
  const params = { sessionId: id };
  const resize = () => void device.resizeExec.reply({ params, body: size() }).catch(() => {});
  const hangUp = () => void device.endExec.reply({ params }).catch(() => {});
  const isRaw = tty && stdin.isTTY === true;
  let isOver = false;
  try {
    if (isRaw) stdin.setRawMode?.(true);
    if (tty) stdout.on("resize", resize);
    for (const signal of signals) process.on(signal, hangUp);
    void sendInput(device, id, stdin).catch(() => {});
    for await (const frame of framesOf(device, id)) {
      if ("stdout" in frame) await write(stdout, frame.stdout);
      else if ("stderr" in frame) await write(stderr, frame.stderr);
      else {
        isOver = true;
        if (frame.exitCode !== null) return frame.exitCode;
        throw new SettingsError(`The program was cut off: ${frame.reason}`);
      }
    }
    throw new SettingsError("The connection to the program was lost");
  } finally {
    if (isRaw) stdin.setRawMode?.(false);
    stdout.off("resize", resize);
    for (const signal of signals) process.off(signal, hangUp);
    stdin.destroy();
    if (!isOver) hangUp();
  }
}

/** Sends what is typed, in order and once, until the session has ended. */
async function sendInput(device: Device, sessionId: string, stdin: Readable): Promise<void> {
  let sequence = 0;
  const send = async (body: { readonly data?: string; readonly end?: true }) => {
    sequence++;
    for (;;) {
      const { status } = await device.execInput
        .reply({
          params: { sessionId },
          body: { ...body, sequence },
        })
        .catch(() => ({ status: 503 }));
      if (status !== 503) return;
      await sleep(retryMs);
    }
  };
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk);
    for (let at = 0; at < bytes.length; at += inputBytes)
      await send({ data: bytes.subarray(at, at + inputBytes).toString("base64") });
  }
  await send({ end: true });
}

/** The output, read again when the connection breaks. */
async function* framesOf(device: Device, sessionId: string): AsyncIterable<ExecFrame> {
  for (let lost = 0; lost <= reconnections; lost++) {
    if (lost > 0) await sleep(retryMs);
    const answer = await device.execOutput.reply({ params: { sessionId } }).catch(() => undefined);
    if (answer) yield* linesOf(expectStatus(answer, 200), ExecFrame);
  }
}

const write = (to: Writable, base64: string): Promise<void> =>
  new Promise((resolve, reject) =>
    to.write(Buffer.from(base64, "base64"), (error) => (error ? reject(error) : resolve())),
  );
