import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A client on a plain socket. The test decides when it reads and when it disconnects. */
export async function rawClient(port: number, request: string, host = "127.0.0.1"): Promise<RawClient> {
  const socket = connect(port, host);
  onTestFinished(() => void socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.write(request);
  return new RawClient(socket);
}

export class RawClient {
  readonly socket: Socket;
  #text = "";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.pause();
  }

  /** Reads until this text has arrived, and returns everything received so far. */
  async until(expected: string): Promise<string> {
    if (this.#text.includes(expected)) return this.#text;
    await new Promise<void>((resolve, reject) => {
      const onData = (bytes: Buffer) => {
        this.#text += bytes.toString();
        if (this.#text.includes(expected)) end(resolve);
      };
      const onClose = () => end(() => reject(new Error(`It ended without ${expected}: ${this.#text}`)));
      const end = (then: () => void) => {
        this.socket.pause();
        this.socket.off("data", onData);
        this.socket.off("close", onClose);
        then();
      };
      this.socket.on("data", onData);
      this.socket.on("close", onClose);
      this.socket.resume();
    });
    return this.#text;
  }

  /** Reads to the end. */
  async all(): Promise<string> {
    if (this.socket.readableEnded || this.socket.destroyed) return this.#text;
    await new Promise<void>((resolve) => {
      this.socket.on("data", (bytes: Buffer) => (this.#text += bytes.toString()));
      this.socket.once("close", () => resolve());
      this.socket.resume();
    });
    return this.#text;
  }

  leave(): void {
    this.socket.destroy();
  }
}

export const get = (path: string, headers = ""): string => `GET ${path} HTTP/1.1\r\nHost: device\r\n${headers}\r\n`;

/** Polls until a condition holds, for conditions that no event announces. */
export async function eventually(holds: () => boolean, ms = 5000): Promise<void> {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error("It did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
