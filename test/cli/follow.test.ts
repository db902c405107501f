import { describe, expect, test } from "vitest";
import type { ReleaseProgress, UpdateState } from "../../core/api/admin/index.ts";
import { draw, type FollowedDevice } from "../../runtimes/cli/cloud/follow/describe.ts";
import { follow, type FollowOptions, type Polled } from "../../runtimes/cli/cloud/follow/follow.ts";
import type { Screen } from "../../runtimes/cli/io.ts";

const device = (name: string, state: UpdateState, more: Partial<FollowedDevice> = {}): FollowedDevice => ({
  ...{ uuid: `uuid of ${name}`, name, state, updateStatus: null, progress: null, reasons: [], heardAt: null },
  ...more,
});

function progressOf(all: readonly FollowedDevice[], limit = 20): ReleaseProgress {
  const count = (state: UpdateState) => all.filter((one) => one.state === state).length;
  const order = ["failed", "updating", "settling", "waiting", "offline", "done"];
  return {
    commit: "one",
    devices: all.length,
    counts: {
      ...{ done: count("done"), settling: count("settling"), updating: count("updating") },
      ...{ waiting: count("waiting"), failed: count("failed"), offline: count("offline") },
    },
    progress: null,
    first: all.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state)).slice(0, limit),
  };
}

/** Follows polls that bring these devices, one after the other; the last ones stay. Time passes only while it sleeps. */
async function followed(rounds: readonly (readonly FollowedDevice[] | string)[], more: Partial<FollowOptions> = {}) {
  let [round, now, printed] = [0, 0, ""];
  const stop = new AbortController();
  const { how } = await follow({
    poll: async (limit): Promise<Polled> => {
      const given = rounds[Math.min(round, rounds.length - 1)] ?? [];
      return typeof given === "string"
        ? { is: "unreachable", reason: given }
        : { is: "progress", progress: progressOf(given, limit) };
    },
    ...{ timeoutMs: 60_000, stayUpMs: 15_000, awaitsOffline: false, signal: stop.signal },
    print: (text) => (printed += text),
    screen: () => undefined,
    now: () => now,
    sleep: async (ms) => {
      round++;
      now += ms;
      if (rounds[round] === "stop") stop.abort();
    },
    ...more,
  });
  return { how, printed, seconds: now / 1000 };
}

describe("following a release", () => {
  test("ends when all devices are done, with a line for each change", async () => {
    const downloading = { updateStatus: "downloading" };
    const { how, printed } = await followed([
      [device("a", "waiting"), device("b", "waiting")],
      [device("a", "updating", { ...downloading, progress: 10 }), device("b", "waiting")],
      [device("a", "updating", { ...downloading, progress: 90 }), device("b", "waiting")],
      [device("a", "settling"), device("b", "done")],
      [device("a", "done"), device("b", "done")],
    ]);
    expect(how).toBe("done");
    expect(printed.split("\n")).toEqual([
      ...["a: waiting", "b: waiting", "2 devices: 2 waiting"],
      ...["a: downloading", "2 devices: 1 updating, 1 waiting"],
      ...["a: runs it; not yet for long enough", "b: done", "2 devices: 1 done, 1 settling"],
      ...["a: done", "2 devices: 2 done", ""],
    ]);
  });

  test("does not wait for offline devices, and names them", async () => {
    const { how, printed } = await followed([[device("a", "done"), device("b", "offline"), device("c", "offline")]]);
    expect(how).toBe("done");
    expect(printed).toMatch(/\nOffline, they update when they connect: b, c\n$/);
  });

  test("waits for offline devices if it has to, until the timeout", async () => {
    const { how, printed, seconds } = await followed([[device("a", "done"), device("b", "offline")]], {
      awaitsOffline: true,
    });
    expect([how, seconds]).toEqual(["timeout", 60]);
    expect(printed).toMatch(/\nOffline: b\n$/);
  });

  test("ends with the reasons when the last devices have stayed failed for the time of stay-up", async () => {
    const failed = device("a", "failed", { reasons: ["Image web:2: manifest unknown"] });
    const { how, printed, seconds } = await followed([
      [failed, device("b", "updating")],
      [failed, device("b", "done")],
    ]);
    expect([how, seconds]).toEqual(["failed", 18]);
    expect(printed).toMatch(/\na \(uuid of a\): failed: Image web:2: manifest unknown\n$/);
  });

  test("goes on when a failed device recovers", async () => {
    const failed = device("a", "failed");
    const { how } = await followed([[failed], [failed], [device("a", "updating")], [failed], [device("a", "done")]]);
    expect(how).toBe("done");
  });

  test("ends after the timeout, with the devices that are not done", async () => {
    const { how, printed, seconds } = await followed([[device("a", "done"), device("b", "waiting")]]);
    expect([how, seconds]).toEqual(["timeout", 60]);
    expect(printed).toMatch(/\nb \(uuid of b\): waiting\n$/);
  });

  test("asks again while the cloud cannot be reached, and says so once", async () => {
    const { how, printed } = await followed(["It is away", "It is away", [device("a", "done")]]);
    expect(how).toBe("done");
    expect(printed).toBe("It is away; trying again\na: done\n1 device: 1 done\n");
  });

  test("ends when it is stopped, when there are no devices, and when another release has replaced this one", async () => {
    expect((await followed([[device("a", "waiting")], "stop"])).how).toBe("stopped");
    expect((await followed([[]])).how).toBe("nothing");
    expect((await followed([[device("a", "waiting")], []])).how).toBe("replaced");
  });
});

describe("on a terminal", () => {
  const screen: Screen = { columns: 80, rows: 24 };
  const wide = (count: number, state: UpdateState) =>
    Array.from({ length: count }, (_, n) => device(`device ${String(n).padStart(4, "0")}`, state));

  test("each device of a small fleet has a bar, in the order of their names", () => {
    const all = progressOf([
      device("b", "updating", { updateStatus: "downloading", progress: 50 }),
      device("a", "done"),
      device("c", "updating", { updateStatus: "applying changes" }),
    ]);
    expect(draw(all, screen)).toEqual([
      `a  ${"█".repeat(20)} 100 %  done`,
      `b  ${"█".repeat(10)}${"░".repeat(10)}  50 %  downloading`,
      `c  ${"█".repeat(20)} 100 %  applying changes`,
      "3 devices: 1 done, 2 updating",
    ]);
  });

  test("a large fleet has one bar, and lists the devices that are not done", () => {
    const all = progressOf([...wide(3000, "done"), device("slow", "waiting"), device("bad", "failed")]);
    expect(draw(all, screen)).toEqual([
      `${"█".repeat(19)}░  99 %`,
      `bad   ${"░".repeat(20)}   0 %  failed`,
      `slow  ${"░".repeat(20)}   0 %  waiting`,
      "3002 devices: 3000 done, 1 waiting, 1 failed",
    ]);
  });

  test.each([
    [20, { columns: 80, rows: 10 }],
    [500, { columns: 20, rows: 6 }],
    [3, { columns: 5, rows: 2 }],
  ])("%i devices fit on a screen of %j", (count, small) => {
    const lines = draw(progressOf(wide(count, "waiting"), 500), small);
    expect(lines.length).toBeLessThan(small.rows);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(small.columns);
    expect(lines.length).toBeGreaterThan(0);
  });

  test("a name or a reason cannot control the terminal", () => {
    const evil = "\u001b[2J\u0007evil\n\u009b1A";
    const lines = draw(progressOf([device(evil, "failed", { reasons: [evil] })]), screen);
    expect(lines.join("")).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(lines[0]).toContain("evil");
  });

  test("a drawing replaces the one before", async () => {
    const { printed } = await followed([[device("a", "waiting")], [device("a", "done")]], { screen: () => screen });
    expect(printed.split("\u001b[2A\u001b[0J").length).toBe(2);
  });
});
