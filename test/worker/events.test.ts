import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { mostEventReaders } from "../../core/events/event-feed.ts";
import { mostLiveReaders } from "../../core/events/live-streams.ts";
import { readServerSentEvents } from "../api/server-sent-events.ts";
import { connected, joinAgent, startRelay, type JoinedAgent } from "./devices.ts";

const cloud = startRelay();
const { relay } = cloud;

const emit = ({ agent }: JoinedAgent, ...apps: readonly number[]) => {
  for (const appId of apps) agent.supervisor.events.emit({ kind: "purging", appId });
};

const asStream = { accept: "text/event-stream" };

/** Follows the events of kind `purging` through the relay. */
async function follow({ uuid }: JoinedAgent, headers: Record<string, string> = {}) {
  const response = await relay(
    "/v3/events?kinds=purging",
    { uuid, method: "GET" },
    { headers: { ...asStream, ...headers } },
  );
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  expect(response.headers.get("cache-control")).toBe("no-cache, no-transform");
  const reader = readServerSentEvents(response);
  onTestFinished(() => reader.cancel().catch(() => {}));
  return reader;
}

describe("the events of a device, through the relay", () => {
  test("are waited for", async () => {
    const device = await joinAgent(cloud);
    const asked = { uuid: device.uuid, method: "GET" };
    const { last } = z.object({ last: z.int() }).parse(await (await relay("/v3/events?after=latest", asked)).json());
    const waiting = relay(`/v3/events?after=${last}&kinds=purging&wait=20`, asked);
    await new Promise((resolve) => setTimeout(resolve, 100));
    emit(device, 7);
    expect(await (await waiting).json()).toMatchObject({ events: [{ kind: "purging", app: 7 }] });
  });

  test("continue after a disconnection with the id of the last one: none is lost, none is sent twice", async () => {
    const device = await joinAgent(cloud);
    const seen: unknown[] = [];
    let last = "0";
    let stream = await follow(device);
    const count = 60;
    for (let n = 1; n <= count; n++) {
      emit(device, n);
      if (n % 20 === 10) {
        await cloud.deploy();
        await connected(device.tunnel);
        stream = await follow(device, { "last-event-id": last });
      }
      if (n % 20 === 0)
        while (seen.length < n) {
          const { id = "", data } = await stream.next();
          seen.push(z.object({ app: z.int() }).parse(data).app);
          last = id;
        }
    }
    expect(seen).toEqual(Array.from({ length: count }, (_, n) => n + 1));
  }, 60_000);

  test("make room when their readers leave", async () => {
    const device = await joinAgent(cloud);
    const readers = await Promise.all(Array.from({ length: mostEventReaders }, () => follow(device)));
    await Promise.all(readers.map((reader) => reader.cancel()));
    // workerd notices that a client has left when it has something to pass on.
    await expect
      .poll(
        async () => {
          const response = await relay("/v3/events", { uuid: device.uuid, method: "GET" }, { headers: asStream });
          await response.body?.cancel();
          return response.status;
        },
        { timeout: 10_000, interval: 200 },
      )
      .toBe(200);
  });
});

describe("the stream of a device, through the relay", () => {
  test("has state, events and metrics as they come", async () => {
    const device = await joinAgent(cloud);
    const response = await relay("/v3/stream", { uuid: device.uuid, method: "GET" });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    onTestFinished(() => reader.cancel());
    let text = "";
    const until = async (wanted: string) => {
      while (!text.includes(wanted)) text += (await reader.read()).value ?? "";
    };
    await until('{"is":"state"');
    await until('{"is":"metrics"');
    emit(device, 7);
    await until('"kind":"purging"');
    expect(text.startsWith('{"is":"hello"')).toBe(true);
  });

  test(`has ${mostLiveReaders} readers at most, on the device and through the cloud together`, async () => {
    const device = await joinAgent(cloud);
    for (let n = 0; n < mostLiveReaders; n++) {
      const { body } = await device.agent.fetch(new Request("http://device/v3/stream"));
      onTestFinished(() => body?.cancel());
    }
    const refused = await relay("/v3/stream", { uuid: device.uuid, method: "GET" });
    expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining("readers already")]);
  });
});
