/** The answer to a request, as it is kept. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Null: none. */
  readonly body: string | null;
}

/** An answer whose body is not kept. */
export interface WithoutBody {
  readonly status: number;
  readonly without: "secret" | "large";
}

/** A request that changes something: one with an Idempotency-Key, or an operation that goes on after the first answer. */
export interface KeptRequest {
  readonly id: string;
  /** Who made it: nobody else learns of it. */
  readonly caller: string;
  /** When it began; milliseconds since the epoch. */
  readonly at: number;
  /** SHA-256 of what it asks, as hex. */
  readonly asked: string;
  /** Absent: it has begun, and may have acted. */
  readonly answer?: KeptAnswer | WithoutBody | undefined;
  readonly operation?: KeptOperation | undefined;
}

interface KeptOperation {
  /** Method and path of the endpoint. */
  readonly name: string;
  readonly endedAt?: number | undefined;
  /** It was cancelled before it acted. */
  readonly isCancelled?: true | undefined;
}

/** The largest body that is kept; characters. */
const longestBody = 16 * 1024;

/** The answer with its body, which is read. */
export async function toKept(response: Response): Promise<KeptAnswer> {
  return { status: response.status, headers: [...response.headers], body: response.body && (await response.text()) };
}

export const fromKept = ({ status, headers, body }: KeptAnswer): Response =>
  new Response(body, { status, headers: headers.map(([name, value]): [string, string] => [name, value]) });

/** What is kept of an answer. */
export function keepable(answer: KeptAnswer, { isSecret }: { readonly isSecret: boolean }): KeptAnswer | WithoutBody {
  const { status, body } = answer;
  if (isSecret && status < 300) return { status, without: "secret" };
  return (body?.length ?? 0) > longestBody ? { status, without: "large" } : answer;
}
