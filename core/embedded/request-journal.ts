import type { KeptRequest } from "../model/kept-request.ts";
import { keptRequests, type RequestJournal } from "../ports/request-journal.ts";

export class MemoryRequestJournal implements RequestJournal {
  /** In the order in which they began. */
  readonly #requests = new Map<string, string>();

  async read(id: string): Promise<KeptRequest | undefined> {
    const text = this.#requests.get(id);
    return text === undefined ? undefined : JSON.parse(text);
  }

  async begin(request: KeptRequest): Promise<void> {
    if (this.#requests.has(request.id)) throw new Error("There is a request with this id");
    this.#requests.set(request.id, JSON.stringify(request));
    this.#dropOldest(request.caller);
  }

  async end(request: KeptRequest): Promise<void> {
    if (this.#requests.has(request.id)) this.#requests.set(request.id, JSON.stringify(request));
  }

  async operations(caller: string, limit: number): Promise<readonly KeptRequest[]> {
    return this.#of(caller)
      .filter(({ operation }) => operation)
      .slice(-limit)
      .reverse();
  }

  #of(caller: string): readonly KeptRequest[] {
    return [...this.#requests.values()]
      .map((text): KeptRequest => JSON.parse(text))
      .filter((request) => request.caller === caller);
  }

  #dropOldest(caller: string): void {
    let [entries, characters] = [0, 0];
    for (const { id } of this.#of(caller).toReversed()) {
      characters += this.#requests.get(id)?.length ?? 0;
      if (++entries > keptRequests.entries || characters > keptRequests.characters) this.#requests.delete(id);
    }
  }
}
