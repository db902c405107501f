import { Requester, type Outcome } from "../../core/relay/requester.ts";
import type { Bytes, RequestHead } from "../../core/relay/frame.ts";
import { Responder } from "../../core/relay/responder.ts";
import type { Fetch } from "../../core/http/fetch.ts";

export const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

export interface Wire {
  readonly requester: Requester;
  readonly responder: Responder;
  /** Every message, in the order of sending: who sent it, and the frame or frames. */
  readonly messages: { readonly from: "cloud" | "device"; readonly bytes: Bytes }[];
  /** As when a network breaks: nothing arrives any more, and both ends learn of it. */
  readonly cut: (reason: string) => void;
}

/** Both ends of a socket in memory: each message arrives later than it is sent, in order, as on a real one. */
export function wireTo(fetch: Fetch): Wire {
  const messages: Wire["messages"] = [];
  let whole = true;
  const carry = (from: "cloud" | "device", deliver: (message: ArrayBuffer) => void) => (bytes: Bytes) => {
    messages.push({ from, bytes });
    const message = bytes.slice().buffer;
    setImmediate(() => {
      if (whole) deliver(message);
    });
  };
  const requester: Requester = new Requester({ send: carry("cloud", (message) => responder.receive(message)), tick });
  const responder: Responder = new Responder({
    fetch,
    send: carry("device", (message) => requester.receive(message)),
    tick,
  });
  return {
    requester,
    responder,
    messages,
    cut: (reason) => {
      whole = false;
      requester.close(reason);
      responder.close(reason);
    },
  };
}

export const headOf = (
  method: RequestHead["method"],
  path: string,
  headers: RequestHead["headers"] = [],
): RequestHead => ({
  method,
  path,
  headers,
});

const encoder = new TextEncoder();
export const bytesOf = (text: string): Bytes => encoder.encode(text);

/** The text of an answer, read to its end. Throws when there is none, or when it breaks off. */
export async function textOf(outcome: Outcome): Promise<string> {
  if (outcome.is !== "answered") throw new Error(`No answer: ${JSON.stringify(outcome)}`);
  return new Response(outcome.body).text();
}

export function streamOf(outcome: Outcome): ReadableStream<Bytes> {
  if (outcome.is === "answered" && outcome.body instanceof ReadableStream) return outcome.body;
  throw new Error(`No stream: ${JSON.stringify(outcome)}`);
}
