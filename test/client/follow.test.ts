import { describe, expect, test } from "vitest";
import {
  createClient,
  createCloudClient,
  Refusal,
  type Followed,
  type FollowedChange,
} from "../../core/client/index.ts";
import { impatient } from "./impatient.ts";
import { app, testDevice } from "../support/device.ts";

/** A device that answers each request for its stream with the next of these texts, and then waits. */
function deviceWith(...answers: (string | Error | Response)[]) {
  const asked: string[] = [];
  const fetch = async (request: Request) => {
    asked.push(new URL(request.url).search);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    if (answer instanceof Response) return answer;
    const body = new ReadableStream({
      start(controller) {
        if (answer !== undefined) controller.enqueue(new TextEncoder().encode(answer));
        if (answer !== undefined) controller.close();
      },
    });
    return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
  };
  return {
    asked,
    client: createClient({ fetch, clock: impatient }),
    cloud: createCloudClient({ fetch, clock: impatient }),
  };
}

const lines = (...all: object[]): string => all.map((one) => `${JSON.stringify(one)}\n`).join("");
const hello = { is: "hello", after: 10 };
const event = (id: number) => ({ is: "event", id });
const log = (timestamp: number, message: string, service = "web") => ({
  ...{ is: "log", appId: 1, service, timestamp, message, isStdErr: false },
});

/** What comes until the device has nothing more to answer. */
async function read(
  client: ReturnType<typeof createClient>,
  options: Parameters<typeof client.follow>[0],
  until: (seen: readonly Followed[]) => boolean,
): Promise<readonly Followed[]> {
  const seen: Followed[] = [];
  for await (const line of client.follow(options)) {
    seen.push(line);
    if (until(seen)) break;
  }
  return seen;
}
const cuts = (n: number) => (seen: readonly Followed[]) => seen.filter(({ is }) => is === "disconnected").length === n;
const messages = (seen: readonly Followed[]) =>
  seen.map((one) => (one.is === "log" ? one.message : one.is === "event" ? one.id : one.is));

describe("a stream that is followed", () => {
  test("goes on after the last event, and before the first one after what the device has said", async () => {
    const { asked, client } = deviceWith(lines(hello), lines(hello, event(11), event(12)), lines(hello, event(13)));
    const seen = await read(client, { events: true, kinds: ["serviceExited", "problemFound"] }, cuts(3));
    expect(asked).toEqual([
      "?events=true&kinds=serviceExited%2CproblemFound",
      "?events=true&after=10&kinds=serviceExited%2CproblemFound",
      "?events=true&after=12&kinds=serviceExited%2CproblemFound",
    ]);
    expect(messages(seen).filter((one) => typeof one === "number")).toEqual([11, 12, 13]);
  });

  test("does not repeat log lines, also of the same time, and says which may be missing", async () => {
    const { asked, client } = deviceWith(
      lines(log(1, "a"), log(2, "b"), log(2, "c"), log(5, "x", "db")),
      lines(log(1, "a"), log(2, "b"), log(2, "c"), log(2, "d"), log(3, "e"), log(7, "y", "db")),
    );
    const seen = await read(client, { logs: 2 }, cuts(2));
    expect(asked).toEqual(["?logs=2", "?logs=1000"]);
    expect(messages(seen)).toEqual(["a", "b", "c", "x", "disconnected", "d", "e", "lost", "y", "disconnected"]);
    expect(seen.find(({ is }) => is === "lost")).toEqual({ is: "lost", of: "logs", appId: 1, service: "db" });
  });

  test("connects again at once when it is woken", async () => {
    let asked = 0;
    const fetch = () => {
      asked++;
      return Promise.reject(new TypeError("fetch failed"));
    };
    const never = { ...impatient, sleep: () => new Promise<void>(() => {}) };
    const client = createClient({ fetch, clock: never });
    await read(client, { wake: async () => undefined }, cuts(3));
    expect(asked).toBe(3);
  });

  test("ends with the device's refusal, but not with a failure of the network", async () => {
    const refused = Response.json({ status: "failed", message: "no such kind" }, { status: 400 });
    const { client } = deviceWith(new TypeError("fetch failed"), new Response("", { status: 502 }), refused);
    const seen: Followed[] = [];
    const all = async () => {
      for await (const line of client.follow()) seen.push(line);
    };
    await expect(all()).rejects.toThrow("stream was refused with 400: no such kind");
    expect(seen).toEqual([
      { is: "disconnected", why: "fetch failed" },
      { is: "disconnected", why: "It answered 502" },
    ]);
  });

  test("ends when its signal aborts, and closes the connection when its reader leaves", async () => {
    const end = new AbortController();
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const client = createClient({ fetch: device.fetch });
    for await (const line of client.follow({ state: true }))
      if (line.is === "state") {
        expect(line.apps.map(({ appId }) => appId)).toEqual([1]);
        break;
      }
    const following = (async () => {
      for await (const line of client.follow({ events: true, signal: end.signal }))
        if (line.is === "hello") end.abort();
    })();
    await expect(following).rejects.toThrow(/abort/i);
  });

  test("is that of a device: an event and a log line arrive", async () => {
    const device = await testDevice();
    const client = createClient({ fetch: device.fetch });
    const seen: Followed[] = [];
    const reading = (async () => {
      for await (const line of client.follow({ events: true, kinds: ["serviceStarted"] })) {
        seen.push(line);
        if (line.is === "event") return line;
        if (line.is === "hello") await device.run({ "1": app({ web: {} }) });
      }
    })();
    expect(await reading).toMatchObject({ is: "event", kind: "serviceStarted", service: "web", app: 1 });
  });
});

describe("the changes of a cloud", () => {
  const change = (id: number) => ({ id, kind: "device.online" });

  test("are followed after the last one that has come", async () => {
    const { asked, cloud } = deviceWith(
      lines(change(7)) + "\n",
      new TypeError("fetch failed"),
      new Response("busy", { status: 503 }),
      lines(change(8), change(9)),
    );
    const seen: FollowedChange[] = [];
    for await (const one of cloud.follow({ fleetId: 3 })) {
      seen.push(one);
      if (asked.length === 4 && one.is === "disconnected") break;
    }
    expect(seen.map((one) => (one.is === "change" ? one.id : one.why))).toEqual([
      ...[7, "The server has ended the stream", "fetch failed", "It answered 503"],
      ...[8, 9, "The server has ended the stream"],
    ]);
    expect(asked).toEqual(["?fleetId=3", "?fleetId=3&after=7", "?fleetId=3&after=7", "?fleetId=3&after=7"]);
  });

  test("begin after an id, and end with a refusal", async () => {
    const { asked, cloud } = deviceWith(Response.json({ detail: "This token has ended" }, { status: 401 }));
    await expect(cloud.follow({ after: 5 }).next()).rejects.toThrow(Refusal);
    expect(asked).toEqual(["?after=5"]);
  });
});
