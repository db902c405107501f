import type { Clock } from "../ports/clock.ts";

interface Limits {
  readonly clock: Pick<Clock, "sleep">;
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The JSON values of a stream, one per line. Ends with the stream; rejects when it breaks, when it is silent for too long,
 * and when `signal` aborts.
 */
export async function* linesOf(body: ReadableStream<Uint8Array>, limits: Limits): AsyncGenerator<unknown> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withLimits(reader.read(), limits);
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") yield JSON.parse(line);
    }
  } finally {
    // A stream that has broken cannot be cancelled.
    await reader.cancel().catch(() => undefined);
  }
}

/** Rejects after this time, or when the signal aborts. */
async function withLimits<T>(promise: Promise<T>, { clock, silenceMs, signal }: Limits): Promise<T> {
  const over = new AbortController();
  const end = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const late = clock.sleep(silenceMs, end).then(() => {
    signal?.throwIfAborted();
    if (!over.signal.aborted) throw new Error(`Nothing has arrived for ${silenceMs / 1000} s`);
    return promise;
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
  }
}
