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
  readonly contentType?: string | undefined;
  readonly body: Bytes;
}

/** A request that is stored until the device has answered it. Times in milliseconds since the epoch. */
export interface Command {
  readonly id: string;
  /** Method and path of the endpoint. */
  readonly request: string;
  /** Who has queued it. */
  readonly tokenId: string;
  readonly state: "queued" | "sent" | "done" | "failed" | "expired" | "cancelled";
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly endedAt?: number | undefined;
  readonly answer?: { readonly status: number; readonly contentType?: string; readonly body?: string } | undefined;
  readonly why?: string | undefined;
}

export interface CommandOptions {
  readonly id: string;
  readonly expiresAt: number;
  /** For how long its end is waited for. */
  readonly waitMs: number;
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
  /** Stores a request, and delivers it when the device is online. */
  queue(grant: Grant, request: PlainRequest, options: CommandOptions): Promise<Command | CallFailure>;
  commands(): readonly Command[];
  command(id: string, waitMs: number): Promise<Command | undefined>;
  cancelCommand(id: string): "cancelled" | "acting" | "ended" | "unknown";
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
