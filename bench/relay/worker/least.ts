import { DurableObject } from "cloudflare:workers";

/**
 * The least Worker by which a request reaches a device: body read, object found, one message out, one back, each shared
 * with whoever else is ready. No keys, no heads, no streams, nobody hears of a caller who leaves. What it takes is the
 * platform's, and no relay on it is faster.
 */
export default {
  async fetch(request: Request, { DEVICES }: { DEVICES: DurableObjectNamespace }): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/ping") return new Response("OK");
    const uuid = url.searchParams.get("uuid") ?? (await request.json<{ uuid: string }>()).uuid;
    return DEVICES.getByName(uuid).fetch(request.headers.has("upgrade") ? request : "https://device/");
  },
};

const frameBytes = 80;

export class DeviceSession extends DurableObject {
  readonly #waiting = new Map<number, (answer: Uint8Array<ArrayBuffer>) => void>();
  readonly #unsent: number[] = [];
  #id = 0;

  override async fetch(request: Request): Promise<Response> {
    const [device] = this.ctx.getWebSockets();
    if (request.headers.has("upgrade") || !device) {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      this.ctx.acceptWebSocket(ours);
      return new Response(null, { status: 101, webSocket: theirs });
    }
    const id = ++this.#id;
    const answer = new Promise<Uint8Array<ArrayBuffer>>((resolve) => this.#waiting.set(id, resolve));
    this.#unsent.push(id);
    if (this.#waiting.size === 1) this.#send(device);
    else if (this.#unsent.length === 1) setTimeout(() => this.#send(device));
    return new Response(await answer);
  }

  #send(device: WebSocket): void {
    const ids = this.#unsent.splice(0);
    const message = new DataView(new ArrayBuffer(ids.length * frameBytes));
    ids.forEach((id, n) => message.setUint32(n * frameBytes, id));
    device.send(message.buffer);
  }

  override webSocketMessage(_: WebSocket, message: ArrayBuffer): void {
    const view = new DataView(message);
    for (let at = 0; at < message.byteLength; at += frameBytes) {
      const id = view.getUint32(at);
      this.#waiting.get(id)?.(new Uint8Array(message, at, frameBytes));
      this.#waiting.delete(id);
    }
  }
}

/** Named by the configuration, and never asked. */
export { DeviceSession as DeviceLogs, DeviceSession as Directory };
