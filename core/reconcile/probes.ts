import { isHandingOver, supervisorNetwork } from "../model/names.ts";
import type { Container } from "../model/container.ts";
import type { App } from "../model/target.ts";
import type { Gates, HttpAnswer } from "../model/update.ts";
import type { Clock } from "../ports/clock.ts";
import { isMissing, type Missing } from "../ports/index.ts";
import type { Probe, ProbeResult } from "../ports/probe.ts";

/** A container whose http gate is asked. */
interface Asked {
  readonly id: string;
  /** Undefined: it has no address. */
  readonly url: string | undefined;
}

/** The running containers of a release that have an http gate. */
export function askedOf({ appId, services }: App, containers: readonly Container[]): readonly Asked[] {
  const own = containers.filter((one) => one.appId === appId);
  return services.flatMap(({ name, gates }) => {
    const container = own.find((one) => one.service === name && !isHandingOver(one));
    if (!gates?.http || container?.state !== "running") return [];
    const address = addressOf(container, own);
    return [{ id: container.id, url: address === undefined ? undefined : urlOf(address, gates.http) }];
  });
}

/** The address at which the machine reaches a container; undefined if it has none of its own. */
function addressOf({ spec, addresses }: Container, containers: readonly Container[]): string | undefined {
  if (spec.networkMode === "host") return "127.0.0.1";
  const [, id] = /^container:(.+)$/.exec(spec.networkMode) ?? [];
  const home = id === undefined ? undefined : containers.find((one) => one.id === id);
  if (home) return addressOf(home, containers);
  return addresses[supervisorNetwork.name] ?? Object.values(addresses)[0];
}

/** Host and port are set before the path, which comes from the release and can therefore change neither. */
function urlOf(address: string, { port, path }: NonNullable<Gates["http"]>): string {
  const url = new URL(`http://${address.includes(":") ? `[${address}]` : address}:${port}`);
  const [pathname = "", ...query] = path.split("?");
  url.pathname = pathname;
  url.search = query.join("?");
  return url.href;
}

interface Parts {
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  readonly probe: Probe | Missing;
  /** Called when an answer differs from the one before. */
  readonly onChange: () => void;
}

interface Poll {
  readonly asked: Asked;
  readonly end: AbortController;
  answer: HttpAnswer | undefined;
}

const intervalMs = 1000;

/** Asks containers each second whether they serve, but only those that are being watched. */
export class Probes {
  readonly #parts: Parts;
  #polls: readonly Poll[] = [];
  #isStopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Which containers are asked from now on. Others are no longer asked, and their answers are forgotten. */
  watch(asked: readonly Asked[]): void {
    const wanted = this.#isStopped ? [] : asked;
    const isSame = (one: Asked, { asked: { id, url } }: Poll) => one.id === id && one.url === url;
    for (const poll of this.#polls) if (!wanted.some((one) => isSame(one, poll))) poll.end.abort();
    this.#polls = wanted.map((one) => this.#polls.find((poll) => isSame(one, poll)) ?? this.#begin(one));
  }

  /** By container id. */
  answers(): ReadonlyMap<string, HttpAnswer> {
    return new Map(this.#polls.flatMap(({ asked, answer }) => (answer ? [[asked.id, answer]] : [])));
  }

  stop(): void {
    this.#isStopped = true;
    this.watch([]);
  }

  #begin(asked: Asked): Poll {
    const { clock, probe } = this.#parts;
    const poll: Poll = { asked, end: new AbortController(), answer: undefined };
    const sinceMs = clock.monotonic();
    if (asked.url === undefined) poll.answer = { ok: false, detail: "has no address of its own", sinceMs };
    else if (isMissing(probe)) poll.answer = { ok: false, detail: `cannot be asked: ${probe.missing}`, sinceMs };
    else void this.#repeat(poll, asked.url, probe);
    return poll;
  }

  async #repeat(poll: Poll, url: string, probe: Probe): Promise<void> {
    const { clock, onChange } = this.#parts;
    const { signal } = poll.end;
    while (!signal.aborted) {
      const askedAt = clock.monotonic();
      const result = await probe.get(url, signal);
      if (signal.aborted) return;
      const answer = toAnswer(result, poll.answer, clock.monotonic());
      const isNew = answer.ok !== poll.answer?.ok || answer.detail !== poll.answer.detail;
      poll.answer = answer;
      if (isNew) onChange();
      await clock.sleep(Math.max(0, askedAt + intervalMs - clock.monotonic()), signal);
    }
  }
}

function toAnswer(result: ProbeResult, before: HttpAnswer | undefined, nowMs: number): HttpAnswer {
  const ok = "status" in result && result.status >= 200 && result.status < 400;
  const detail = "status" in result ? `answers ${result.status}` : result.error;
  return { ok, detail, sinceMs: before?.ok === ok ? before.sinceMs : nowMs };
}
