import { DurableObject } from "cloudflare:workers";

/**
 * The least Worker by which a request reaches a device: body read, object found, one message out, one back. No keys, no
 * heads, no streams, nobody hears of a caller who leaves. What it takes is the platform's, and no relay on it is faster.
 */
export default {
  async fetch(request: Request, { DEVICES }: { DEVICES: DurableObjectNamespace }): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/ping") return new Response("OK");
    const uuid = url.searchParams.get("uuid") ?? (await request.json<{ uuid: string }>()).uuid;
    return DEVICES.getByName(uuid).fetch(request.headers.has("upgrade") ? request : "https://device/");
  },
};

export class DeviceSession extends DurableObject {
  readonly #waiting = new Map<number, (answer: Uint8Array<ArrayBuffer>) => void>();
  #id = 0;

  override async fetch(request: Request): Promise<Response> {
    const [device] = this.ctx.getWebSockets();
    if (request.headers.has("upgrade") || !device) {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      this.ctx.acceptWebSocket(ours);
      return new Response(null, { status: 101, webSocket: theirs });
    }
    const message = new Uint8Array(80);
    const id = ++this.#id;
    new DataView(message.buffer).setUint32(0, id);
    return new Response(
      await new Promise<Uint8Array<ArrayBuffer>>((resolve) => {
        this.#waiting.set(id, resolve);
        device.send(message);
      }),
    );
  }

  override webSocketMessage(_: WebSocket, message: ArrayBuffer): void {
    const id = new DataView(message).getUint32(0);
    this.#waiting.get(id)?.(new Uint8Array(message, 4));
    this.#waiting.delete(id);
  }
}

/** Named by the configuration, and never asked. */
export { DeviceSession as DeviceLogs, DeviceSession as Directory };
