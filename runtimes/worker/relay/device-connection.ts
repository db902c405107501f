import * as z from "zod";
import { ProtocolError, type Bytes } from "../../../core/relay/frame.ts";
import { Requester } from "../../../core/relay/requester.ts";

/** A device whose last ping is older is disconnected, whatever its socket says; it pings every 30 s. */
const silentMs = 100_000;

/** Sent to a device before its socket is closed: the device may never see the close itself. */
export const closeCodes = { replaced: 4001, protocol: 4002, forgotten: 4003 } as const;
type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/** Stored with a socket, for after a hibernation. */
const Attachment = z.object({ since: z.number() });

interface Connection {
  readonly socket: WebSocket;
  readonly requester: Requester;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** The socket of a session's device, across hibernations: the newest one counts. */
export class DeviceConnection {
  readonly #state: DurableObjectState;
  #current: Connection | undefined;

  constructor(state: DurableObjectState) {
    this.#state = state;
    // The platform answers, without waking the object.
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    // Sockets survive a hibernation. Calls do not need to: there is no hibernation while one is in progress.
    const socket = state.getWebSockets().findLast(({ readyState }) => readyState === WebSocket.OPEN);
    if (socket) this.#open(socket, Attachment.parse(socket.deserializeAttachment()).since).forgetOthers();
  }

  /** The device's end of a new socket. It replaces the old one, which the device has lost even if no close has arrived. */
  accept(): WebSocket {
    this.close(closeCodes.replaced);
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.#state.acceptWebSocket(ours);
    const since = Date.now();
    ours.serializeAttachment({ since });
    this.#open(ours, since);
    return theirs;
  }

  /** Undefined also while the device has been silent for too long. */
  live(): Connection | undefined {
    const current = this.#current;
    if (!current || current.socket.readyState !== WebSocket.OPEN) return undefined;
    const pingedAt = this.#state.getWebSocketAutoResponseTimestamp(current.socket)?.getTime() ?? 0;
    return Date.now() - Math.max(pingedAt, current.since) < silentMs ? current : undefined;
  }

  receive(socket: WebSocket, message: string | ArrayBuffer): void {
    if (socket !== this.#current?.socket) return;
    try {
      if (typeof message === "string") throw new ProtocolError("Text, which only keeps the socket open");
      this.#current.requester.receive(message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      console.warn(`The device does not keep to the protocol: ${error.message}`);
      this.close(closeCodes.protocol);
    }
  }

  closed(socket: WebSocket): void {
    if (socket === this.#current?.socket) this.#drop("the connection to the device has ended");
  }

  /** A socket that is closed from here may stay half open; the text makes the device close it. */
  close(code: CloseCode): void {
    for (const socket of this.#state.getWebSockets())
      try {
        socket.send(`bye:${code}`);
        socket.close(code);
      } catch {
        // Closed already.
      }
    this.#drop(code === closeCodes.replaced ? "the device has connected anew" : "the connection to the device was cut");
  }

  /** Ends the calls of those who may no longer call. */
  review(): void {
    this.#current?.requester.review();
  }

  #open(socket: WebSocket, since: number): Requester {
    const firstId = 1 + Math.floor(Math.random() * 0x7fff_ffff);
    const send = (message: Bytes) => {
      try {
        socket.send(message);
      } catch {
        // Closed: the close event follows, and fails the calls in progress.
      }
    };
    const requester = new Requester({ send, tick, firstId });
    this.#current = { socket, requester, since };
    return requester;
  }

  #drop(reason: string): void {
    const current = this.#current;
    this.#current = undefined;
    current?.requester.close(reason);
  }
}

const tick = () => new Promise<void>((resolve) => setTimeout(resolve));
