/**
 * Counts the wrong credentials of the last minute in the memory of one isolate: by credential, and by source network. Each
 * credential counts once for its network, however often it is tried, so that a device that retries with a deleted key does
 * not block the other devices behind its router.
 */
export class Failures {
  readonly #counts = new Map<string, { count: number; readonly untilMs: number }>();

  /** How long this credential, or any unknown one of this network, must wait. 0: it may try. */
  waitMs({ credential, network }: Attempt, nowMs: number): number {
    return Math.max(this.#waitOf(credential, nowMs), network === undefined ? 0 : this.#waitOf(network, nowMs));
  }

  /** True if it was counted for the network, too. */
  add({ credential, network }: Attempt, nowMs: number): boolean {
    if (this.#count(credential, nowMs) > 1 || network === undefined) return false;
    this.#count(network, nowMs);
    return true;
  }

  /** Blocks the network's unknown credentials for a minute. */
  block(network: string, nowMs: number): void {
    this.#counts.set(network, { count: mostFailures, untilMs: nowMs + withinMs });
  }

  #waitOf(key: string, nowMs: number): number {
    const entry = this.#counts.get(key);
    return entry && entry.count >= mostFailures ? Math.max(0, entry.untilMs - nowMs) : 0;
  }

  #count(key: string, nowMs: number): number {
    const known = this.#counts.get(key);
    if (known && known.untilMs > nowMs) return ++known.count;
    this.#counts.delete(key);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size >= mostRemembered && oldest !== undefined) this.#counts.delete(oldest);
    this.#counts.set(key, { count: 1, untilMs: nowMs + withinMs });
    return 1;
  }
}

/** A request with an unknown credential. */
export interface Attempt {
  /** SHA-256 as hex. */
  readonly credential: string;
  /** Undefined where the platform does not provide the address. */
  readonly network: string | undefined;
}

/** The same limit as in wrangler.toml, where the platform counts for all isolates of a location. */
const mostFailures = 60;
const withinMs = 60_000;
const mostRemembered = 20_000;

/** The network of one subscriber: an IPv4 address, or an IPv6 /64. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  if (address.includes(".")) return address.slice(address.lastIndexOf(":") + 1);
  const [head = "", tail = ""] = address.toLowerCase().split("::");
  const groupsOf = (part: string): readonly string[] => (part === "" ? [] : part.split(":"));
  const [left, right] = [groupsOf(head), groupsOf(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  const groups = address.includes("::") ? [...left, ...zeros, ...right] : left;
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
