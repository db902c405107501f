import type { RetryPolicy } from "../model/retry.ts";
import { linesOf } from "./lines.ts";
import { Refusal } from "./operations.ts";
import { pause, sendTo, transientStatuses, type TransportOptions, type Wire } from "./transport.ts";

/** The connection has ended, and is made again. What follows goes on where it has ended. */
export interface Disconnected {
  readonly is: "disconnected";
  readonly why: string;
}

interface Stream {
  readonly operation: string;
  readonly wire: Wire;
  /** Asked before each connection: from where to go on. */
  readonly params: () => Readonly<Record<string, unknown>>;
  /** Longer than the server is silent. */
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called after a disconnection. When it resolves, the pause ends. */
  readonly wake: (() => Promise<unknown>) | undefined;
}

const policy: RetryPolicy = { firstMs: 500, maxMs: 15_000, jitter: [1, 1.5] };

/**
 * The lines of a stream that has no end. Connects again after a disconnection, until the loop over it ends or `signal` aborts.
 * Throws `Refusal` if the server refuses.
 */
export async function* linesAcross(
  transport: TransportOptions,
  { operation, wire, params, silenceMs, signal, wake }: Stream,
): AsyncGenerator<{ readonly line: unknown } | Disconnected> {
  for (let failures = 0; !signal?.aborted;) {
    let why = "The server has ended the stream";
    try {
      const answer = await sendTo({ ...transport, retries: 0 }, wire, { params: params(), signal });
      if (transientStatuses.has(answer.status)) throw new Error(`It answered ${answer.status}`);
      if (!(answer.body instanceof ReadableStream) || answer.status !== 200) throw new Refusal(operation, answer);
      for await (const line of linesOf(answer.body, { clock: transport.clock, silenceMs, signal })) {
        failures = 0;
        yield { line };
      }
    } catch (error) {
      if (error instanceof Refusal || signal?.aborted) throw error;
      why = error instanceof Error ? error.message : String(error);
    }
    failures++;
    yield { is: "disconnected", why };
    await Promise.race([pause(transport, failures, policy, signal), ...(wake ? [wake()] : [])]);
  }
}
