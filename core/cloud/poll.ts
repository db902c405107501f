import { derivesServiceKeys, hidesValues } from "../api/cloud/state.ts";
import { isOn, numberOf } from "../model/config.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudAnswer } from "../ports/cloud.ts";
import type { Logs } from "../events/logs.ts";
import type { Targets } from "../state/targets.ts";
import { setback, type Setback } from "./answers.ts";
import type { RetryPause } from "./reachability.ts";
import { Alarm, waitMs } from "./pace.ts";
import { messageOf } from "../model/show.ts";
import { parseJson } from "../model/json.ts";

/** What the cloud's answer to "what should this device be?" says. */
export type Polled =
  | { readonly is: "target"; readonly body: object; readonly etag: string | undefined }
  | { readonly is: "unchanged" }
  /** The cloud has no such device (any more): what it should be stays open. */
  | { readonly is: "unknown" }
  | ({ readonly is: "setback" } & Setback);

/** Source: recorded answers to `GET /device/v3/:uuid/state`. A 304 without an ETag is for a device that is not there. */
export function judgePoll(answer: CloudAnswer): Polled {
  const { status, text, header } = answer;
  if (status === 304) return { is: header("etag") === undefined ? "unknown" : "unchanged" };
  if (status === 401)
    return { is: "setback", why: `it answered 401, as to a key that is not this device's. ${joinAgain}` };
  if (status !== 200) return { is: "setback", ...setback(answer) };
  if (header(hidesValues) !== undefined)
    return {
      is: "setback",
      why: "it hides the values of variables from this key, which is not the device's own; put that one into config.json as deviceApiKey, or join again",
    };
  const body = parseJson(text);
  return typeof body === "object" && body !== null
    ? { is: "target", body, etag: header("etag") }
    : { is: "setback", why: "it answered 200 with something that is no JSON object" };
}

const joinAgain =
  "If that lasts, remove the device there if it exists, and join again: fairlead join <cloud> --key <provisioning key> --anew";

const shortestIntervalMs = 1000;
const shortestTimeoutMs = 1000;
/** The original's first wait after a failure; the longest is the interval. */
const firstMs = 15_000;

/** How often the cloud is asked: as the target state says, else as `givenMs` says, else as the original does. */
export const intervalMs = (config: Readonly<Record<string, string>>, givenMs: number | undefined): number =>
  Math.max(
    shortestIntervalMs,
    config["SUPERVISOR_POLL_INTERVAL"] === undefined && givenMs !== undefined
      ? givenMs
      : numberOf(config, "SUPERVISOR_POLL_INTERVAL"),
  );

/** When to ask again after an answer: a little later than the interval, by chance, so that a fleet spreads out. */
export const nextPollMs = (interval: number, chance: number): number =>
  Math.round(interval + chance * Math.min(60_000, interval / 10));

interface Parts {
  readonly clock: Clock;
  readonly ask: Cloud;
  /** Between an attempt that failed and the next one. */
  readonly pause: RetryPause;
  readonly logs: Logs;
  readonly targets: Targets;
  readonly uuid: string;
  readonly givenIntervalMs: number | undefined;
  /** The cloud knows derived keys of services; resolves with whether that is new. */
  readonly useDerivedKeys: () => Promise<boolean>;
  /** This is the target state from now on. */
  readonly followed: (body: object) => Promise<void>;
  /** There is a new target state, or services get another key; `force` overrides the update locks for it. */
  readonly changed: (force: boolean) => void;
}

/** Asks the cloud what the device should be, when it is time or when somebody says so. */
export class Poll {
  readonly #parts: Parts;
  readonly #alarm: Alarm;
  #etag: string | undefined;
  #force = false;
  #asked = false;
  #said = "";

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#alarm = new Alarm(parts.clock);
  }

  /** Asks now. If that brings a new target state, `force` holds for it. */
  now({ force }: { force: boolean }): void {
    this.#force ||= force;
    this.#asked = true;
    this.#alarm.ring();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, targets, pause } = this.#parts;
    signal.addEventListener("abort", () => this.#alarm.ring(), { once: true });
    // The original's rule: who does not want instant updates does not want one after each start either.
    if (!this.#asked && targets.hasCloud() && !isOn(targets.cloudConfig(), "SUPERVISOR_INSTANT_UPDATE_TRIGGER"))
      await this.#alarm.sleep(nextPollMs(this.#interval(), clock.random()));
    let failures = 0;
    while (!signal.aborted) {
      this.#asked = false;
      const trouble = await this.#once(key, signal);
      failures = trouble ? failures + 1 : 0;
      if (!trouble) await this.#alarm.sleep(nextPollMs(this.#interval(), clock.random()));
      else {
        const wait = waitMs(failures, trouble, { firstMs, limitMs: this.#interval() }, clock.random());
        await this.#alarm.sleep(wait, (ms, rung = signal) => pause(ms, trouble, rung));
      }
    }
  }

  #interval(): number {
    const { targets, givenIntervalMs } = this.#parts;
    return intervalMs(targets.cloudConfig(), givenIntervalMs);
  }

  async #once(key: string, signal: AbortSignal): Promise<Setback | undefined> {
    const { ask, targets, uuid, changed, useDerivedKeys, clock } = this.#parts;
    const force = this.#force;
    this.#force = false;
    try {
      const timeoutMs = Math.max(shortestTimeoutMs, numberOf(targets.cloudConfig(), "SUPERVISOR_API_REQUEST_TIMEOUT"));
      const headers: Record<string, string> = this.#etag === undefined ? {} : { "if-none-match": this.#etag };
      const path = `/device/v3/${uuid}/state`;
      const answer = await ask({ method: "GET", path, key, headers, timeoutMs }, signal);
      const polled = judgePoll(answer);
      if (signal.aborted) return undefined;
      const isAbout = polled.is === "target" || polled.is === "unchanged";
      // Before the target state is taken: its containers are made with the key that they are to have. Silence says nothing.
      const isNewKey = isAbout && answer.header(derivesServiceKeys) !== undefined && (await useDerivedKeys());
      switch (polled.is) {
        case "target": {
          const isNews = await this.#take(polled.body);
          if (isNews || isNewKey) changed(force);
          this.#etag = polled.etag;
          return undefined;
        }
        case "unchanged":
          this.#say("");
          if ((await targets.confirmLeft(clock.now())) || isNewKey) changed(false);
          return undefined;
        case "unknown":
          this.#say(`The cloud does not know this device (any more); its target state stays as it is. ${joinAgain}`);
          return undefined;
        case "setback":
          return this.#fail(polled);
      }
    } catch (error) {
      return this.#fail({ why: messageOf(error) });
    }
  }

  /** Whether there is something new in it. */
  async #take(body: object): Promise<boolean> {
    const { targets, logs, clock, followed } = this.#parts;
    const taken = await targets.setCloud(body);
    if (!taken.ok) {
      this.#say(`The cloud's target state cannot be used, the old one stands: ${taken.faults.join("; ")}`);
      return false;
    }
    this.#say("");
    await followed(body);
    if (taken.isNew) for (const warning of taken.warnings) logs.warning(`Target state: ${warning}`);
    return (await targets.confirmLeft(clock.now())) || taken.isNew;
  }

  /** Who wanted to override locks wanted it now, not whenever the cloud is back. */
  #fail(trouble: Setback): Setback {
    this.#say(`The cloud cannot be asked for the target state: ${trouble.why}`);
    return trouble;
  }

  /** Each trouble once, until there is another one, or none. */
  #say(trouble: string): void {
    if (trouble && trouble !== this.#said) this.#parts.logs.warning(trouble);
    this.#said = trouble;
  }
}
