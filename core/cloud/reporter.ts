import { isOn } from "../model/config.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudAnswer } from "../ports/cloud.ts";
import type { Metrics } from "../ports/host.ts";
import type { Log } from "../ports/log.ts";
import type { View } from "../reconcile/loop.ts";
import type { Targets } from "../state/targets.ts";
import { isPassing, setback, type Setback } from "./answers.ts";
import { judgeReport, stranger, toSend, type Answered } from "./difference.ts";
import { Alarm, waitMs } from "./pace.ts";
import { appsReport, metricsReport, statusReport, steadyMetrics, type DeviceStatus, type Report } from "./report.ts";
import { messageOf } from "../model/show.ts";

interface Parts {
  readonly clock: Clock;
  readonly ask: Cloud;
  readonly log: Log;
  readonly targets: Targets;
  readonly metrics: Metrics;
  readonly uuid: string;
  readonly status: () => DeviceStatus;
  /** Undefined before the first look. */
  readonly view: () => View | undefined;
  readonly activity: ReadonlyMap<string, string>;
}

/** The original's: no two reports within this time, and metrics for themselves only so often. */
const reportPauseMs = 10_000;
export const metricsPauseMs = 300_000;
/** Measuring costs something too. */
const measurePauseMs = 60_000;
const patience = { firstMs: 15_000, limitMs: 900_000 };
const timeoutMs = 59_000;

/** Source: recorded answers to `PATCH /device/v3/state`. Undefined: it may take the same another time. */
export const answeredBy = ({ status }: Pick<CloudAnswer, "status">): Answered | undefined =>
  status >= 200 && status < 300
    ? "taken"
    : isPassing(status)
      ? undefined
      : status === 401 || status === 403
        ? "unauthorized"
        : "refused";

/** Tells the cloud what has changed on the device, and nothing else. */
export class Reporter {
  readonly #parts: Parts;
  readonly #alarm: Alarm;
  #standing = stranger;
  #metrics: Report = {};
  #measuredAt = -Infinity;
  #said = "";

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#alarm = new Alarm(parts.clock);
  }

  /** Something may have changed. */
  soon(): void {
    this.#alarm.ring();
  }

  /** What was refused before may be right now: there is a new target state. */
  forgive(): void {
    this.#standing = { ...this.#standing, refused: {} };
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    signal.addEventListener("abort", () => this.#alarm.ring(), { once: true });
    let failures = 0;
    while (!signal.aborted) {
      const fields = await this.#due();
      if (!fields) {
        await this.#alarm.sleep(metricsPauseMs);
        continue;
      }
      const trouble = await this.#send(fields, key, signal);
      failures = trouble ? failures + 1 : 0;
      const wait = trouble ? waitMs(failures, trouble, patience, clock.random()) : 0;
      await clock.sleep(Math.max(reportPauseMs, wait), signal);
    }
  }

  async #due(): Promise<Report | undefined> {
    const age = this.#parts.clock.now() - this.#measuredAt;
    if (age >= metricsPauseMs || (age >= measurePauseMs && toSend(this.#current(), this.#standing)))
      await this.#measure();
    return toSend(this.#current(), this.#standing);
  }

  #current(): Report {
    const { status, targets, view, activity, uuid } = this.#parts;
    const seen = view();
    const body = targets.cloudBody();
    // In local mode the applications are the developer's; and before the first look at a new target nothing is known of
    // its applications, which is not the same as knowing that there are none.
    const apps =
      seen && body && seen.target === targets.current() ? { apps: appsReport(seen, activity, body, uuid) } : {};
    return { ...statusReport(status()), ...this.#metrics, ...apps };
  }

  async #measure(): Promise<void> {
    const { metrics, targets, clock, log } = this.#parts;
    this.#measuredAt = clock.now();
    if (!isOn(targets.cloudConfig(), "SUPERVISOR_HARDWARE_METRICS")) {
      this.#metrics = {};
      return;
    }
    try {
      this.#metrics = steadyMetrics(metricsReport(await metrics.measure()), this.#standing.known);
    } catch (error) {
      log.warn(`The machine cannot be measured: ${messageOf(error)}`);
    }
  }

  async #send(fields: Report, key: string, signal: AbortSignal): Promise<Setback | undefined> {
    const { ask, uuid } = this.#parts;
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ [uuid]: fields });
    try {
      const answer = await ask({ method: "PATCH", path: "/device/v3/state", key, headers, body, timeoutMs }, signal);
      const answered = answeredBy(answer);
      if (!answered) return this.#fail(setback(answer));
      const { standing, culprit, outcast } = judgeReport(fields, answered, this.#standing);
      this.#standing = standing;
      if (outcast) return this.#fail(setback(answer));
      this.#say(
        culprit === undefined ? "" : `The cloud does not take this device's ${culprit}: ${setback(answer).why}`,
      );
      return undefined;
    } catch (error) {
      return this.#fail({ why: messageOf(error) });
    }
  }

  #fail(trouble: Setback): Setback {
    this.#say(`The cloud does not take the device's report: ${trouble.why}`);
    return trouble;
  }

  /** Each trouble once, until there is another one, or none. */
  #say(trouble: string): void {
    if (trouble && trouble !== this.#said) this.#parts.log.warn(trouble);
    this.#said = trouble;
  }
}
