import * as z from "zod";

/** Where a device is reached: through the cloud, and directly. */
interface Way {
  readonly cloud: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly uuid: string;
  readonly direct: string;
}

const atOnce = 16;

export interface Repeated {
  readonly posts: number;
  /** Requests that were sent for them. */
  readonly sent: number;
  /** How often the device has acted. */
  readonly acts: number;
}

/** Sends so many POSTs through the relay, each with an `Idempotency-Key` and again until it has succeeded. */
export async function repeatPosts(posts: number, { cloud, headers, uuid, direct }: Way): Promise<Repeated> {
  const acts = async () => z.int().parse(await (await fetch(`${direct}/bench/blinks`)).json());
  const before = await acts();
  let next = 0;
  let sent = 0;
  const post = async (key: string): Promise<boolean> => {
    sent++;
    const answer = await fetch(`${cloud}/supervisor/v1/blink`, {
      method: "POST",
      headers: { ...headers, "idempotency-key": `"${key}"` },
      body: JSON.stringify({ uuid, method: "POST" }),
      // Longer than the relay waits for a device.
      signal: AbortSignal.timeout(60_000),
    });
    await answer.arrayBuffer();
    // 404: the device is not connected; 502 and 504: it may have acted; 409: it acts now.
    if (answer.ok) return true;
    if ([404, 409, 502, 503, 504].includes(answer.status)) return false;
    throw new Error(`A POST was answered with ${answer.status}`);
  };
  const lane = async () => {
    while (next < posts) {
      const key = `post-${next++}`;
      while (!(await post(key))) await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { posts, sent, acts: (await acts()) - before };
}
