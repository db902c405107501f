import { metricsPauseMs } from "../../core/cloud/reporter.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { CloudRequest } from "../../core/ports/cloud.ts";
import { httpCloud } from "../../runtimes/node/cloud/http-cloud.ts";
import { defaultPingMs } from "../../runtimes/node/cloud/tunnel.ts";
import { wait } from "../../test/support/wait.ts";
import type { Cloud } from "../relay/workerd.ts";
import { median } from "../table.ts";
import {
  dayMs,
  newCommit,
  newFleet,
  pollsADay,
  progress,
  release,
  services,
  settle,
  type Fleet,
  type Line,
} from "./fleet.ts";
import { agentName, join, type Member } from "./members.ts";
import { meteredWire, type Wire } from "./wire.ts";

const bytes = (value: number): string => `${Math.round(value).toLocaleString("en")} B`;
const kb = (value: number): string => `${(value / 1000).toFixed(0)} kB`;
const count = (value: number): string => value.toFixed(0);

/** What a device and its cloud have to say to each other, of which a day is put together. */
export async function wireLines(cloud: Cloud, rounds: number): Promise<readonly Line[]> {
  const [wire, pinging] = [await meteredWire(cloud.url), await meteredWire(cloud.url)];
  const fleet = await newFleet(cloud);
  // Seldom enough to stay out of the way; the cloud holds a device for gone that has not pinged for 100 s.
  const device = await join({ ...fleet, url: wire.url }, 90_000);
  const pinger = await join({ ...fleet, url: pinging.url }, 100);

  const updates: { readonly bytes: number; readonly requests: number }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const [asked, tunnel] = [device.asked.length, wire.tunnel.bytes];
    const spentBytes = await spent(wire, () => update(cloud, fleet, device));
    updates.push({ bytes: spentBytes + wire.tunnel.bytes - tunnel, requests: device.asked.length - asked });
    progress(`updates, round ${round} of ${rounds}`);
  }
  // The first one installs.
  updates.shift();

  const ask = httpCloud(wire.url, agentName);
  const send = async (request: Pick<CloudRequest, "method" | "path" | "headers" | "body">) => {
    const { status } = await ask({ ...request, key: device.key, timeoutMs: 10_000 }, new AbortController().signal);
    if (status !== 200) throw new Error(`${request.method} ${request.path} answered ${status}`);
  };
  const polls: number[] = [];
  const wholes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = device.asked.length;
    polls.push(await spent(wire, () => device.supervisor.cloud?.update({ force: false })));
    const asked = device.asked.slice(before).map(({ method, status }) => `${method} ${status}`);
    if (asked.join() !== "GET 304") throw new Error(`An idle device has asked: ${asked.join()}`);
    wholes.push(await spent(wire, () => send({ method: "GET", path: `/device/v3/${device.uuid}/state` })));
  }
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ [device.uuid]: { cpu_usage: 42 } });
  const report = await spent(wire, () => send({ method: "PATCH", path: "/device/v3/state", headers, body }));

  const { bytes: from, pieces } = { ...pinging.tunnel };
  await systemClock.sleep(3000);
  const ping = (pinging.tunnel.bytes - from) / (pinging.tunnel.pieces - pieces);

  for (const one of [device, pinger]) await one.stop();
  for (const one of [wire, pinging]) one.stop();

  const [poll, whole] = [median(polls), median(wholes)];
  const reportsADay = dayMs / metricsPauseMs;
  const pings = (dayMs / defaultPingMs) * ping;
  const reports = reportsADay * report;
  return [
    { what: "wire: an idle poll, 304 (baseline: without ETag, 200)", unit: bytes, baseline: whole, ours: poll },
    { what: "wire: a ping and its pong", unit: bytes, ours: ping },
    { what: "wire: a report of one metric", unit: bytes, ours: report },
    {
      what: "wire: an idle device a day (baseline: without ETag)",
      unit: kb,
      baseline: pollsADay * whole + pings,
      ours: pollsADay * poll + pings,
    },
    {
      what: "wire: the same, and a metric never stands still",
      unit: kb,
      baseline: pollsADay * whole + pings + reports,
      ours: pollsADay * poll + pings + reports,
    },
    {
      what: `wire: an update of ${services.length} services (baseline: a GET of its target state)`,
      unit: bytes,
      baseline: whole,
      ours: median(updates.map((one) => one.bytes)),
    },
    {
      what: `requests: an update of ${services.length} services (baseline: that GET)`,
      unit: count,
      baseline: 1,
      ours: median(updates.map((one) => one.requests)),
    },
    { what: "requests: an idle device a day", unit: count, ours: pollsADay, original: "137" },
    {
      what: "requests: the same, and a metric never stands still",
      unit: count,
      ours: pollsADay + reportsADay,
      original: "425",
    },
  ];
}

/** Bytes of requests and answers, from an act until nothing more comes. */
async function spent({ requests }: Wire, act: () => void | Promise<void>): Promise<number> {
  const before = requests.bytes;
  await act();
  for (let last = -1; last !== requests.bytes;) {
    last = requests.bytes;
    await systemClock.sleep(2000);
  }
  return requests.bytes - before;
}

async function update(cloud: Cloud, fleet: Fleet, { asked }: Member): Promise<void> {
  const commit = newCommit();
  await release(cloud, fleet, commit);
  await wait("the report of an update", () =>
    Promise.resolve(asked.some(({ body, status }) => status === 200 && body?.includes(`"release_uuid":"${commit}"`))),
  );
  await settle();
}
