import type { Duplex } from "node:stream";
import type { Clock } from "../../../core/ports/clock.ts";
import type { Exec, ExecOutput, TerminalSize } from "../../../core/ports/engine.ts";
import { frames } from "./docker-streams.ts";

interface Parts {
  /** The connection to the program. */
  readonly stream: Duplex;
  readonly hasTerminal: boolean;
  readonly clock: Pick<Clock, "sleep">;
  readonly inspect: () => Promise<Inspected | undefined>;
  readonly resize: (size: TerminalSize) => Promise<void>;
  /** Sends SIGHUP to the program and its children. */
  readonly hangUp: () => Promise<void>;
}

/** `Pid`: 0 while the program is being started; then it "runs" already. */
interface Inspected {
  readonly Running: boolean;
  readonly ExitCode: number | null;
  readonly Pid: number;
}

const endOfTransmission = Uint8Array.of(4);

/** How often, and after which pauses, it is asked for the exit code: the engine may know it a moment after the output ends. */
const inspections = 20;
const inspectionPauseMs = 50;
const hangUpPausesMs = [50, 100, 200, 400, 800];
/** A busy engine starts a program in seconds. */
const [mostStartPauses, startPauseMs] = [200, 50];

/** A program that Docker has started with `exec`. */
export class DockerExec implements Exec {
  readonly output: AsyncIterable<ExecOutput>;
  readonly #parts: Parts;
  #isOver = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.output = this.#read();
    parts.stream.on("error", () => {});
  }

  write(bytes: Uint8Array): Promise<void> {
    const { stream } = this.#parts;
    return new Promise((resolve) => {
      if (!stream.writable) return resolve();
      const done = () => {
        stream.off("close", done);
        resolve();
      };
      stream.once("close", done);
      stream.write(bytes, done);
    });
  }

  /** With a terminal, Docker ends the output, too, when the connection is half closed. */
  async endInput(): Promise<void> {
    const { stream, hasTerminal } = this.#parts;
    if (hasTerminal) await this.write(endOfTransmission);
    else stream.end();
  }

  resize(size: TerminalSize): Promise<void> {
    return this.#parts.resize(size);
  }

  async exitCode(): Promise<number | undefined> {
    const { clock, inspect } = this.#parts;
    for (let n = 0; n < inspections; n++) {
      const found = await inspect();
      if (found?.Running !== true) return found?.ExitCode ?? undefined;
      await clock.sleep(inspectionPauseMs);
    }
    return undefined;
  }

  /** Repeated while the program runs: one that has just been started is not found by its environment yet. */
  async hangUp(): Promise<void> {
    const { clock, hangUp, inspect, stream } = this.#parts;
    let starts = 0;
    for (let n = 0; n < hangUpPausesMs.length && !this.#isOver;) {
      const found = await inspect().catch(() => undefined);
      if (found === undefined || (!found.Running && found.ExitCode != null)) break;
      if (found.Pid === 0 && starts++ < mostStartPauses) await clock.sleep(startPauseMs);
      else {
        await hangUp().catch(() => {});
        await clock.sleep(hangUpPausesMs[n++] ?? 0);
      }
    }
    stream.destroy();
  }

  async *#read(): AsyncIterable<ExecOutput> {
    const { stream, hasTerminal } = this.#parts;
    try {
      if (hasTerminal) for await (const bytes of stream) yield { isStdErr: false, bytes };
      else yield* frames(stream);
    } catch {
      // The connection was closed, by `hangUp` or by the engine.
    } finally {
      this.#isOver = true;
    }
  }
}
