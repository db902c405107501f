import type { View } from "../reconcile/view.ts";
import { isOn } from "../model/config.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudAnswer } from "../ports/cloud.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Log } from "../ports/log.ts";
import type { Targets } from "../state/targets.ts";
import { appsReport, type AppReport } from "./apps-report.ts";
import { isPassing, setback, type Setback } from "./answers.ts";
import { judgeReport, stranger, toSend, type Answered } from "./difference.ts";
import type { RetryPause } from "./reachability.ts";
import { Alarm, waitMs } from "./pace.ts";
import { ImageRows } from "./image-rows.ts";
import { imagesOf, withNewer, type ReleaseImages } from "./release-images.ts";
import { metricsReport, statusReport, steadyMetrics, type DeviceStatus, type Report } from "./report.ts";
import { sameJson } from "../model/json.ts";
import { messageOf } from "../model/show.ts";

interface Parts {
  readonly clock: Clock;
  readonly ask: Cloud;
  /** Between an attempt that failed and the next one. */
  readonly pause: RetryPause;
  readonly log: Log;
  readonly targets: Targets;
  readonly metrics: Metrics;
  readonly uuid: string;
  readonly status: () => DeviceStatus;
  /** Undefined before the first look. */
  readonly view: () => View | undefined;
  readonly activity: ReadonlyMap<string, string>;
  /** Of the releases before the target's. */
  readonly olderImages: () => ReleaseImages;
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
  readonly #rows = new ImageRows();
  /** The cloud has refused a report that names older releases than the target's. */
  #targetOnly = false;
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
    this.#targetOnly = false;
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, pause } = this.#parts;
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
      if (trouble) await pause(waitMs(failures, trouble, patience, clock.random()), trouble, signal);
      else await clock.sleep(reportPauseMs, signal);
    }
  }

  async #due(): Promise<Report | undefined> {
    const age = this.#parts.clock.now() - this.#measuredAt;
    if (age >= metricsPauseMs || (age >= measurePauseMs && toSend(this.#current(), this.#standing)))
      await this.#measure();
    return toSend(this.#current(), this.#standing);
  }

  #current(): Report {
    const { status } = this.#parts;
    const apps = this.#apps({ targetOnly: this.#targetOnly });
    return { ...statusReport(status()), ...this.#metrics, ...(apps && { apps: this.#rows.toSend(apps) }) };
  }

  #apps({ targetOnly }: { targetOnly: boolean }): Readonly<Record<string, AppReport>> | undefined {
    const { targets, view: look, activity, olderImages, uuid } = this.#parts;
    const [view, body] = [look(), targets.cloudBody()];
    // In local mode the applications are the developer's; and before the first look at a new target nothing is known of
    // its applications, which is not the same as knowing that there are none.
    if (!view || !body || view.target !== targets.current()) return undefined;
    return appsReport({ view, activity, images: withNewer(olderImages(), imagesOf(body, uuid)), targetOnly });
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
    this.#rows.sent(fields["apps"]);
    try {
      const answer = await ask({ method: "PATCH", path: "/device/v3/state", key, headers, body, timeoutMs }, signal);
      const answered = answeredBy(answer);
      if (!answered) return this.#fail(setback(answer));
      const { standing, culprit, outcast } = judgeReport(fields, answered, this.#standing);
      this.#standing = standing;
      if (outcast) return this.#fail(setback(answer));
      if (answered === "taken") this.#rows.taken(fields["apps"]);
      if (culprit === "apps" && this.#canNameFewer()) return undefined;
      this.#say(
        culprit === undefined ? "" : `The cloud does not take this device's ${culprit}: ${setback(answer).why}`,
      );
      return undefined;
    } catch (error) {
      return this.#fail({ why: messageOf(error) });
    }
  }

  /** An older release may have been deleted in the cloud, or be unknown to it for another reason. */
  #canNameFewer(): boolean {
    const [before, after] = [this.#targetOnly, true].map((targetOnly) => this.#apps({ targetOnly }));
    this.#targetOnly = true;
    return !sameJson(before, after);
  }

  /** Without an answer nobody knows what the cloud has taken: next time it is sent everything. */
  #fail(trouble: Setback): Setback {
    this.#standing = { ...this.#standing, known: {} };
    this.#say(`The cloud does not take the device's report: ${trouble.why}`);
    return trouble;
  }

  /** Each trouble once, until there is another one, or none. */
  #say(trouble: string): void {
    if (trouble && trouble !== this.#said) this.#parts.log.warn(trouble);
    this.#said = trouble;
  }
}
