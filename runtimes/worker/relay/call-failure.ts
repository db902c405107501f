import { joined } from "../../../core/relay/flow.ts";
import type { Bytes } from "../../../core/relay/frame.ts";
import type { Outcome, Outgoing } from "../../../core/relay/requester.ts";
import { messageOf } from "../../../core/model/show.ts";
import type { CallFailure } from "./device-session-rpc.ts";
import type { Operation } from "./operation.ts";

export const offline = "No online device(s) found";
export const deviceOffline: CallFailure = { is: "failed", status: 404, error: offline, mayHaveActed: false };

export const wrongKey = "The device's key is missing or not known";

/** The reason of an abort by timeout, as opposed to one by the caller. */
export const timedOut = "timeout";

/** Errors about the choice of a device are bare sentences, as in the public API; others say whether the device may have acted. */
export const toFailure = ({ status, error, mayHaveActed }: CallFailure): Response =>
  status === 403 || status === 404
    ? Response.json(error, { status })
    : Response.json({ error, mayHaveActed }, { status, ...(status === 503 && { headers: { "retry-after": "1" } }) });

export function toCallFailure(outcome: Exclude<Outcome, { is: "answered" }>, operation: Operation): CallFailure {
  switch (outcome.is) {
    case "busy":
      return {
        is: "failed",
        status: 503,
        error: "The device is busy with other requests; it was not asked",
        mayHaveActed: false,
      };
    case "too large":
      return { is: "failed", status: 413, error: `The request is too large: ${outcome.reason}`, mayHaveActed: false };
    case "broken":
      return failure(502, `No answer of the device: ${outcome.reason}; ${acted(operation)}`, operation);
    case "aborted":
      return outcome.reason === timedOut
        ? lateAnswer(operation)
        : failure(502, `The caller has left; ${acted(operation)}`, operation);
  }
}

export const lateAnswer = (operation: Operation): CallFailure =>
  failure(504, `The device has not answered in time; ${acted(operation)}`, operation);

/** Of a request that was sent to the device. */
export const failure = (status: 502 | 504, error: string, { reads }: Operation): CallFailure => ({
  is: "failed",
  status,
  error,
  mayHaveActed: !reads,
});

const acted = ({ reads }: Operation): string =>
  reads ? "it was only asked to read" : "it may have done what was asked, or may still do it";

/** The largest answer in a fan-out. A request to one device gets a stream. */
const wholeAnswerBytes = 1024 * 1024;

/** Reads an answer to its end. */
export async function readWhole(body: Outgoing["body"], operation: Operation): Promise<Bytes | CallFailure> {
  if (body instanceof Uint8Array) return body;
  const parts: Bytes[] = [];
  let size = 0;
  try {
    for await (const part of body) {
      parts.push(part);
      size += part.length;
      // Leaving the loop cancels the stream, and the device's work for it.
      if (size > wholeAnswerBytes)
        return failure(502, `The answer is larger than ${wholeAnswerBytes} bytes: ask this device alone`, operation);
    }
  } catch (error) {
    return failure(502, `The answer broke off: ${messageOf(error)}; ${acted(operation)}`, operation);
  }
  return joined(parts, size);
}
