import * as z from "zod";
import { RequestHead, type Bytes } from "../../../core/relay/frame.ts";
import { Grant, type EnrolledDevice } from "../auth/grant.ts";

/** A whole request, as fan-out sends it to several devices. */
export interface PlainRequest extends RequestHead {
  readonly body: Bytes;
}

export interface PlainResponse {
  readonly is: "answered";
  readonly status: number;
  readonly body: Bytes;
}

/** The device gave no answer; what to answer instead. */
export interface CallFailure {
  readonly is: "failed";
  readonly status: 403 | 404 | 413 | 502 | 503 | 504;
  readonly error: string;
  /** Whether the request was sent to the device, which may have executed it. */
  readonly mayHaveActed: boolean;
}

export interface ConnectionStatus {
  readonly connected: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number | undefined;
}

/** A device's session, as the Worker and the directory call it. */
export interface DeviceSessionRpc extends Rpc.DurableObjectBranded {
  enroll(device: EnrolledDevice): void;
  /** The device is deleted. */
  forget(): Promise<void>;
  revoke(tokenIds: readonly string[]): void;
  status(): ConnectionStatus;
  /** A whole request, a whole answer. Never throws. */
  call(grant: Grant, request: PlainRequest, timeoutMs: number): Promise<PlainResponse | CallFailure>;
}

/**
 * What the Worker sends to a session's `fetch` beside the body, in a single header: each further header takes longer than
 * everything else that is done with it. Only the Worker can reach a session.
 */
export const callHeader = "x-fairlead-call";

export const SessionCall = z.object({
  grant: Grant,
  head: RequestHead,
  /** Bytes; the Worker has the whole body. */
  bodyLength: z.int(),
  timeoutMs: z.number(),
});
export type SessionCall = z.output<typeof SessionCall>;
