import { report, type AppReport } from "../api/cloud/report.ts";
import type { ReportedProblem } from "../api/problem.ts";
import { isOn } from "../model/config.ts";
import { sameJson } from "../model/json.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { CloudAnswer } from "../ports/cloud.ts";
import type { Metrics } from "../ports/metrics.ts";
import { emitChanges, type EventSink } from "../events/events.ts";
import type { Attempt } from "../retry.ts";
import type { Targets } from "../state/targets.ts";
import { isTransient, retry, transientError, type DeviceApiClient } from "./device-api-client.ts";
import { ImageRows } from "./image-rows.ts";
import { imagesOf, withNewer, type ReleaseImages } from "./release-images.ts";
import { afterReport, fieldsToSend, initialReportState, type Fields, type ReportOutcome } from "./report-difference.ts";
import { metricsReport, statusReport, steadyMetrics, type DeviceStatus } from "./report-fields.ts";
import { Waker } from "./waker.ts";

type Apps = Readonly<Record<string, AppReport>>;

/** Returns the applications to report; undefined while they are not known. */
export type ReadApps = (options: {
  /** The releases whose images are known. */
  readonly images: ReleaseImages;
  /** Whether to name only the target's releases, since the cloud has rejected a report with others. */
  readonly targetOnly: boolean;
}) => Apps | undefined;

/** What is wrong now, as it is reported. */
export type ReadProblems = () => readonly ReportedProblem[];

interface Parts {
  readonly clock: Clock;
  readonly client: DeviceApiClient;
  readonly events: EventSink;
  readonly targets: Pick<Targets, "cloudBody" | "cloudConfig">;
  readonly metrics: Metrics;
  readonly uuid: string;
  readonly status: () => DeviceStatus;
  readonly apps: ReadApps;
  readonly problems: ReadProblems;
  /** The images of releases before the target's. */
  readonly olderImages: () => ReleaseImages;
}

/** Source: the reference implementation. The first is the pause between reports, the second between reports of metrics. */
const reportPauseMs = 10_000;
export const metricsPauseMs = 300_000;
/** Metrics are not measured more often, since measuring needs processor time. */
const measurePauseMs = 60_000;
const retryPolicy = { firstMs: 15_000, maxMs: 900_000 };

/** Source: recorded answers to `PATCH /device/v3/state`. Undefined: the same report may be accepted later. */
export const reportOutcome = ({ status }: Pick<CloudAnswer, "status">): ReportOutcome | undefined =>
  status >= 200 && status < 300
    ? "accepted"
    : isTransient(status)
      ? undefined
      : status === 401 || status === 403
        ? "unauthorized"
        : "rejected";

/** Sends the cloud the fields of the device's state that have changed since the last report. */
export class Reporter {
  readonly #parts: Parts;
  readonly #waker: Waker;
  readonly #report: ReturnType<typeof emitChanges>;
  #state = initialReportState;
  readonly #rows = new ImageRows();
  /** The cloud has rejected a report that names older releases than the target's. */
  #targetOnly = false;
  #takesProblems = false;
  #metrics: Fields = {};
  #measuredAt = -Infinity;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#waker = new Waker(parts.clock);
    this.#report = emitChanges(parts.events);
  }

  /** Called when a reported field may have changed. */
  soon(): void {
    this.#waker.wake();
  }

  /** Called with a new target state: the cloud may now accept the fields that it has rejected. */
  forgetRejections(): void {
    this.#state = { ...this.#state, rejected: {} };
    this.#targetOnly = false;
  }

  /** Called with each answer of the cloud: whether it accepts problems. Others refuse a report with an unknown field. */
  setTakesProblems(takes: boolean): void {
    if (takes === this.#takesProblems) return;
    this.#takesProblems = takes;
    this.soon();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, client } = this.#parts;
    signal.addEventListener("abort", () => this.#waker.wake(), { once: true });
    while (!signal.aborted) {
      const tried = await client.keepTrying(
        retryPolicy,
        async (): Promise<Attempt<"sent" | "unchanged">> => {
          const fields = await this.#due();
          return fields ? this.#send(fields, key, signal) : { ok: true, value: "unchanged" };
        },
        { signal, onFailure: ({ why }) => this.#report({ kind: "reportFailed", reason: why }) },
      );
      if (tried.is !== "done") continue;
      if (tried.value === "sent") await clock.sleep(reportPauseMs, signal);
      else await this.#waker.sleep(metricsPauseMs);
    }
  }

  async #due(): Promise<Fields | undefined> {
    const age = this.#parts.clock.now() - this.#measuredAt;
    if (age >= metricsPauseMs || (age >= measurePauseMs && fieldsToSend(this.#current(), this.#state)))
      await this.#measure();
    return fieldsToSend(this.#current(), this.#state);
  }

  #current(): Fields {
    const apps = this.#apps({ targetOnly: this.#targetOnly });
    const status = statusReport(this.#parts.status());
    // In local mode, the problems are those of applications that are not the cloud's.
    const problems = apps && this.#takesProblems ? this.#parts.problems() : undefined;
    return {
      ...status,
      ...this.#metrics,
      ...(problems && { problems }),
      ...(apps && { apps: this.#rows.toSend(apps) }),
    };
  }

  #apps({ targetOnly }: { targetOnly: boolean }): Apps | undefined {
    const { targets, apps, olderImages, uuid } = this.#parts;
    const body = targets.cloudBody();
    // In local mode, the applications are not the cloud's and are not reported.
    return body && apps({ images: withNewer(olderImages(), imagesOf(body, uuid)), targetOnly });
  }

  async #measure(): Promise<void> {
    const { metrics, targets, clock, events } = this.#parts;
    this.#measuredAt = clock.now();
    if (!isOn(targets.cloudConfig(), "SUPERVISOR_HARDWARE_METRICS")) {
      this.#metrics = {};
      return;
    }
    try {
      this.#metrics = steadyMetrics(metricsReport(await metrics.measure()), this.#state.accepted);
    } catch (error) {
      events.emit({ kind: "metricsFailed", reason: messageOf(error) });
    }
  }

  async #send(fields: Fields, key: string, signal: AbortSignal): Promise<Attempt<"sent">> {
    const { client, uuid } = this.#parts;
    this.#rows.sent(fields["apps"]);
    const attempt = await client.attempt(report, { key, json: { [uuid]: fields } }, signal, (answer) =>
      this.#take(fields, answer),
    );
    // Without an answer, the cloud may or may not have stored the report, so the next report has all fields.
    if (!attempt.ok) this.#state = { ...this.#state, accepted: {} };
    return attempt;
  }

  #take(fields: Fields, answer: CloudAnswer): Attempt<"sent"> {
    const outcome = reportOutcome(answer);
    if (!outcome) return retry(answer);
    const { state, rejectedField, deviceRejected } = afterReport(fields, outcome, this.#state);
    this.#state = state;
    if (deviceRejected) return retry(answer);
    if (outcome === "accepted") this.#rows.accepted(fields["apps"]);
    if (rejectedField !== "apps" || !this.#canNameFewerReleases())
      this.#report(
        rejectedField === undefined
          ? undefined
          : { kind: "reportFieldRefused", field: rejectedField, reason: transientError(answer).why },
      );
    return { ok: true, value: "sent" };
  }

  /** After a rejection, reports name only the target's releases: an older release may be deleted in the cloud. */
  #canNameFewerReleases(): boolean {
    const before = this.#apps({ targetOnly: this.#targetOnly });
    this.#targetOnly = true;
    return !sameJson(before, this.#apps({ targetOnly: true }));
  }
}
