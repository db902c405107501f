import { describe, expect, test } from "vitest";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { Logs, type LogSource } from "../../core/events/logs.ts";
import { endpoint, plainSpec } from "../compose/specs.ts";
import { eventsTo } from "../support/events.ts";
import { HandClock, WatchedLogs, linesOf, turn } from "./world.ts";

const hello = { message: "Streaming logs", isSystem: true };

/** Two running services, and the logs that clients can read. */
async function world() {
  const clock = new HandClock();
  const engine = new WatchedLogs({ clock, program: () => ({ lines: [] }) });
  const log = new MemoryLog();
  const events = eventsTo(log, clock);
  const logs = new Logs({ engine, clock, events, isLocalMode: () => true });
  const image = engine.addImage("one");
  await engine.createNetwork("1_default", {
    driver: "bridge",
    driverOptions: {},
    internal: false,
    ipv6: false,
    configOnly: false,
    labels: {},
    ipam: { driver: "default", options: {}, config: [] },
  });
  const run = async (service: string, serviceId: number): Promise<LogSource> => {
    const labels = {
      "io.balena.app-id": "1",
      "io.balena.service-name": service,
      "io.balena.service-id": String(serviceId),
    };
    const id = await engine.createContainer(service, {
      ...plainSpec,
      image,
      labels,
      networks: { "1_default": endpoint },
    });
    await engine.startContainer(id);
    return { id, service, serviceId };
  };
  const one = await run("one", 1);
  const two = await run("two", 2);
  const say = (reason: string) => events.emit({ kind: "configRefused", reason });
  return { clock, engine, log, events, say, logs, one, two };
}

test("a stream begins with a greeting", async () => {
  const { logs } = await world();
  expect(await linesOf(logs.stream()).take(1)).toEqual([hello]);
});

test("the agent's actions go to the readers and to the machine's log", async () => {
  const { logs, log, events, say, clock } = await world();
  const reader = linesOf(logs.stream());
  events.emit({ kind: "purged" });
  say("Something is odd");
  expect(await reader.take(3)).toEqual([
    hello,
    { message: "Purged data", isSystem: true, timestamp: clock.now() },
    { message: "Something is odd", isSystem: true, timestamp: clock.now() },
  ]);
  expect(log.lines).toEqual(["Purged data", "warning: Something is odd"]);
});

test("a service's lines arrive with its name", async () => {
  const { logs, engine, one, two, clock } = await world();
  logs.setSources([one, two]);
  const reader = linesOf(logs.stream());
  await turn();
  engine.write(one.id, "ready");
  engine.write(two.id, "oops", true);
  const timestamp = clock.now();
  expect(await reader.take(1)).toEqual([hello]);
  expect(new Set(await reader.take(2))).toEqual(
    new Set([
      { serviceName: "one", serviceId: 1, message: "ready", isStdErr: false, timestamp },
      { serviceName: "two", serviceId: 2, message: "oops", isStdErr: true, timestamp },
    ]),
  );
});

describe("containers are followed", () => {
  test("only while there is a reader", async () => {
    const { logs, engine, one, two } = await world();
    logs.setSources([one, two]);
    await turn();
    expect(engine.followed).toEqual([]);

    const first = linesOf(logs.stream());
    await turn();
    expect(engine.followed).toEqual([one.id, two.id]);

    const second = linesOf(logs.stream());
    await turn();
    expect(engine.followed).toEqual([one.id, two.id]);

    await first.leave();
    await turn();
    expect(engine.followed).toEqual([one.id, two.id]);

    await second.leave();
    await turn();
    expect(engine.followed).toEqual([]);
  });

  test("from their start until their removal", async () => {
    const { logs, engine, one, two } = await world();
    linesOf(logs.stream());
    await turn();
    logs.setSources([one]);
    await turn();
    expect(engine.followed).toEqual([one.id]);
    logs.setSources([one, two]);
    await turn();
    expect(engine.followed).toEqual([one.id, two.id]);
    logs.setSources([two]);
    await turn();
    expect(engine.followed).toEqual([two.id]);
  });

  test("until the agent stops, which ends every stream", async () => {
    const { logs, say, engine, one } = await world();
    logs.setSources([one]);
    const readers = [linesOf(logs.stream()), linesOf(logs.stream())];
    await turn();
    logs.stop();
    for (const reader of readers) expect(await reader.all()).toEqual([hello]);
    await turn();
    expect(engine.followed).toEqual([]);
    say("after that, nobody reads");
  });

  test("again after the engine has refused once", async () => {
    const { logs, log, engine, one } = await world();
    logs.setSources([{ ...one, id: "gone" }]);
    const reader = linesOf(logs.stream());
    await turn();
    expect(log.lines.join()).toContain("The log of one cannot be followed");
    logs.setSources([one]);
    await turn();
    engine.write(one.id, "back");
    expect(await reader.take(2)).toMatchObject([hello, { message: "back" }]);
  });
});

describe("no line is repeated, and no earlier line is shown", () => {
  test("to a first reader", async () => {
    const { logs, clock, engine, one } = await world();
    engine.write(one.id, "long ago");
    clock.pass(1000);
    logs.setSources([one]);
    const reader = linesOf(logs.stream());
    await turn();
    engine.write(one.id, "now");
    expect(await reader.take(2)).toMatchObject([hello, { message: "now" }]);
  });

  test("to a later reader", async () => {
    const { logs, clock, engine, one } = await world();
    logs.setSources([one]);
    const first = linesOf(logs.stream());
    await turn();
    engine.write(one.id, "first");
    expect(await first.take(2)).toMatchObject([hello, { message: "first" }]);
    clock.pass(1000);
    const second = linesOf(logs.stream());
    engine.write(one.id, "second");
    expect(await second.take(2)).toMatchObject([hello, { message: "second" }]);
    expect(await first.take(1)).toMatchObject([{ message: "second" }]);
  });

  test("when a container stops and starts again", async () => {
    const { logs, clock, engine, one, two } = await world();
    logs.setSources([one, two]);
    const reader = linesOf(logs.stream());
    await turn();
    engine.write(one.id, "before");
    expect(await reader.take(2)).toMatchObject([hello, { message: "before" }]);
    for (let n = 0; n < 3; n++) {
      clock.pass(1000);
      engine.exit(one.id, 1);
      await turn();
      logs.setSources([two]);
      await turn();
      await engine.startContainer(one.id);
      // The engine reports the start later than the first line.
      engine.write(one.id, `after ${n}`);
      clock.pass(10);
      logs.setSources([one, two]);
      await turn();
      expect(await reader.take(1)).toMatchObject([{ message: `after ${n}` }]);
    }
  });

  test("when the list of containers is set repeatedly", async () => {
    const { logs, clock, engine, one, two } = await world();
    const reader = linesOf(logs.stream());
    const expected = [];
    for (let n = 0; n < 20; n++) {
      logs.setSources(n % 3 === 2 ? [two] : [one, two]);
      await turn();
      clock.pass(10);
      engine.write(two.id, `line ${n}`);
      expected.push({ message: `line ${n}` });
    }
    expect(await reader.take(21)).toMatchObject([hello, ...expected]);
  });

  test("when one reader disconnects and another connects", async () => {
    const { logs, clock, engine, one } = await world();
    logs.setSources([one]);
    const first = linesOf(logs.stream());
    await turn();
    engine.write(one.id, "for the first");
    await first.take(2);
    await first.leave();
    clock.pass(1000);
    engine.write(one.id, "for nobody");
    clock.pass(1000);
    const second = linesOf(logs.stream());
    await turn();
    engine.write(one.id, "for the second");
    expect(await second.take(2)).toMatchObject([hello, { message: "for the second" }]);
  });
});

describe("a reader that does not keep up", () => {
  const long = "x".repeat(1000);

  test("loses lines and gets their number, and the other readers lose none", async () => {
    const { logs, say } = await world();
    const slow = linesOf(logs.stream());
    const quick = linesOf(logs.stream());
    await quick.take(1);
    for (let n = 0; n < 2000; n++) {
      say(`${n} ${long}`);
      expect(await quick.take(1)).toMatchObject([{ message: `${n} ${long}` }]);
    }

    // Its buffer is a quarter of a megabyte.
    const kept = await slow.take(1 + 200);
    expect(kept.slice(0, 3)).toMatchObject([hello, { message: `0 ${long}` }, { message: `1 ${long}` }]);
    say("and now?");
    logs.stop();
    const rest = await slow.all();
    const note = rest.findIndex((line) => JSON.stringify(line).includes("left out"));
    expect(note).toBeGreaterThan(0);
    const shown = kept.length + note - 1;
    expect(rest.slice(note)).toMatchObject([
      { message: `${2000 - shown} lines were left out: they came faster than they were read`, isSystem: true },
      { message: "and now?" },
    ]);
    expect(shown).toBeLessThan(300);
    await quick.all();
  });

  test("loses no more lines once it reads on", async () => {
    const { logs, say } = await world();
    const reader = linesOf(logs.stream());
    for (let n = 0; n < 1000; n++) say(`${n} ${long}`);
    await reader.take(100);
    say("again");
    for (let n = 0; n < 50; n++) say(`more ${n}`);
    logs.stop();
    const rest = await reader.all();
    expect(rest.slice(-50)).toMatchObject(Array.from({ length: 50 }, (_, n) => ({ message: `more ${n}` })));
    expect(rest.filter((line) => JSON.stringify(line).includes("left out"))).toHaveLength(1);
  });

  test("does not delay the lines for other readers", async () => {
    const { logs, clock, engine, one } = await world();
    logs.setSources([one]);
    linesOf(logs.stream());
    const quick = linesOf(logs.stream());
    await quick.take(1);
    await turn();
    for (let n = 0; n < 1000; n++) {
      clock.pass(1);
      engine.write(one.id, `${n} ${long}`);
      expect(await quick.take(1)).toMatchObject([{ message: `${n} ${long}` }]);
    }
  });
});
