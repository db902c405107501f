import { describe, expect, test } from "vitest";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { Events, toLog } from "../../core/events/events.ts";
import { FailureLog, mostFailures } from "../../core/events/failure-log.ts";
import { MemoryEventJournal } from "../../core/embedded/ports.ts";
import type { Event } from "../../core/model/event.ts";
import { Chance, SimClock } from "../simulation/clock.ts";

const second = 1000;
const minute = 60 * second;

/** Counts timers. */
class WatchedClock extends SimClock {
  sleeps = 0;

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps++;
    return super.sleep(ms, signal);
  }
}

function setUp() {
  const clock = new WatchedClock(new Chance(1));
  const written = new MemoryLog();
  const log = new FailureLog(written, clock);
  const events = new Events({ clock, journal: new MemoryEventJournal() });
  events.onEvent(toLog(log));
  return { clock, log, events, lines: written.lines };
}

const web = { appId: 1, service: "web" };
const failed = (reason = "no route", name = "web:1", service = "web"): Event => ({
  ...{ kind: "imageDownloadFailed", appId: 1, service },
  ...{ name, reason },
});

describe("a failure", () => {
  test("is written once, then counted after 1, 5, 30 and each 60 minutes", async () => {
    const { clock, events, lines } = setUp();
    const at: string[] = [];
    const from = clock.now();
    for (let elapsed = 0; elapsed < 4 * 60 * minute; elapsed += 10 * second) {
      events.emit(failed());
      await clock.advance(10 * second);
      for (const line of lines.splice(0)) at.push(`${(clock.now() - from) / minute} ${line}`);
    }
    const sentence = "Failed to download image 'web:1' due to 'no route'";
    expect(at.map((line) => line.replace(/^(\d+)\.\d+/, "$1"))).toEqual([
      `0 error: ${sentence}`,
      `1 error: The same failure 5 times in 1 min: ${sentence}`,
      `6 error: The same failure 30 times in 5 min: ${sentence}`,
      `36 error: The same failure 180 times in 30 min: ${sentence}`,
      `96 error: The same failure 360 times in 1 h: ${sentence}`,
      `156 error: The same failure 360 times in 1 h: ${sentence}`,
      `216 error: The same failure 360 times in 1 h: ${sentence}`,
    ]);
  });

  test("is the same one with other times and ports, and another one of another image, service or code", () => {
    const { events, lines } = setUp();
    events.emit(failed("read 10.0.0.2:41234->10.0.0.9:443: timeout after 1m2.5s at 2026-11-29T12:00:01.5Z"));
    events.emit(failed("read 10.0.0.2:51111->10.0.0.9:443: timeout after 31s at 2026-11-30T13:09:59Z"));
    expect(lines).toHaveLength(1);
    events.emit(failed("it answers 500"));
    events.emit(failed("it answers 503"));
    events.emit(failed("it answers 503", "web:2"));
    events.emit(failed("it answers 503", "web:2", "db"));
    expect(lines).toHaveLength(5);
  });

  test("that ends is summed up, and is written at once when it comes back", async () => {
    const { clock, events, lines } = setUp();
    for (let i = 0; i < 4; i++) {
      events.emit(failed());
      await clock.advance(5 * second);
    }
    events.emit({ kind: "imageDownloaded", appId: 1, service: "db", name: "db:1" });
    events.emit({ kind: "imageDownloaded", ...web, name: "web:1" });
    await clock.advance(10 * minute);
    events.emit(failed());
    const sentence = "Failed to download image 'web:1' due to 'no route'";
    expect(lines).toEqual([
      `error: ${sentence}`,
      "Downloaded image 'db:1'",
      `The same failure 3 times in 20 s, and it is over: ${sentence}`,
      "Downloaded image 'web:1'",
      `error: ${sentence}`,
    ]);
  });

  test("of an application ends with the problem of its service", () => {
    const { events, lines } = setUp();
    for (let i = 0; i < 2; i++) events.emit({ kind: "stepFailed", appId: 1, reason: "Failed to start web: no" });
    events.emit({ kind: "problemEnded", appId: 2, service: "web", problem: "refused", lastedMs: 0 });
    expect(lines).toHaveLength(2);
    events.emit({ kind: "problemEnded", ...web, problem: "refused", lastedMs: 0 });
    expect(lines[2]).toBe("The same failure once more in 0 s, and it is over: Failed to start web: no");
  });

  test("that did not repeat sets no timer and is not summed up", async () => {
    const { clock, log, lines } = setUp();
    log.warn("The LED does not blink: ENOENT");
    await clock.advance(24 * 60 * minute);
    expect(clock.sleeps).toBe(0);
    log.warn("The LED does not blink: ENOENT");
    log.stop();
    expect(lines).toEqual(Array(2).fill("warning: The LED does not blink: ENOENT"));
    expect(clock.sleeps).toBe(0);
  });

  test("after a pause is written at once, with its count", async () => {
    const { clock, log, lines } = setUp();
    log.error("broken");
    await clock.advance(3 * minute);
    log.error("broken");
    expect(lines).toEqual(["error: broken", "error: The same failure once more in 3 min: broken"]);
  });
});

test("of more failures than are counted, the oldest is summed up and forgotten", async () => {
  const { clock, log, lines } = setUp();
  const all = Array.from({ length: mostFailures }, (_, i) => `failure ${i}`);
  for (const one of all) log.error(one);
  log.error("failure 0");
  log.error("failure 1");
  await clock.advance(2 * second);
  for (const one of all.slice(2)) log.error(`another ${one}`);
  expect(lines).toHaveLength(2 * mostFailures - 2);
  log.error("one more");
  expect(lines.slice(-2)).toEqual(["error: one more", "error: The same failure once more in 2 s: failure 0"]);
  log.error("failure 2");
  expect(lines.at(-2)).toBe("error: failure 2");
});

test("the end of the agent writes what was held back, and nothing is held back after it", async () => {
  const { clock, log, lines } = setUp();
  log.error("broken");
  log.error("broken");
  log.stop();
  log.error("broken");
  await clock.advance(60 * minute);
  expect(lines).toEqual(["error: broken", "error: The same failure once more in 0 s: broken", "error: broken"]);
});
