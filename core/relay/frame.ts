import * as z from "zod";

/** Limits that both ends of a tunnel enforce. A peer that exceeds one is disconnected. */
export const limits = {
  /** Head of a request or response, as JSON. */
  headBytes: 16 * 1024,
  /** Body bytes in one frame: small enough that a stream does not delay others. */
  chunkBytes: 64 * 1024,
  /** Body bytes in flight on a stream, in each direction, before the receiver grants more credit. */
  windowBytes: 256 * 1024,
  /** Concurrent requests on a socket. */
  streams: 64,
  reasonBytes: 1024,
} as const;

export type Bytes = Uint8Array<ArrayBuffer>;

export const noBytes: Bytes = new Uint8Array(0);

const Headers = z
  .array(z.tuple([z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/), z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/)]))
  .max(100);

export const RequestHead = z.object({
  method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
  /** With the query: /v1/apps/7?force=1 */
  path: z.string().regex(/^\/[\x21-\x7e]*$/),
  headers: Headers,
  /** The request's grant does not cover secrets: the device leaves out passwords and values of variables. */
  hideSecrets: z.literal(true).optional(),
  /** The request's grant covers shells: who holds it, for the device's events. */
  shell: z.string().max(100).optional(),
});
export type RequestHead = z.output<typeof RequestHead>;

const ResponseHead = z.object({ status: z.int().min(200).max(599), headers: Headers });
export type ResponseHead = z.output<typeof ResponseHead>;

/** The frames between the cloud and a device. The cloud chooses the ids of streams. */
export type Frame =
  | {
      readonly is: "request";
      readonly id: number;
      readonly head: RequestHead;
      readonly body: Bytes;
      readonly end: boolean;
    }
  | {
      readonly is: "response";
      readonly id: number;
      readonly head: ResponseHead;
      readonly body: Bytes;
      readonly end: boolean;
    }
  | { readonly is: "data"; readonly id: number; readonly body: Bytes; readonly end: boolean }
  /** The number of body bytes that may be sent in addition. */
  | { readonly is: "credit"; readonly id: number; readonly bytes: number }
  /** Aborts the stream in both directions. With id 0: every stream. */
  | { readonly is: "reset"; readonly id: number; readonly reason: string };

/** The peer has violated the protocol. The socket must be closed. */
export class ProtocolError extends Error {}

/** A head that is too large. Code that creates frames observes the other limits. */
export class HeadTooLarge extends RangeError {
  constructor(bytes: number) {
    super(`A head of ${bytes} bytes, expected at most ${limits.headBytes}`);
  }
}

/*
 *  byte 0     kind
 *  byte 1     1 when the sender's half of the stream ends with this frame, else 0
 *  bytes 2–5  id of the stream; all numbers are big endian
 *  then       request, response: length of the head in 2 bytes, the head as JSON, body bytes
 *             data: body bytes · credit: 4 bytes · reset: the reason in UTF-8
 *
 *  A message on the socket is one frame, or several: byte 0 is then 6, and each frame follows its length in 4 bytes.
 */
const kinds = { request: 1, response: 2, data: 3, credit: 4, reset: 5 } as const;
const several = 6;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Throws `HeadTooLarge`. */
export function encodeFrame(frame: Frame): Bytes {
  switch (frame.is) {
    case "request":
    case "response": {
      const head = encoder.encode(JSON.stringify(frame.head));
      if (head.length > limits.headBytes) throw new HeadTooLarge(head.length);
      const bytes = begin(frame, frame.end, 2 + head.length + frame.body.length);
      bytes[6] = head.length >> 8;
      bytes[7] = head.length & 0xff;
      bytes.set(head, 8);
      bytes.set(frame.body, 8 + head.length);
      return bytes;
    }
    case "data": {
      const bytes = begin(frame, frame.end, frame.body.length);
      bytes.set(frame.body, 6);
      return bytes;
    }
    case "credit": {
      const bytes = begin(frame, false, 4);
      new DataView(bytes.buffer).setUint32(6, frame.bytes);
      return bytes;
    }
    case "reset": {
      const reason = new Uint8Array(limits.reasonBytes);
      // Truncates between characters.
      const { written } = encoder.encodeInto(frame.reason, reason);
      const bytes = begin(frame, false, written);
      bytes.set(reason.subarray(0, written), 6);
      return bytes;
    }
  }
}

function begin({ is, id }: Frame, end: boolean, more: number): Bytes {
  const bytes = new Uint8Array(6 + more);
  bytes[0] = kinds[is];
  bytes[1] = end ? 1 : 0;
  new DataView(bytes.buffer).setUint32(2, id);
  return bytes;
}

/** Combines encoded frames into one message, since a message costs more than a small frame. */
export function bundle(frames: readonly Bytes[]): Bytes {
  if (frames.length === 1 && frames[0]) return frames[0];
  const message = new Uint8Array(frames.reduce((size, { length }) => size + 4 + length, 1));
  const view = new DataView(message.buffer);
  message[0] = several;
  let at = 1;
  for (const frame of frames) {
    view.setUint32(at, frame.length);
    message.set(frame, at + 4);
    at += 4 + frame.length;
  }
  return message;
}

/** The encoded frames of a message, as views of it. Throws `ProtocolError`. */
export function unbundle(message: ArrayBuffer): Bytes[] {
  const bytes = new Uint8Array(message);
  if (bytes[0] !== several) return [bytes];
  const view = new DataView(message);
  const frames: Bytes[] = [];
  for (let at = 1; at < bytes.length;) {
    const end = at + 4 > bytes.length ? Infinity : at + 4 + view.getUint32(at);
    if (end > bytes.length) throw new ProtocolError("A message that ends within a frame");
    frames.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return frames;
}

/** Bodies are views of the bytes. Throws `ProtocolError`. */
export function decodeFrame(bytes: Bytes): Frame {
  if (bytes.length < 6) throw new ProtocolError(`A frame of ${bytes.length} bytes, expected at least 6`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [kind, flags = 0] = bytes;
  const id = view.getUint32(2);
  if (flags > 1) throw new ProtocolError(`Flags ${flags}, expected 0 or 1`);
  if (id === 0 && kind !== kinds.reset) throw new ProtocolError("Stream 0, expected a number of 1 or more");
  const end = flags === 1;
  switch (kind) {
    case kinds.request: {
      const [head, body] = split(bytes, view);
      return { is: "request", id, head: parseHead(RequestHead, head), body, end };
    }
    case kinds.response: {
      const [head, body] = split(bytes, view);
      return { is: "response", id, head: parseHead(ResponseHead, head), body, end };
    }
    case kinds.data:
      return { is: "data", id, body: chunk(bytes.subarray(6)), end };
    case kinds.credit: {
      const size = bytes.length === 10 ? view.getUint32(6) : 0;
      if (end || size < 1 || size > limits.windowBytes)
        throw new ProtocolError(`Expected credit of 1 to ${limits.windowBytes} bytes`);
      return { is: "credit", id, bytes: size };
    }
    case kinds.reset:
      if (end || bytes.length > 6 + limits.reasonBytes)
        throw new ProtocolError(`Expected a reason of at most ${limits.reasonBytes} bytes`);
      return { is: "reset", id, reason: text(bytes.subarray(6)) };
    default:
      throw new ProtocolError(`Frame of kind ${kind}, expected 1 to 5`);
  }
}

function split(bytes: Bytes, view: DataView): [head: Bytes, body: Bytes] {
  const length = bytes.length < 8 ? Infinity : view.getUint16(6);
  if (length > limits.headBytes || 8 + length > bytes.length)
    throw new ProtocolError(`Expected a whole head of at most ${limits.headBytes} bytes`);
  return [bytes.subarray(8, 8 + length), chunk(bytes.subarray(8 + length))];
}

function chunk(body: Bytes): Bytes {
  if (body.length <= limits.chunkBytes) return body;
  throw new ProtocolError(`${body.length} body bytes in a frame, expected at most ${limits.chunkBytes}`);
}

function parseHead<T>(schema: z.ZodType<T>, bytes: Bytes): T {
  let json: unknown;
  try {
    json = JSON.parse(text(bytes));
  } catch (error) {
    throw new ProtocolError("A head that is not JSON", { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: "" };
  throw new ProtocolError(`An invalid head: ${path.map(String).join(".")}: ${message}`);
}

function text(bytes: Bytes): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new ProtocolError("Text that is not UTF-8", { cause: error });
  }
}
