import type { Exec, ExecOutput, ExecRequest, TerminalSize } from "../ports/engine.ts";

/** Pieces of output that wait for the reader. */
const waitingPieces = 100;

/**
 * A simulated program in a container: `cat`, `echo`, `sleep`, and a shell that knows `echo … [>&2]`, `exit [n]` and `stty size`.
 * `life` fires when the container ends.
 */
export function startProgram({ command, terminal }: ExecRequest, life: AbortSignal): Exec {
  const program = new SimulatedProgram(terminal);
  life.addEventListener("abort", () => program.exit(137));
  program.run(command);
  return program;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

class SimulatedProgram implements Exec {
  readonly output: ReadableStream<ExecOutput>;
  readonly #writer: WritableStreamDefaultWriter<ExecOutput>;
  #size: TerminalSize | undefined;
  #take: (bytes: Uint8Array) => Promise<void> = async () => {};
  #code: number | undefined;
  #line = "";

  constructor(size: TerminalSize | undefined) {
    const { readable, writable } = new TransformStream<ExecOutput, ExecOutput>({}, undefined, {
      highWaterMark: waitingPieces,
    });
    this.output = readable;
    this.#writer = writable.getWriter();
    void this.#writer.closed.catch(() => {});
    this.#size = size;
  }

  run([path = "", ...words]: readonly string[]): void {
    const name = path.split("/").at(-1) ?? "";
    const [option, script = ""] = words;
    if (name === "cat") this.#take = (bytes) => this.#write(bytes, false);
    else if (name === "echo") void this.#print(`${words.join(" ")}\n`).then(() => this.exit(0));
    else if ((name === "sh" || name === "bash") && option === "-c" && !/\bexec \/bin\/sh$/.test(script))
      void this.#runScript(script.split(/[;\n]/)).then((code) => this.exit(code));
    else if (name === "sh" || name === "bash") void this.#beInteractive();
    else if (name !== "sleep")
      void this.#print(`exec: "${path}": executable file not found in $PATH: unknown\n`).then(() => this.exit(127));
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#code === undefined ? this.#take(bytes) : Promise.resolve();
  }

  async endInput(): Promise<void> {
    this.exit(0);
  }

  async resize(size: TerminalSize): Promise<void> {
    this.#size = size;
  }

  async exitCode(): Promise<number | undefined> {
    return this.#code;
  }

  async hangUp(): Promise<void> {
    this.exit(129);
  }

  exit(code: number): void {
    if (this.#code !== undefined) return;
    this.#code = code;
    void this.#writer.close().catch(() => {});
  }

  async #beInteractive(): Promise<void> {
    const prompt = () => (this.#size ? this.#print("# ") : Promise.resolve());
    this.#take = async (bytes) => {
      for (const character of decoder.decode(bytes)) {
        if (this.#size && character === "\x04") return this.exit(0);
        if (this.#size) await this.#print(character === "\r" ? "\n" : character);
        if (character !== "\n" && character !== "\r") this.#line += character;
        else {
          const code = await this.#runScript([this.#line], true);
          this.#line = "";
          if (code !== undefined) return this.exit(code);
          await prompt();
        }
      }
    };
    await prompt();
  }

  async #runScript(lines: readonly string[], isInteractive: true): Promise<number | undefined>;
  async #runScript(lines: readonly string[]): Promise<number>;
  async #runScript(lines: readonly string[], isInteractive = false): Promise<number | undefined> {
    let code = 0;
    for (const line of lines.map((one) => one.trim())) {
      const [name, ...words] = line.split(" ");
      code = 0;
      if (name === "exit") return Number(words[0] ?? 0);
      else if (name === "echo")
        await this.#print(`${words.filter((word) => word !== ">&2").join(" ")}\n`, words.includes(">&2"));
      else if (line === "stty size") await this.#print(`${this.#size?.rows ?? 0} ${this.#size?.columns ?? 0}\n`);
      else if (name) {
        code = 127;
        await this.#print(`sh: ${name}: not found\n`, true);
      }
    }
    return isInteractive ? undefined : code;
  }

  #print(text: string, isStdErr = false): Promise<void> {
    return this.#write(encoder.encode(this.#size ? text.replaceAll("\n", "\r\n") : text), isStdErr);
  }

  /** Waits while the output is not read. */
  #write(bytes: Uint8Array, isStdErr: boolean): Promise<void> {
    return this.#writer.write({ isStdErr: isStdErr && !this.#size, bytes }).catch(() => {});
  }
}
