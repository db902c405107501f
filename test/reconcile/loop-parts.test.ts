import { describe, expect, test } from "vitest";
import { describe as sentenceOf } from "../../core/model/event.ts";
import { Notices } from "../../core/reconcile/notices.ts";
import type { Plan } from "../../core/reconcile/plan.ts";
import { Requests } from "../../core/reconcile/requests.ts";
import { Retries } from "../../core/reconcile/retries.ts";
import { Scheduler } from "../../core/reconcile/scheduler.ts";
import type { Step, Work } from "../../core/reconcile/step.ts";
import type { Failure, Reached } from "../../core/reconcile/view.ts";
import { Waiters } from "../../core/reconcile/waiters.ts";
import { HandClock, turn } from "../state/world.ts";
import { app, target } from "./literals.ts";

const start: Work = { action: "start", id: "web", service: "web" };
const nobody = () => false;

describe("the scheduler", () => {
  function scheduled(run: () => Promise<void> = () => Promise.resolve()) {
    const clock = new HandClock();
    const rounds: string[] = [];
    const scheduler: Scheduler = new Scheduler({
      clock,
      run: (round, fresh) => {
        rounds.push(`${round}${fresh ? " fresh" : ""}`);
        return run();
      },
      onError: (error) => rounds.push(String(error)),
    });
    return { clock, rounds, scheduler };
  }

  test("answers all requests of one turn with one round, which is fresh if one of them requires it", async () => {
    const { rounds, scheduler } = scheduled();
    scheduler.request(false);
    scheduler.request(true);
    scheduler.request(false);
    await turn();
    expect(rounds).toEqual(["1 fresh"]);
  });

  test("runs one more round for requests during a round", async () => {
    const running = Promise.withResolvers<void>();
    const { rounds, scheduler } = scheduled(() => running.promise);
    scheduler.request(false);
    await turn();
    scheduler.request(false);
    scheduler.request(false);
    await turn();
    expect([rounds, scheduler.isIdle(), scheduler.isRequested()]).toEqual([["1"], false, true]);
    running.resolve();
    await turn();
    expect([rounds, scheduler.isIdle(), scheduler.isRequested()]).toEqual([["1", "2"], true, false]);
  });

  test("answers a burst of events with one round, a moment later", async () => {
    const { clock, rounds, scheduler } = scheduled();
    void scheduler.requestSoon(false);
    void scheduler.requestSoon(true);
    await turn();
    expect([rounds, scheduler.isIdle()]).toEqual([[], false]);
    clock.pass(50);
    await turn();
    expect([rounds, scheduler.isIdle()]).toEqual([["1 fresh"], true]);
  });

  test("drops a planned round if another round begins earlier", async () => {
    const { clock, rounds, scheduler } = scheduled();
    void scheduler.requestAfter(1000, () => true);
    scheduler.request(false);
    await turn();
    clock.pass(1000);
    await turn();
    expect(rounds).toEqual(["1"]);
    void scheduler.requestAfter(1000, () => true);
    clock.pass(1000);
    await turn();
    expect(rounds).toEqual(["1", "2 fresh"]);
  });

  test("resolves a caller's request with a round that began after it", async () => {
    const first = Promise.withResolvers<void>();
    const { rounds, scheduler } = scheduled(() => (rounds.length === 1 ? first.promise : Promise.resolve()));
    scheduler.request(false);
    await turn();
    const next = scheduler.next(true);
    first.resolve();
    expect(await next).toBe(true);
    expect(rounds).toEqual(["1", "2 fresh"]);
  });

  test("reports a failed round, also to its waiting callers", async () => {
    const { rounds, scheduler } = scheduled(() => Promise.reject(new Error("no engine")));
    expect(await scheduler.next(false)).toBe(false);
    expect(rounds).toEqual(["1", "Error: no engine"]);
  });

  test("runs no round after its end", async () => {
    const { clock, rounds, scheduler } = scheduled();
    void scheduler.requestAfter(1000, () => true);
    scheduler.stop();
    scheduler.request(true);
    clock.pass(1000);
    await turn();
    expect(rounds).toEqual([]);
    expect(await scheduler.next(true)).toBe(false);
  });
});

describe("the retries", () => {
  const failed: Failure = { is: "failed", message: "no space" };
  const locked: Failure = { is: "locked", message: "locked by web" };
  const work: Plan = new Map([[1, [start]]]);

  test("wait twice as long after each consecutive failure, separately for each subject", () => {
    const retries = new Retries();
    retries.end(1, [failed], 0);
    retries.end(2, [locked], 500);
    retries.end(1, [failed], 1000);
    expect(retries.delays(2000, nobody)).toEqual([1000, -500]);
    expect(retries.delays(2000, (subject) => subject === 1)).toEqual([-500]);
    expect([retries.waiting(1, 2999), retries.waiting(1, 3000), retries.waiting(2, 2000)]).toEqual([
      failed,
      undefined,
      undefined,
    ]);
    expect(retries.failureOf(2)).toEqual(locked);
  });

  test("remember a failure that was reset, until the next try has ended or is not needed", () => {
    const retries = new Retries();
    const last = () => retries.lastFailures().get(1);
    retries.end(1, [failed], 0);
    retries.reset(1, { isBusy: false });
    expect([retries.failureOf(1), last()]).toEqual([undefined, failed]);
    retries.end(1, [locked], 1000);
    expect(last()).toEqual(locked);
    retries.reset(1, { isBusy: false });
    retries.end(1, [], 2000);
    expect(last()).toBeUndefined();
    retries.end(1, [failed], 3000);
    retries.reset(1, { isBusy: false });
    retries.retain(new Map([[1, []]]), nobody);
    expect(last()).toBeUndefined();
  });

  test("distinguish a new failure from a repeated one", () => {
    const retries = new Retries();
    expect([retries.end(1, [failed], 0), retries.end(1, [failed], 0), retries.end(1, [locked], 0)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("forget a subject that succeeds, is reset, has no steps or is removed", () => {
    const retries = new Retries();
    for (const subject of [1, 2, 3, 4, "device"] as const) retries.end(subject, [failed], 0);
    retries.end(1, [], 0);
    retries.reset(2, { isBusy: false });
    retries.retain(new Map([...work, [3, []], ["device", []]]), (subject) => subject === "device");
    expect(retries.subjects()).toEqual(["device"]);
    expect(retries.any()).toBe(true);
  });

  test("ignore the results of steps that began before a reset, and use those of later steps", () => {
    const retries = new Retries();
    retries.begin(1);
    retries.reset(1, { isBusy: true });
    retries.end(1, [failed], 0);
    expect(retries.any()).toBe(false);
    retries.begin(1);
    retries.end(1, [failed], 0);
    expect(retries.failureOf(1)).toEqual(failed);
  });
});

describe("the waiters", () => {
  const settled: Reached = { is: "settled" };

  test("are answered by a round that began after their request, once their application is decided", async () => {
    const waiters = new Waiters();
    const answers: string[] = [];
    const wait = (name: string, appId: number, fromRound: number) =>
      void waiters.add(appId, fromRound).then(({ is }) => answers.push(`${name} ${is}`));
    wait("a", 1, 2);
    wait("b", 1, 3);
    wait("c", 2, 1);
    waiters.answer(2, (appId) => (appId === 1 ? settled : undefined));
    await turn();
    expect(answers).toEqual(["a settled"]);
    waiters.answer(3, () => settled);
    await turn();
    expect(answers).toEqual(["a settled", "b settled", "c settled"]);
  });

  test("all fail together", async () => {
    const waiters = new Waiters();
    const answers = Promise.all([waiters.add(1, 1), waiters.add(2, 9)]);
    waiters.failAll("no engine");
    const failure = { is: "failed", message: "no engine" };
    expect(await answers).toEqual([failure, failure]);
  });
});

describe("the requests", () => {
  const wanted = target([app({ web: "web:1" })]);

  test("replace the application's target by a temporary one", () => {
    const requests = new Requests();
    expect(requests.applyTo(wanted)).toBe(wanted);
    requests.setTemporary(1, { is: "purged", force: false });
    expect(requests.applyTo(wanted).apps.map(({ temporary }) => temporary)).toEqual(["purged"]);
    requests.endTemporary(1, 2);
    expect(requests.applyTo(wanted)).toBe(wanted);
  });

  test("override the locks until a later round finds the target reached", () => {
    const requests = new Requests();
    const reached: Plan = new Map([[1, []]]);
    requests.force(1, 5);
    requests.forgetReached(reached, 4, nobody);
    requests.forgetReached(new Map([[1, [start]]]), 5, nobody);
    requests.forgetReached(reached, 5, () => true);
    expect([requests.isForced(1), requests.isForced(2), requests.isForced("device")]).toEqual([true, false, false]);
    requests.forgetReached(reached, 5, nobody);
    expect(requests.isForced(1)).toBe(false);
  });

  test("respect the locks in a restart that is not forced, also during a forced update", () => {
    const requests = new Requests();
    requests.force(1, 1);
    requests.setTemporary(1, { is: "stopped", force: false });
    expect(requests.isForced(1)).toBe(false);
    requests.forgetReached(new Map([[1, []]]), 1, nobody);
    requests.endTemporary(1, 3);
    // The round that has begun before is about the restart.
    requests.forgetReached(new Map([[1, []]]), 2, nobody);
    expect(requests.isForced(1)).toBe(true);
    requests.forgetReached(new Map([[1, []]]), 3, nobody);
    expect(requests.isForced(1)).toBe(false);
  });
});

describe("the notices", () => {
  function noticed() {
    const lines: string[] = [];
    return { lines, notices: new Notices({ emit: (event) => void lines.push(sentenceOf(event)) }) };
  }
  const wait = (reason: string): Step => ({ action: "wait", reason });

  test("log once what an application waits for, and again for a new wait", () => {
    const { lines, notices } = noticed();
    for (const steps of [[wait("db")], [wait("db")], [wait("db"), start], [], [wait("db")]]) notices.report(1, steps);
    expect(lines).toEqual(["App 1 waits for db", "App 1 waits for db"]);
  });

  test("log a reason once, even if two services wait for the same image", () => {
    const { lines, notices } = noticed();
    notices.report(1, [wait("image alpine:3"), wait("image redis:7"), wait("image alpine:3")]);
    expect(lines).toEqual(["App 1 waits for image alpine:3, image redis:7"]);
  });

  test("omit waits that are in the log already", () => {
    const { lines, notices } = noticed();
    notices.report(1, [
      { action: "wait", reason: "image", isSaid: true },
      { action: "wait", reason: "another try", again: start },
    ]);
    expect(lines).toEqual([]);
  });

  test("log a note once, even if a plan in between does not contain it", () => {
    const { lines, notices } = noticed();
    const note: Step = { action: "keepVolume", appId: 1, name: "1_data", fields: ["driver"] };
    for (const steps of [[note], [note], [start], [note]]) notices.report(1, steps);
    expect(lines).toHaveLength(1);
    notices.report(1, []);
    notices.report(1, [note]);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^App 1: keep volume 1_data as it is/);
  });
});
