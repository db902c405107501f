import { emitChanges, type EventSink } from "../events/events.ts";
import { derivesServiceKeys, deviceState, hidesValues, takesProblems } from "../api/cloud/state.ts";
import { isOn, numberOf } from "../model/config.ts";
import { parseJson } from "../model/json.ts";
import type { TransientError } from "../model/retry.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { CloudAnswer } from "../ports/cloud.ts";
import type { Attempt } from "../retry.ts";
import type { Targets } from "../state/targets.ts";
import { transientError, type DeviceApiClient } from "./device-api-client.ts";
import { Waker } from "./waker.ts";

/** The cloud's answer to a request for the target state. */
export type PollOutcome =
  | { readonly is: "target"; readonly body: object; readonly etag: string | undefined }
  | { readonly is: "unchanged" }
  /** The cloud does not know this device. The target state does not change. */
  | { readonly is: "unknown" }
  | ({ readonly is: "failed" } & TransientError);

/** Source: recorded answers to `GET /device/v3/:uuid/state`. A 304 without an ETag is for a device that does not exist. */
export function pollOutcome(answer: CloudAnswer): PollOutcome {
  const { status, text, header } = answer;
  if (status === 304) return { is: header("etag") === undefined ? "unknown" : "unchanged" };
  if (status === 401) return { is: "failed", why: `it answered 401, since the key is not this device's. ${joinAgain}` };
  if (status !== 200) return { is: "failed", ...transientError(answer) };
  if (header(hidesValues) !== undefined)
    return {
      is: "failed",
      why: "it hides the values of variables from this key, which is not the device's own; put that one into config.json as deviceApiKey, or join again",
    };
  const body = parseJson(text);
  return typeof body === "object" && body !== null
    ? { is: "target", body, etag: header("etag") }
    : { is: "failed", why: "it answered 200 without a JSON object" };
}

const joinAgain =
  "If that lasts, remove the device there if it exists, and join again: fairlead join <cloud> --key <provisioning key> --force";

const shortestIntervalMs = 1000;
const shortestTimeoutMs = 1000;
/** The first retry delay of the reference implementation. The longest delay is the poll interval. */
const firstMs = 15_000;

/** The poll interval: from the target state, else `givenMs`, else that of the reference implementation. */
export const intervalMs = (config: Readonly<Record<string, string>>, givenMs: number | undefined): number =>
  Math.max(
    shortestIntervalMs,
    config["SUPERVISOR_POLL_INTERVAL"] === undefined && givenMs !== undefined
      ? givenMs
      : numberOf(config, "SUPERVISOR_POLL_INTERVAL"),
  );

/** The time until the next poll: the interval plus a random time, so that the polls of a fleet are spread out. */
export const nextPollMs = (interval: number, random: number): number =>
  Math.round(interval + random * Math.min(60_000, interval / 10));

interface Parts {
  readonly clock: Clock;
  readonly client: DeviceApiClient;
  readonly events: EventSink;
  readonly targets: Pick<Targets, "cloudConfig" | "hasCloud" | "setCloud" | "confirmLeft">;
  readonly uuid: string;
  readonly givenIntervalMs: number | undefined;
  /** Called if the cloud accepts derived keys for services. Resolves with whether this is new. */
  readonly useDerivedKeys: () => Promise<boolean>;
  /** Called with each answer for a known device: whether the cloud accepts problems in reports. */
  readonly takesProblems: (takes: boolean) => void;
  /** Called with an accepted target state. */
  readonly accepted: (body: object) => Promise<void>;
  /** Called if the target state or the key of services has changed; `force` overrides the update locks for this change. */
  readonly changed: (force: boolean) => void;
}

/** Polls the cloud for the target state, at its interval and on request. */
export class Poll {
  readonly #parts: Parts;
  readonly #waker: Waker;
  readonly #report: ReturnType<typeof emitChanges>;
  #etag: string | undefined;
  #force = false;
  #isRequested = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#waker = new Waker(parts.clock);
    this.#report = emitChanges(parts.events);
  }

  /** Polls now. If that brings a new target state, `force` applies to it. */
  now({ force }: { force: boolean }): void {
    this.#force ||= force;
    this.#isRequested = true;
    this.#waker.wake();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, client, targets } = this.#parts;
    signal.addEventListener("abort", () => this.#waker.wake(), { once: true });
    // Like the reference implementation: without instant updates, the first poll is after one interval.
    if (!this.#isRequested && targets.hasCloud() && !isOn(targets.cloudConfig(), "SUPERVISOR_INSTANT_UPDATE_TRIGGER"))
      await this.#waker.sleep(nextPollMs(this.#interval(), clock.random()));
    while (!signal.aborted) {
      const tried = await client.keepTrying({ firstMs, maxMs: this.#interval() }, () => this.#attempt(key, signal), {
        signal,
        onFailure: ({ why }) => this.#report({ kind: "targetUnreachable", reason: why }),
        pause: (delayMs, after) => this.#waker.sleep(delayMs, (ms, woken = signal) => client.pause(ms, after, woken)),
      });
      if (tried.is === "done") await this.#waker.sleep(nextPollMs(this.#interval(), clock.random()));
    }
  }

  #interval(): number {
    const { targets, givenIntervalMs } = this.#parts;
    return intervalMs(targets.cloudConfig(), givenIntervalMs);
  }

  async #attempt(key: string, signal: AbortSignal): Promise<Attempt<void>> {
    const { client, targets, uuid, changed, useDerivedKeys, clock } = this.#parts;
    this.#isRequested = false;
    // `force` applies only to this attempt: the user meant to override locks now, not after an outage.
    const force = this.#force;
    this.#force = false;
    const done = { ok: true, value: undefined } as const;
    try {
      const timeoutMs = Math.max(shortestTimeoutMs, numberOf(targets.cloudConfig(), "SUPERVISOR_API_REQUEST_TIMEOUT"));
      const headers = this.#etag === undefined ? undefined : { "if-none-match": this.#etag };
      const answer = await client.call(deviceState, { params: { uuid }, key, timeoutMs, headers }, signal);
      const polled = pollOutcome(answer);
      if (signal.aborted) return done;
      const isKnown = polled.is === "target" || polled.is === "unchanged";
      if (isKnown) this.#parts.takesProblems(answer.header(takesProblems) !== undefined);
      // This comes before the target state is set, since its containers are created with these keys.
      const isNewKey = isKnown && answer.header(derivesServiceKeys) !== undefined && (await useDerivedKeys());
      switch (polled.is) {
        case "target": {
          const isNew = await this.#accept(polled.body);
          if (isNew || isNewKey) changed(force);
          this.#etag = polled.etag;
          return done;
        }
        case "unchanged":
          this.#report(undefined);
          if ((await targets.confirmLeft(clock.now())) || isNewKey) changed(false);
          return done;
        case "unknown":
          this.#report({ kind: "deviceUnknown", reason: joinAgain });
          return done;
        case "failed":
          return { ok: false, ...polled };
      }
    } catch (error) {
      return { ok: false, why: messageOf(error) };
    }
  }

  /** Resolves with whether the target state has changed. */
  async #accept(body: object): Promise<boolean> {
    const { targets, events, clock, accepted } = this.#parts;
    const parsed = await targets.setCloud(body);
    if (!parsed.ok) {
      this.#report({ kind: "targetRefused", reason: parsed.faults.join("; ") });
      return false;
    }
    this.#report(undefined);
    await accepted(body);
    if (parsed.isNew) for (const warning of parsed.warnings) events.emit({ kind: "targetWarning", reason: warning });
    return (await targets.confirmLeft(clock.now())) || parsed.isNew;
  }
}
