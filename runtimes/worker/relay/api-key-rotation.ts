import { messageOf } from "../../../core/model/show.ts";
import { noBytes, type RequestHead } from "../../../core/relay/frame.ts";
import type { Outcome, Requester } from "../../../core/relay/requester.ts";
import type { Grant } from "../auth/grant.ts";
import type { DirectoryRpc } from "../directory/directory-rpc.ts";
import { timedOut } from "./call-failure.ts";

/** `hideSecrets`: the device does not return the new key. */
const regenerateApiKey: RequestHead = {
  method: "POST",
  path: "/v1/regenerate-api-key",
  headers: [],
  hideSecrets: true,
};
const replaceMs = 30_000;

export interface ApiKeyRotationOptions {
  readonly directory: () => Pick<DurableObjectStub<DirectoryRpc>, "apiKeyRequested" | "apiKeyReplaced">;
  /** Undefined while the device is offline. */
  readonly requester: () => Requester | undefined;
}

/**
 * Requests that give a device's API a new key, one at a time: the last principal that received a key has the valid one. The
 * directory keeps who knows the current key.
 */
export class ApiKeyRotation {
  readonly #options: ApiKeyRotationOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ApiKeyRotationOptions) {
    this.#options = options;
  }

  /**
   * Requests a new key for a principal. The directory records that it will know the key before the device is asked, and
   * afterwards that earlier keys are invalid. Undefined: the grant does not allow it, or the device is offline.
   */
  request(uuid: string, grant: Grant, call: (requester: Requester) => Promise<Outcome>): Promise<Outcome | undefined> {
    const { directory, requester } = this.#options;
    return this.#inTurn(async () => {
      const isAllowed = await directory().apiKeyRequested(uuid, grant);
      const connected = isAllowed ? requester() : undefined;
      const outcome = connected && (await call(connected));
      if (outcome && isDone(outcome)) await directory().apiKeyReplaced(uuid, grant.tokenId);
      return outcome;
    });
  }

  /** Replaces a key and gives the new one to nobody. False: it did not succeed, and is to be tried again. */
  async replace(uuid: string, isNeeded: () => boolean, replaced: () => void): Promise<boolean> {
    const { directory, requester } = this.#options;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(timedOut), replaceMs);
    try {
      await this.#inTurn(async () => {
        const connected = requester();
        if (!connected || !isNeeded()) return;
        const outcome = await connected.call({ head: regenerateApiKey, body: noBytes }, timeout.signal);
        if (!isDone(outcome)) throw new Error(outcome.is === "answered" ? `status ${outcome.head.status}` : outcome.is);
        await directory().apiKeyReplaced(uuid);
        replaced();
      });
      return true;
    } catch (error) {
      console.warn(`The device's API key could not be replaced; it is tried again: ${messageOf(error)}`);
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(act);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

const isDone = (outcome: Outcome): boolean => outcome.is === "answered" && outcome.head.status === 200;
