import type { EventSink } from "../events/events.ts";
import { fromBase64, toBase64 } from "../model/base64.ts";
import type { Container } from "../model/container.ts";
import type { ExecFrame } from "../model/exec-frame.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine, Exec, ExecRequest, TerminalSize } from "../ports/engine.ts";

/** A session without a command: bash if there is one. */
export const defaultShell = ["/bin/sh", "-c", "[ -x /bin/bash ] && exec /bin/bash; exec /bin/sh"] as const;

/** Sessions at once: each holds a connection to the engine. */
export const mostSessions = 8;
/** A session that nobody reads for so long ends. */
const unreadMs = 30_000;
const longestMs = 12 * 60 * 60_000;
/** Bytes of output that wait for the reader. When there are more, the engine, and with it the program, has to wait. */
const outputBytes = 64 * 1024;
/** Bytes of input that wait for the program. */
const inputBytes = 1024 * 1024;

interface Parts {
  readonly engine: Pick<Engine, "exec">;
  readonly clock: Clock;
  readonly events: EventSink;
}

/** Programs that callers have started in containers. */
export class ExecSessions {
  readonly #parts: Parts;
  readonly #sessions = new Map<string, ExecSession>();
  #opening = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `by`: the principal, for the events. Undefined: there are `mostSessions` already. */
  async open(
    { id, appId, service }: Pick<Container, "id" | "appId" | "service">,
    request: ExecRequest,
    by: string,
  ): Promise<ExecSession | undefined> {
    const { engine, clock, events } = this.#parts;
    if (this.#sessions.size + this.#opening >= mostSessions) return undefined;
    this.#opening++;
    try {
      const exec = await engine.exec(id, request);
      const about = { appId, service, command: nameOf(request.command), by };
      events.emit({ kind: "execStarted", ...about });
      const session = new ExecSession(exec, request.terminal !== undefined, clock, (reason) => {
        this.#sessions.delete(session.id);
        events.emit({ kind: "execEnded", ...about, reason });
      });
      this.#sessions.set(session.id, session);
      return session;
    } finally {
      this.#opening--;
    }
  }

  find(id: string): ExecSession | undefined {
    return this.#sessions.get(id);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.end("the agent stops")));
  }
}

/** The program, without its arguments: they may be secret. */
const nameOf = ([program = ""]: readonly string[]): string => program.split(/\s/)[0]?.slice(0, 64) ?? "";

/** `gap`: the number that was expected. */
type InputOutcome = { readonly is: "taken" | "full" } | { readonly is: "gap"; readonly expected: number };

class ExecSession {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly hasTerminal: boolean;
  readonly #exec: Exec;
  readonly #clock: Clock;
  readonly #ended: (reason: string) => void;
  readonly #over = new AbortController();
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #readerCame: () => void = () => {};
  /** Fires when a reader comes. */
  #unread = new AbortController();
  /** The number of the last input. */
  #sequence = 0;
  #written = Promise.resolve();
  #unwritten = 0;
  #reason: string | undefined;

  constructor(exec: Exec, hasTerminal: boolean, clock: Clock, ended: (reason: string) => void) {
    this.id = clock.token(16);
    this.expiresAt = clock.now() + longestMs;
    this.hasTerminal = hasTerminal;
    this.#exec = exec;
    this.#clock = clock;
    this.#ended = ended;
    void this.#endAfter(longestMs, this.#over.signal, "it has lasted 12 hours");
    this.#awaitReader();
    void this.#pump();
  }

  /** The output from here on, as NDJSON of `ExecFrame`. There is one reader: the former one is cut off. */
  read(): ReadableStream<Uint8Array> {
    const size = new ByteLengthQueuingStrategy({ highWaterMark: outputBytes });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, undefined, size);
    const writer = writable.getWriter();
    void this.#writer?.abort(new Error("Another reader has taken over the session")).catch(() => {});
    this.#writer = writer;
    this.#unread.abort();
    // Rejects when the reader leaves.
    void writer.closed.catch(() => this.#left(writer));
    this.#readerCame();
    return readable;
  }

  /**
   * Types bytes, and then ends the input. Input with a number is typed once, in order, however often it is sent; the first
   * number is 1. Resolves when the engine has taken the bytes.
   */
  async input(data: string, { end, sequence }: { end: boolean; sequence?: number | undefined }): Promise<InputOutcome> {
    if (sequence !== undefined && sequence > this.#sequence + 1) return { is: "gap", expected: this.#sequence + 1 };
    if (sequence === undefined || sequence > this.#sequence) {
      const bytes = fromBase64(data);
      if (this.#unwritten > 0 && this.#unwritten + bytes.length > inputBytes) return { is: "full" };
      this.#sequence = sequence ?? this.#sequence;
      this.#unwritten += bytes.length;
      this.#written = this.#written.then(async () => {
        if (bytes.length > 0) await this.#exec.write(bytes);
        this.#unwritten -= bytes.length;
        if (end) await this.#exec.endInput();
      });
    }
    await this.#written;
    return { is: "taken" };
  }

  resize(size: TerminalSize): Promise<void> {
    return this.#exec.resize(size);
  }

  /** `reason`: a part of a sentence, for the reader and the events. */
  async end(reason: string): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.#finish(reason);
    await this.#exec.hangUp();
  }

  async #endAfter(ms: number, signal: AbortSignal, reason: string): Promise<void> {
    await this.#clock.sleep(ms, signal);
    if (!signal.aborted) await this.end(reason);
  }

  #awaitReader(): void {
    this.#unread = new AbortController();
    const signal = AbortSignal.any([this.#unread.signal, this.#over.signal]);
    void this.#endAfter(unreadMs, signal, `nobody has read its output for ${unreadMs / 1000} s`);
  }

  #left(writer: WritableStreamDefaultWriter<Uint8Array>): void {
    if (this.#writer !== writer) return;
    this.#writer = undefined;
    if (!this.#over.signal.aborted) this.#awaitReader();
  }

  async #pump(): Promise<void> {
    let fault: string | undefined;
    try {
      for await (const { isStdErr, bytes } of this.#exec.output)
        await this.#send(isStdErr ? { stderr: toBase64(bytes) } : { stdout: toBase64(bytes) });
    } catch (error) {
      fault = messageOf(error);
    }
    const code = this.#reason === undefined && fault === undefined ? await this.#exitCode() : undefined;
    const reason = this.#reason ?? fault ?? "its container has ended, or the engine does not answer";
    await this.#send(code === undefined ? { exitCode: null, reason } : { exitCode: code });
    void this.#writer?.close().catch(() => {});
    this.#finish(code === undefined ? reason : `exit code ${code}`);
  }

  #exitCode(): Promise<number | undefined> {
    return this.#exec.exitCode().catch(() => undefined);
  }

  #finish(reason: string): void {
    if (this.#over.signal.aborted) return;
    this.#reason = reason;
    this.#over.abort();
    this.#readerCame();
    this.#ended(reason);
  }

  /** Waits for a reader, while there is none and the session lasts. */
  async #send(frame: ExecFrame): Promise<void> {
    const line = encoder.encode(`${JSON.stringify(frame)}\n`);
    for (;;) {
      const writer = this.#writer;
      if (writer)
        try {
          return await writer.write(line);
        } catch {
          this.#left(writer);
        }
      else if (this.#over.signal.aborted) return;
      else await new Promise<void>((resolve) => (this.#readerCame = resolve));
    }
  }
}

const encoder = new TextEncoder();
