import { fork, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Load, Measured } from "./load.ts";
import { repeatPosts } from "./once.ts";
import type { Role } from "./part.ts";
import { startWorkerd } from "./workerd.ts";

/** `npm run bench:relay`: the relay on workerd itself against a plain reverse proxy, with the same agent behind both. */

/** Short and many, since machines are shared: what is told is the median of each round's own ratio. */
const rounds = 7;
const many = 1000;
const posts = 10_000;
const uuidOf = (n: number) => n.toString(16).padStart(32, "0");

const parts: ChildProcess[] = [];
const Result = z.object({ result: z.unknown().optional(), error: z.string().optional() });

/** A process with that role, and what it says when it is ready, or done. */
async function part(role: Role): Promise<{ process: ChildProcess; result: unknown }> {
  const process = fork(join(import.meta.dirname, "part.ts"), { execArgv: ["--import", "tsx"] });
  parts.push(process);
  const said = new Promise<unknown>((resolve, reject) => {
    process.once("message", resolve);
    process.once("exit", (code) => reject(new Error(`The ${role.is} ended with ${code}`)));
  });
  process.send(role);
  const { result, error } = Result.parse(await said);
  if (error !== undefined) throw new Error(`The ${role.is} has failed: ${error}`);
  return { process, result };
}

const Measurement = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number() });

async function load(what: Pick<Load, "url" | "method" | "headers" | "body">, connections: number): Promise<Measured> {
  const { process, result } = await part({ is: "load", ...what, connections, warmMs: 500, ms: 1500 });
  process.kill();
  return Measurement.parse(result);
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN;

/** Resident memory of a process, in MiB. */
const memoryOf = (pid: number | undefined): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? NaN) / 1024;

const progress = (what: string): void => console.error(`… ${what}`);

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function bench(): Promise<readonly (readonly [what: string, value: string])[]> {
  const cloud = await startWorkerd();
  const least = await startWorkerd("bench/relay/worker/least.ts");
  try {
    const newFleet = async (name: string) => {
      const { id } = await cloud.ask(z.object({ id: z.int() }), "POST", "/admin/v1/fleets", { name });
      const { key } = await cloud.ask(
        z.object({ key: z.string() }),
        "POST",
        `/admin/v1/fleets/${id}/provisioning-keys`,
        {},
      );
      return { id, key };
    };
    type Fleet = Awaited<ReturnType<typeof newFleet>>;
    const register = async (n: number, fleet: Fleet) => {
      const device = { application: fleet.id, device_type: "generic-amd64", uuid: uuidOf(n) };
      const { api_key: key } = await cloud.ask(
        z.object({ api_key: z.string() }),
        "POST",
        "/device/register",
        device,
        fleet.key,
      );
      return { uuid: uuidOf(n), key };
    };
    const { token } = await cloud.ask(z.object({ token: z.string() }), "POST", "/admin/v1/tokens", {
      name: "bench",
      fleets: "all",
      write: true,
    });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const call = (path: string, body: object) =>
      fetch(`${cloud.url}/supervisor${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify({ method: "GET", ...body }),
      });

    const device = await register(1, await newFleet("one"));
    const agent = await part({ is: "agent", cloud: cloud.url, devices: [device] });
    const direct = z.string().parse(agent.result);
    const proxy = z.string().parse((await part({ is: "proxy", target: direct })).result);
    const echo = await part({ is: "echo", cloud: least.url });
    const plain = { method: "GET" as const, headers: {}, body: "" };
    const ways = {
      direct: { ...plain, url: `${direct}/ping` },
      proxy: { ...plain, url: `${proxy}/ping` },
      relay: {
        url: `${cloud.url}/supervisor/ping`,
        ...{ method: "POST" as const, headers, body: JSON.stringify({ uuid: uuidOf(1), method: "GET" }) },
      },
      least: { url: least.url, method: "POST" as const, headers, body: JSON.stringify({ uuid: echo.result }) },
    };
    const results: Record<keyof typeof ways, { one: Measured[]; many: Measured[] }> = {
      direct: { one: [], many: [] },
      proxy: { one: [], many: [] },
      relay: { one: [], many: [] },
      least: { one: [], many: [] },
    };
    for (let round = 0; round < rounds; round++)
      for (const way of ["direct", "proxy", "relay", "least"] as const) {
        results[way].one.push(await load(ways[way], 1));
        results[way].many.push(await load(ways[way], 64));
        progress(
          `round ${round + 1} of ${rounds}, ${way}: ${results[way].many.at(-1)?.perSecond.toFixed(0)} requests/s`,
        );
      }
    const perSecond = (way: keyof typeof ways) => results[way].many.map((one) => one.perSecond);
    const throughput = (way: keyof typeof ways) => `${median(perSecond(way)).toFixed(0)} requests/s`;
    const ratio = (way: keyof typeof ways, to: keyof typeof ways) => {
      const baseline = perSecond(to);
      return `${median(perSecond(way).map((one, round) => one / (baseline[round] ?? NaN))).toFixed(2)} ×`;
    };
    const latency = (way: keyof typeof ways) => median(results[way].one.map(({ p50Ms }) => p50Ms));

    const lines = 200_000;
    const begun = performance.now();
    const text = await (await call(`/bench/lines?n=${lines}`, { uuid: uuidOf(1) })).arrayBuffer();
    const linesPerSecond = lines / ((performance.now() - begun) / 1000);
    if (text.byteLength < lines) throw new Error("The log is not whole");

    progress(`${linesPerSecond.toFixed(0)} lines/s; a slow reader`);
    const before = [memoryOf(cloud.pid), memoryOf(agent.process.pid)];
    const slow = await call("/bench/bytes?n=1073741824", { uuid: uuidOf(1) });
    const reader = slow.body?.getReader();
    let most = [0, 0];
    for (let read = 0; read < 60; read++) {
      await reader?.read();
      await pause(100);
      const grown = [memoryOf(cloud.pid), memoryOf(agent.process.pid)].map((now, n) => now - (before[n] ?? 0));
      most = most.map((one, n) => Math.max(one, grown[n] ?? 0));
    }
    await reader?.cancel();

    progress(`${posts} POSTs, while the connection of their device is cut`);
    const cut = await register(2, await newFleet("cut"));
    const { result: cutDirect } = await part({ is: "agent", cloud: cloud.url, devices: [cut], cutMs: 4000 });
    const once = await repeatPosts(posts, {
      cloud: cloud.url,
      headers,
      uuid: cut.uuid,
      direct: z.string().parse(cutDirect),
    });

    progress(`${many} devices`);
    const fleet = await newFleet("many");
    const devices: Awaited<ReturnType<typeof register>>[] = [];
    for (let n = 0; n < many; n++) devices.push(await register(1000 + n, fleet));
    const empty = memoryOf(cloud.pid);
    await part({ is: "agent", cloud: cloud.url, devices });
    progress("all connected");
    const awake = memoryOf(cloud.pid);
    // Objects sleep after ten seconds without anything to do.
    await pause(20_000);
    const asleep = memoryOf(cloud.pid);
    const fanOut = async () => {
      const asked = performance.now();
      const entries = z
        .array(z.object({ statusCode: z.literal(200) }))
        .parse(await (await call("/ping", { appId: fleet.id })).json());
      if (entries.length !== many) throw new Error(`${entries.length} entries`);
      return performance.now() - asked;
    };
    const cold = await fanOut();
    const warm: number[] = [];
    for (let n = 0; n < 15; n++) warm.push(await fanOut());

    return [
      ["direct, 64 connections", throughput("direct")],
      ["plain node:http reverse proxy, 64 connections", throughput("proxy")],
      ["relay, 64 connections", throughput("relay")],
      ["the least Worker that asks a device, 64 connections", throughput("least")],
      ["**relay / reverse proxy, 64 connections**", `**${ratio("relay", "proxy")}**`],
      ["the least Worker / reverse proxy: what the platform allows", ratio("least", "proxy")],
      ["relay / the least Worker", ratio("relay", "least")],
      [
        "latency at one connection: direct, proxy, relay, the least Worker",
        (["direct", "proxy", "relay", "least"] as const).map((way) => `${latency(way).toFixed(2)} ms`).join(", "),
      ],
      ["added by the relay at one connection", `${(latency("relay") - latency("direct")).toFixed(2)} ms`],
      ["NDJSON through the relay", `${linesPerSecond.toFixed(0)} lines/s`],
      ["slow reader of 1 GiB: memory grown, relay and agent", most.map((one) => `${one.toFixed(0)} MiB`).join(", ")],
      [
        `${posts} POSTs with a key through cuts: requests sent, how often the device has acted`,
        `${once.sent}, ${once.acts}`,
      ],
      [
        `${many} idle devices: memory of each, awake and asleep`,
        [awake, asleep].map((one) => `${(((one - empty) * 1024) / many).toFixed(0)} KiB`).join(", "),
      ],
      [`one command to ${many} devices, all asleep`, `${cold.toFixed(0)} ms`],
      [`one command to ${many} devices, warm`, `${median(warm).toFixed(0)} ms`],
    ];
  } finally {
    for (const one of parts) one.kill("SIGKILL");
    await Promise.all([cloud.stop(), least.stop()]);
  }
}

const rows = await bench();
console.log(["| relay | |", "|---|---|", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n"));
