import type { Grant } from "../auth/grant.ts";
import type { CallFailure, Command, PlainRequest, PlainResponse } from "./device-session-rpc.ts";

/** Commands of one device that wait for it. */
export const mostWaiting = 32;
/** Of those that have ended. */
const mostEnded = 100;
const keptMs = 24 * 60 * 60 * 1000;
/** The largest answer that is kept; characters. */
const longestBody = 16 * 1024;
const callMs = 50_000;
/** A delivery without an outcome after this time was lost with an evicted object, and is repeated. */
const lostMs = 60_000;
/** The pause before a failed delivery is repeated grows by this much each time. */
const againMs = 5000;
const longestPauseMs = 60_000;

interface Stored extends Command {
  readonly grant: Grant;
  /** Absent once it has ended. */
  readonly sent?: PlainRequest | undefined;
  readonly attempts: number;
  /** The directory knows that it has ended. */
  readonly isTold: boolean;
}

interface Parts {
  readonly kv: SyncKvStorage;
  readonly isOnline: () => boolean;
  readonly mayCall: (grant: Grant) => boolean;
  readonly call: (grant: Grant, request: PlainRequest, timeoutMs: number) => Promise<PlainResponse | CallFailure>;
  /** Whether the device acts once for requests with the same `Idempotency-Key`. */
  readonly knowsKeys: () => Promise<boolean>;
  /** Tells the directory. */
  readonly ended: (command: Command) => Promise<void>;
  /** `run` is to be called after this time. */
  readonly wake: (ms: number) => Promise<void>;
}

const prefix = "command:";
const nameOf = ({ createdAt, id }: Command): string => `${prefix}${String(createdAt).padStart(16, "0")}:${id}`;
const isPending = ({ state }: Command): boolean => state === "queued" || state === "sent";

/**
 * Requests for a device that is offline: stored, and delivered in their order when it is back. A delivery is repeated until there
 * is an answer; the device acts once, by the key that all repetitions have.
 */
export class Commands {
  readonly #parts: Parts;
  readonly #waiting = new Set<() => void>();
  #isDelivering = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The same id again is the same command. Undefined: too many wait already. */
  async add(
    grant: Grant,
    request: PlainRequest,
    { id, expiresAt, name }: { readonly id: string; readonly expiresAt: number; readonly name: string },
  ): Promise<Command | undefined> {
    const all = this.#all();
    const known = all.find((one) => one.id === id);
    if (known) return shown(known);
    if (all.filter(isPending).length >= mostWaiting) return undefined;
    const last = Math.max(0, ...all.map(({ createdAt }) => createdAt));
    const createdAt = Math.max(Date.now(), last + 1);
    const headers = [...request.headers, ["idempotency-key", `command-${id}`] satisfies [string, string]];
    const sent = {
      ...request,
      headers: headers.filter(([key], n) => key !== "idempotency-key" || n === headers.length - 1),
    };
    const stored: Stored = {
      ...{ id, request: name, tokenId: grant.tokenId, state: "queued", createdAt, expiresAt },
      ...{ grant, sent, attempts: 0, isTold: false },
    };
    this.#put(stored);
    await this.#parts.wake(expiresAt - Date.now());
    void this.run();
    return shown(stored);
  }

  list(): readonly Command[] {
    this.#expire();
    return this.#all().map(shown).reverse();
  }

  /** Waits for its end, at most so long. */
  async find(id: string, waitMs: number): Promise<Command | undefined> {
    for (const end = Date.now() + waitMs; ;) {
      const found = this.list().find((one) => one.id === id);
      const left = end - Date.now();
      if (!found || !isPending(found) || left <= 0) return found;
      await this.#change(Math.min(left, found.expiresAt - Date.now() + 10));
    }
  }

  cancel(id: string): "cancelled" | "acting" | "ended" | "unknown" {
    this.#expire();
    const found = this.#all().find((one) => one.id === id);
    if (!found) return "unknown";
    if (found.state !== "queued") return found.state === "sent" ? "acting" : "ended";
    this.#end(found, { state: "cancelled" });
    void this.run();
    return "cancelled";
  }

  /** Delivers what waits, in order, and tells the directory what has ended. Never rejects. */
  async run(): Promise<void> {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    try {
      this.#expire();
      for (let next = this.#next(); next; next = this.#next()) if (!(await this.#deliver(next))) break;
      await this.#tell();
    } catch (error) {
      console.warn(`Commands are delivered later: ${String(error)}`);
      await this.#parts.wake(lostMs);
    } finally {
      this.#isDelivering = false;
    }
    const due = this.#all().filter(isPending);
    if (due.length > 0) await this.#parts.wake(Math.min(...due.map(({ expiresAt }) => expiresAt)) - Date.now());
  }

  #next(): Stored | undefined {
    return this.#parts.isOnline() ? this.#all().find(isPending) : undefined;
  }

  /** False: the others wait, too. */
  async #deliver(command: Stored): Promise<boolean> {
    const { mayCall, call, knowsKeys, wake } = this.#parts;
    const { grant, sent, attempts } = command;
    if (!sent || !mayCall(grant)) {
      this.#end(command, { state: "failed", why: "The token that queued it may not do this any more" });
      return true;
    }
    if (attempts > 0 && !(await knowsKeys())) {
      // A device that is offline again does not answer either.
      if (!this.#parts.isOnline()) return false;
      this.#end(command, { state: "failed", why: `${mayHaveActed}; it has an agent that would do it again` });
      return true;
    }
    const tried: Stored = { ...command, state: "sent", attempts: attempts + 1 };
    this.#put(tried);
    await wake(lostMs);
    const outcome = await call(grant, sent, callMs);
    if (outcome.is === "answered") {
      const { status, body, contentType } = outcome;
      const text = new TextDecoder().decode(body);
      const isKept = text.length <= longestBody;
      this.#end(tried, {
        state: status < 400 ? "done" : "failed",
        answer: { status, ...(contentType !== undefined && { contentType }), ...(isKept && { body: text }) },
        ...(!isKept && { why: "The answer was too large" }),
      });
      return true;
    }
    if (outcome.status === 403 || outcome.status === 413) {
      this.#end(tried, { state: "failed", why: outcome.error });
      return true;
    }
    if (!outcome.mayHaveActed) this.#put(command);
    if (outcome.status !== 404) await wake(Math.min(againMs * tried.attempts, longestPauseMs));
    return false;
  }

  #expire(): void {
    const now = Date.now();
    for (const command of this.#all())
      if (isPending(command) && command.expiresAt <= now && !(this.#isDelivering && command.state === "sent"))
        this.#end(command, { state: "expired", ...(command.state === "sent" && { why: mayHaveActed }) });
  }

  #end({ sent: _, ...command }: Stored, how: Pick<Command, "state" | "answer" | "why">): void {
    this.#put({ ...command, ...how, endedAt: Date.now() });
    const ended = this.#all().filter((one) => !isPending(one) && one.isTold);
    for (const [n, old] of ended.entries())
      if ((old.endedAt ?? 0) < Date.now() - keptMs || n < ended.length - mostEnded) this.#parts.kv.delete(nameOf(old));
    for (const wake of this.#waiting) wake();
  }

  async #tell(): Promise<void> {
    for (const command of this.#all())
      if (!isPending(command) && !command.isTold) {
        await this.#parts.ended(shown(command));
        this.#put({ ...command, isTold: true });
      }
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#waiting.add(wake);
    });
  }

  /** In the order in which they were added. */
  #all(): readonly Stored[] {
    return [...this.#parts.kv.list<Stored>({ prefix })].map(([, command]) => command);
  }

  #put(command: Stored): void {
    this.#parts.kv.put(nameOf(command), command);
  }
}

const mayHaveActed = "The device has not answered, and may have acted";

const shown = ({ grant: _, sent: __, attempts: ___, isTold: ____, ...command }: Stored): Command => command;
