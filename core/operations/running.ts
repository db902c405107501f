import type { KeptAnswer, KeptRequest, WithoutBody } from "../model/kept-request.ts";
import { keepable } from "../model/kept-request.ts";
import { Cancelled, type Turn } from "../model/turn.ts";
import type { Clock } from "../ports/clock.ts";
import type { RequestJournal } from "../ports/request-journal.ts";

/** Operations in progress at once. */
export const mostRunning = 64;
/** Operations in a list. */
const mostListed = 100;

/** An operation whose caller does not wait for its answer. */
export interface RunningOperation {
  readonly id: string;
  /** Method and path of its endpoint. */
  readonly name: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  /** It has not acted yet, and can be cancelled. */
  readonly isWaiting: boolean;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt?: number | undefined;
  /** Absent: it has none yet, was cancelled, or was interrupted. */
  readonly answer?: KeptAnswer | WithoutBody | undefined;
}

interface Begun {
  readonly request: KeptRequest;
  turn: "waiting" | "taken" | "cancelled";
  isEnding: boolean;
  /** Resolves when the operation has ended, and that is stored. */
  readonly ended: PromiseWithResolvers<void>;
}

interface Parts {
  readonly journal: RequestJournal;
  readonly clock: Pick<Clock, "now" | "sleep" | "token">;
}

/** Operations that go on after the first answer. The journal keeps their outcome. */
export class RunningOperations {
  readonly #parts: Parts;
  readonly #begun = new Map<string, Begun>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Starts an operation once it is stored. `waits`: it takes its turn before it acts. Undefined: there are too many. */
  async start(
    { caller, name, waits }: { readonly caller: string; readonly name: string; readonly waits: boolean },
    act: (turn: Turn) => Promise<KeptAnswer>,
  ): Promise<RunningOperation | undefined> {
    const { journal, clock } = this.#parts;
    if (this.#begun.size >= mostRunning) return undefined;
    const request: KeptRequest = {
      ...{ id: clock.token(16), caller, at: clock.now(), asked: "" },
      operation: { name },
    };
    const begun: Begun = {
      ...{ request, isEnding: false, ended: Promise.withResolvers<void>() },
      turn: waits ? "waiting" : "taken",
    };
    this.#begun.set(request.id, begun);
    try {
      await journal.begin(request);
    } catch (error) {
      this.#begun.delete(request.id);
      throw error;
    }
    void this.#run(begun, act);
    return this.#shown(request);
  }

  async #run(begun: Begun, act: (turn: Turn) => Promise<KeptAnswer>): Promise<void> {
    const take = () => {
      if (begun.turn === "cancelled") throw new Cancelled("The operation was cancelled before it acted");
      begun.turn = "taken";
    };
    // An unforeseen error is an answer already.
    const answer = await act({ take }).catch(() => undefined);
    await this.#end(begun, answer && keepable(answer, { isSecret: false }));
  }

  async #end(begun: Begun, answer: KeptRequest["answer"]): Promise<void> {
    if (begun.isEnding) return;
    begun.isEnding = true;
    const { request, turn, ended } = begun;
    const { journal, clock } = this.#parts;
    const name = request.operation?.name ?? "";
    const isCancelled = turn === "cancelled";
    const operation = { name, endedAt: clock.now(), ...(isCancelled && { isCancelled }) };
    // Without it, the operation counts as interrupted.
    await journal.end({ ...request, ...(!isCancelled && { answer }), operation }).catch(() => undefined);
    this.#begun.delete(request.id);
    ended.resolve();
  }

  /** Waits for the end of an operation, at most so long. Undefined: the caller has no such operation. */
  async find(caller: string, id: string, waitMs = 0): Promise<RunningOperation | undefined> {
    const begun = this.#begun.get(id);
    if (begun && begun.request.caller === caller && waitMs > 0) {
      const over = new AbortController();
      await Promise.race([begun.ended.promise, this.#parts.clock.sleep(waitMs, over.signal)]);
      over.abort();
    }
    const request = await this.#parts.journal.read(id);
    return request?.operation && request.caller === caller ? this.#shown(request) : undefined;
  }

  /** The caller's newest ones, the newest first. */
  async list(caller: string): Promise<readonly RunningOperation[]> {
    return (await this.#parts.journal.operations(caller, mostListed)).map((request) => this.#shown(request));
  }

  /** Cancels an operation that has not acted. */
  async cancel(caller: string, id: string): Promise<"cancelled" | "acting" | "ended" | "unknown"> {
    const begun = this.#begun.get(id);
    if (!begun || begun.request.caller !== caller) return (await this.find(caller, id)) ? "ended" : "unknown";
    if (begun.turn === "taken" || begun.isEnding) return "acting";
    begun.turn = "cancelled";
    await this.#end(begun, undefined);
    return "cancelled";
  }

  #shown({ id, at, answer, operation }: KeptRequest): RunningOperation {
    const begun = this.#begun.get(id);
    return {
      ...{ id, name: operation?.name ?? "", startedAt: at, endedAt: operation?.endedAt, answer },
      state: begun
        ? "running"
        : operation?.isCancelled
          ? "cancelled"
          : answer && answer.status < 400
            ? "done"
            : "failed",
      isWaiting: begun?.turn === "waiting",
    };
  }
}
