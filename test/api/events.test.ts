import { Listener, toNodeListener, toOwnListener } from "../../runtimes/node/listener.ts";
import { get, rawClient, type RawClient } from "../node/raw-client.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { MemoryEventJournal } from "../../core/embedded/ports.ts";
import { ShownEvent } from "../../core/api/device/events.ts";
import { mostEventReaders } from "../../core/events/event-feed.ts";
import type { EventRecord } from "../../core/model/event.ts";
import { keptEvents } from "../../core/ports/event-journal.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { refused, seen } from "./answers.ts";
import { twoApps } from "./managed.ts";
import { readServerSentEvents } from "./server-sent-events.ts";

const Gap = z.object({ after: z.int(), before: z.int() });
const Events = z.object({ events: z.array(ShownEvent), last: z.int(), gaps: z.array(Gap) });

const read = async (device: TestDevice, query = "", headers = {}) =>
  Events.parse((await device.get(`/v3/events${query}`, headers)).json);

const kinds = ({ events }: z.output<typeof Events>) => events.map(({ kind }) => kind);

async function follow(device: TestDevice, query = "", headers = {}) {
  const response = await device.fetch(
    new Request(`http://device/v3/events${query}`, { headers: { accept: "text/event-stream", ...headers } }),
  );
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const reader = readServerSentEvents(response);
  onTestFinished(() => reader.cancel());
  return reader;
}

const emit = (device: TestDevice, ...names: readonly string[]) => {
  for (const name of names) device.supervisor.events.emit({ kind: "imageDownloading", name, appId: 1 });
};

/** A journal with the events of an earlier run. */
async function journalOf(count: number): Promise<MemoryEventJournal> {
  const journal = new MemoryEventJournal();
  await journal.append(
    Array.from({ length: count }, (_, n): EventRecord => ({
      ...{ kind: "purged", level: "info", audience: "everyone", at: 5, appId: 1 },
      text: String(n + 1),
    })),
  );
  return journal;
}

describe("GET /v3/events", () => {
  test("answers what has happened, why and by what, and never the value of a variable", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    await device.run({ "1": app({ web: { environment: { PASSWORD: "correct horse" } } }) });
    const all = await read(device);
    expect(kinds(all)).toEqual(
      expect.arrayContaining(["imageDownloading", "serviceInstalling", "serviceStarted", "serviceKilling"]),
    );
    const ids = all.events.map(({ id }) => id);
    expect(ids).toEqual(ids.map((_, n) => n + 1));
    expect(all).toMatchObject({ last: ids.length, gaps: [] });
    expect(all.events.find(({ kind }) => kind === "serviceKilling")).toMatchObject({
      ...{ app: 1, service: "web", level: "info", by: "variables" },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      text: expect.stringContaining("Killing service 'web"),
      why: ["environment.PASSWORD is new", "environment.PASSWORD differs"],
    });
    expect(JSON.stringify(all)).not.toContain("correct horse");
  });

  test("names who decided something", async () => {
    const device = await testDevice();
    device.supervisor.events.emit({ kind: "updateDecided", appId: 1, decision: "confirm", by: "device key" });
    expect(await read(device)).toMatchObject({ events: [{ kind: "updateDecided", by: "device key", why: [] }] });
  });

  test("goes on after an event, of some kinds and of one application", async () => {
    const device = await testDevice();
    emit(device, "a", "b");
    device.supervisor.events.emit({ kind: "purging", appId: 2 });
    const first = await read(device, "?limit=1");
    expect(first).toMatchObject({ events: [{ id: 1, text: "Downloading image 'a'" }], last: 1 });
    expect(await read(device, `?after=${first.last}`)).toMatchObject({ events: [{ id: 2 }, { id: 3 }], last: 3 });
    expect(await read(device, "?kinds=purging,purged")).toMatchObject({ events: [{ id: 3 }], last: 3 });
    // The events that are not wanted are passed, too.
    expect(await read(device, "?app=1&after=2")).toEqual({ events: [], last: 3, gaps: [] });
    expect(await read(device, "?after=latest")).toEqual({ events: [], last: 3, gaps: [] });
  });

  test("waits for an event if there is none", async () => {
    const device = await testDevice();
    emit(device, "a");
    const waiting = read(device, "?after=1&wait=30&kinds=purging");
    setTimeout(() => {
      emit(device, "not wanted");
      device.supervisor.events.emit({ kind: "purging", appId: 7 });
    }, 20);
    expect(await waiting).toMatchObject({ events: [{ id: 3, kind: "purging", app: 7 }], last: 3 });
    expect(await read(device, "?after=3&wait=0.05")).toEqual({ events: [], last: 3, gaps: [] });
  });

  test("says that events between the last request and this one are gone", async () => {
    const device = await testDevice({ ports: { eventJournal: await journalOf(keptEvents + 20) } });
    expect(await read(device, "?after=5&limit=1")).toMatchObject({
      events: [{ id: 21 }],
      gaps: [{ after: 5, before: 21 }],
    });
    // Without a cursor nothing was missed.
    expect(await read(device, "?limit=1")).toMatchObject({ events: [{ id: 21 }], gaps: [] });
  });

  test("begins anew for the cursor of a device whose events are lost, and says so", async () => {
    const device = await testDevice();
    expect(await read(device, "?after=812")).toEqual({ events: [], last: 0, gaps: [{ after: 812, before: 1 }] });
    emit(device, "a");
    expect(await read(device, "?after=812&wait=5")).toMatchObject({
      events: [{ id: 1 }],
      gaps: [{ after: 812, before: 1 }],
    });
  });

  test.each([
    ["?after=-1", "after: expected the id of an event"],
    ["?after=now", 'after: expected the id of an event, or "latest"'],
    ["?wait=60", "wait: expected a number of 45 or less"],
    [
      "?kinds=started,purged",
      "kinds: expected kinds of events as in docs/events.md, separated by commas, but got started",
    ],
  ])("%s is refused with what was expected", async (query, message) => {
    const device = await testDevice();
    expect(seen(await device.get(`/v3/events${query}`))).toEqual(
      refused("invalid-request", message, expect.any(Array)),
    );
  });

  test("a service sees the events of its own application only", async () => {
    const device = await twoApps();
    device.supervisor.events.emit({ kind: "rebooting" });
    const own = await device.keyOf(1, "web");
    const { events } = await read(device, "", own);
    expect(events.length).toBeGreaterThan(0);
    expect(new Set(events.map((event) => event.app))).toEqual(new Set([1]));
    const of = (await read(device, "", device.globalKey())).events.map((event) => event.app);
    expect(new Set(of)).toEqual(new Set([1, 2, undefined]));
    expect(seen(await device.get("/v3/events?app=2", own))).toEqual(
      refused("outside-scope", "This key is for another application"),
    );
    expect((await device.get("/v3/events")).status).toBe(401);
  });

  test("an idle device writes nothing for readers that wait", async () => {
    const journal = await journalOf(1);
    let appends = 0;
    const append = journal.append.bind(journal);
    journal.append = (...given) => {
      appends++;
      return append(...given);
    };
    const device = await testDevice({ ports: { eventJournal: journal } });
    await device.settled();
    await read(device);
    appends = 0;
    const stream = await follow(device);
    await read(device, "?after=latest&wait=0.1");
    expect(await stream.next()).toMatchObject({ id: "1" });
    expect(appends).toBe(0);
  });
});

describe("the same as server-sent events", () => {
  test("each event has its id, and the stream goes on", async () => {
    const device = await testDevice();
    emit(device, "a");
    const stream = await follow(device);
    expect(await stream.next()).toMatchObject({ id: "1", data: { id: 1, text: "Downloading image 'a'" } });
    emit(device, "b");
    expect(await stream.next()).toMatchObject({ id: "2", data: { id: 2, text: "Downloading image 'b'" } });
  });

  test("continues after the event that a browser has received last", async () => {
    const device = await testDevice();
    emit(device, "a", "b", "c");
    const stream = await follow(device, "?after=latest", { "last-event-id": "2" });
    expect(await stream.next()).toMatchObject({ id: "3" });
  });

  test("says where events are lost", async () => {
    const journal = await journalOf(keptEvents + 20);
    await journal.append([{ kind: "purged", level: "info", audience: "everyone", at: 5, text: "x", appId: 1 }], 3);
    const device = await testDevice({ ports: { eventJournal: journal } });
    const begin = await follow(device, "?after=5");
    expect(await begin.next()).toEqual({ event: "gap", id: "21", data: { after: 5, before: 22 } });
    expect(await begin.next()).toMatchObject({ id: "22" });
    const end = await follow(device, `?after=${keptEvents + 20}`);
    const [after, before] = [keptEvents + 20, keptEvents + 24];
    expect(await end.next()).toEqual({ event: "gap", id: String(before - 1), data: { after, before } });
    expect(await end.next()).toMatchObject({ id: String(before) });
  });

  test("a reader that takes nothing has a bounded buffer, and continues without a loss", async () => {
    const device = await testDevice();
    const stream = await follow(device);
    const count = keptEvents - 10;
    for (let n = 1; n <= count; n++) emit(device, `${n}-${"x".repeat(500)}`);
    await device.supervisor.events.settle();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (let n = 1; n <= count; n++) expect(await stream.next()).toMatchObject({ id: String(n) });
  });

  test(`more than ${mostEventReaders} readers are refused, until one has left`, async () => {
    const device = await testDevice();
    const [first] = await Promise.all(Array.from({ length: mostEventReaders }, () => follow(device)));
    const message = `The events have ${mostEventReaders} readers already; try again when one of them has left`;
    expect(seen(await device.get("/v3/events?wait=1"))).toEqual(refused("busy", message));
    expect(seen(await device.get("/v3/events", { accept: "text/event-stream" }))).toEqual(refused("busy", message));
    // A reader that does not wait is no load.
    expect((await device.get("/v3/events")).status).toBe(200);
    await first?.cancel();
    await follow(device);
  });
});

describe("a reader that waits and leaves", () => {
  const leaves = async (device: TestDevice, leave: () => void) => {
    expect(seen(await device.get("/v3/events?after=latest&wait=0.01"))).toMatchObject({ status: 503 });
    leave();
    await expect
      .poll(async () => (await device.get("/v3/events?after=latest&wait=0.01")).status, { timeout: 10_000 })
      .toBe(200);
  };

  test("makes room at once", async () => {
    const device = await testDevice();
    const left = new AbortController();
    const url = "http://device/v3/events?after=latest&wait=45";
    const waiting = Array.from({ length: mostEventReaders }, () =>
      device.fetch(new Request(url, { signal: left.signal })),
    );
    await leaves(device, () => left.abort());
    await Promise.all(waiting);
  });

  test.each([["the listener", toOwnListener] as const, ["a server of one's own", toNodeListener] as const])(
    "makes room at once, through %s",
    async (_, toListener) => {
      const device = await testDevice();
      const listener = new Listener(device.fetch, 0, toListener);
      onTestFinished(() => listener.close());
      await listener.listen("127.0.0.1");
      // A question whether there is room takes a place itself for a moment.
      const clients: RawClient[] = [];
      const isFull = async () => (await device.get("/v3/events?after=latest&wait=0.01")).status === 503;
      while (clients.length < 100 && !(await isFull())) {
        clients.push(await rawClient(listener.port, get("/v3/events?after=latest&wait=45")));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await leaves(device, () => clients.forEach((client) => client.leave()));
    },
  );
});
