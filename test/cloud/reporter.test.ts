import { describe, expect, test } from "vitest";
import * as z from "zod";
import { MemoryLog, MemoryStore } from "../../core/embedded/ports.ts";
import { DeviceApiClient } from "../../core/cloud/device-api-client.ts";
import { eventsTo } from "../support/events.ts";
import { Reporter } from "../../core/cloud/reporter.ts";
import type { CloudAnswer } from "../../core/ports/cloud.ts";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { Documents } from "../../core/state/documents.ts";
import type { ReportedProblem } from "../../core/api/problem.ts";
import { Targets } from "../../core/state/targets.ts";
import { HandClock, turn } from "../state/world.ts";

/** When reports are sent, on a clock that the test moves. */

const answer = (status: number, headers: Record<string, string> = {}): CloudAnswer => ({
  status,
  header: (name) => headers[name],
  text: "",
});

const Body = z.record(z.string(), z.record(z.string(), z.unknown()));

function world(config: Record<string, string> = {}) {
  const clock = new HandClock();
  const log = new MemoryLog();
  const sent: { readonly at: number; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  const answers: (CloudAnswer | Error)[] = [];
  const machine = { memoryUsedMb: 100, memoryTotalMb: 1000, cpuPercent: 5, isUndervolted: false };
  const status = {
    osVersion: "12.0.0",
    osVariant: "prod" as const,
    supervisorVersion: "19.0.5",
    addresses: ["192.0.2.10"],
    macAddresses: [],
    apiPort: 48484,
    apiSecret: "secret",
  };
  const facts = { ...memoryIdentity, supervisorVersion: "19.0.5", deviceType: "generic-amd64" };
  const targets = new Targets(new Documents(new MemoryStore()), { facts, uuid: "u", managed: true });
  let measured = 0;
  const apps = Object.keys(config).length > 0 ? {} : undefined;
  const problems: ReportedProblem[] = [];
  const reporter = new Reporter({
    clock,
    events: eventsTo(log),
    targets,
    uuid: "u",
    status: () => status,
    apps: () => apps,
    problems: () => [...problems],
    olderImages: () => ({}),
    metrics: { measure: () => Promise.resolve({ ...machine, measured: ++measured }) },
    client: new DeviceApiClient(clock, ({ body = "{}" }) => {
      sent.push({ at: clock.now(), fields: Body.parse(JSON.parse(body))["u"] ?? {} });
      const next = answers.shift() ?? answer(200);
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    }),
  });
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1000) {
      clock.pass(Math.min(1000, left));
      await turn();
    }
  };
  const start = async () => {
    const end = new AbortController();
    if (Object.keys(config).length > 0) await targets.setCloud({ u: { name: "n", config, apps: {} } });
    void reporter.run("key", end.signal);
    await turn();
  };
  const since = (n: number) => sent.slice(n).map(({ at }) => at - (sent[0]?.at ?? 0));
  return {
    clock,
    log,
    sent,
    answers,
    machine,
    status,
    problems,
    reporter,
    pass,
    start,
    since,
    measured: () => measured,
  };
}

describe("reports", () => {
  test("are sent at most once in ten seconds, with the latest values", async () => {
    const { start, sent, status, reporter, pass, since } = world();
    await start();
    expect(sent).toHaveLength(1);
    for (const address of ["192.0.2.11", "192.0.2.12", "192.0.2.13"]) {
      status.addresses = [address];
      reporter.soon();
      await pass(2000);
    }
    expect(sent).toHaveLength(1);
    await pass(10_000);
    expect(since(1)).toEqual([10_000]);
    expect(sent[1]?.fields).toEqual({ ip_address: "192.0.2.13" });
  });

  test("of metrics alone are sent after a significant change, at most once in five minutes", async () => {
    const { start, sent, machine, reporter, pass, since, measured } = world();
    await start();
    expect(sent[0]?.fields).toMatchObject({ memory_usage: 100, cpu_temp: null });
    await pass(3_600_000);
    expect(sent).toHaveLength(1);
    machine.memoryUsedMb = 300;
    reporter.soon();
    await pass(10_000);
    expect(sent).toHaveLength(1);
    await pass(300_000);
    expect(sent[1]?.fields).toEqual({ memory_usage: 300 });
    expect(since(1)[0]).toBeGreaterThan(3_600_000);
    expect(measured()).toBeLessThan(20);
  });

  test("name problems to a cloud that takes them, when they change", async () => {
    const { start, sent, problems, reporter, pass } = world({ A: "b" });
    const problem = {
      appId: 1,
      app: "a",
      service: "web",
      kind: "crashLoop",
      message: "m",
      since: "2026-01-01T00:00:00.000Z",
    };
    problems.push(problem);
    await start();
    await pass(20_000);
    reporter.soon();
    await pass(20_000);
    expect(sent.filter(({ fields }) => "problems" in fields)).toEqual([]);
    reporter.setTakesProblems(true);
    await pass(20_000);
    reporter.soon();
    await pass(20_000);
    problems.pop();
    reporter.soon();
    await pass(20_000);
    expect(sent.flatMap(({ fields }) => ("problems" in fields ? [fields] : []))).toEqual([
      { problems: [problem] },
      { problems: [] },
    ]);
  });

  test("that are due for another reason include the current metrics", async () => {
    const { start, sent, machine, status, reporter, pass } = world();
    await start();
    await pass(61_000);
    machine.memoryUsedMb = 300;
    status.addresses = ["192.0.2.11"];
    reporter.soon();
    await pass(1000);
    expect(sent[1]?.fields).toEqual({ ip_address: "192.0.2.11", memory_usage: 300 });
  });

  test("have no metrics if the configuration turns them off", async () => {
    const { start, sent } = world({ SUPERVISOR_HARDWARE_METRICS: "false" });
    await start();
    expect(Object.keys(sent[0]?.fields ?? {})).not.toContain("memory_usage");
  });

  test("back off while the cloud does not accept them, and a change does not shorten the wait", async () => {
    const { start, sent, answers, status, reporter, pass, since, log } = world();
    answers.push(new Error("no cloud"), answer(500), answer(429, { "retry-after": "120" }));
    await start();
    for (let n = 0; n < 30; n++) {
      status.addresses = [`192.0.2.${n}`];
      reporter.soon();
      await pass(10_000);
    }
    // 15, 30 and 120 seconds, plus a quarter of random delay.
    expect(since(0).slice(0, 4)).toEqual([0, 19_000, 57_000, 207_000]);
    expect(sent[3]?.fields).toMatchObject({ os_version: "12.0.0", ip_address: "192.0.2.20" });
    expect(log.lines).toEqual([
      "warning: The cloud does not take the device's report: no cloud",
      "warning: The cloud does not take the device's report: it answered 500",
      "warning: The cloud does not take the device's report: it answered 429",
    ]);
  });

  test("without an answer may have been accepted, so the next report is complete", async () => {
    const { start, sent, answers, status, reporter, pass } = world();
    await start();
    for (const trouble of [new Error("socket hang up"), answer(503), answer(429), answer(401)]) {
      status.addresses = ["192.0.2.11"];
      reporter.soon();
      answers.push(trouble);
      const before = sent.length;
      await pass(11_000);
      // The value is again the last accepted one. It must be sent in case the lost report was stored.
      status.addresses = ["192.0.2.10"];
      reporter.soon();
      await pass(120_000);
      expect(sent[before]?.fields).toEqual({ ip_address: "192.0.2.11" });
      expect(sent[before + 1]?.fields).toEqual(sent[0]?.fields);
      expect(sent).toHaveLength(before + 2);
    }
  });

  test("of a device whose key was refused are complete again after the key is accepted", async () => {
    const { start, sent, answers, pass } = world();
    answers.push(answer(401), answer(401));
    await start();
    await pass(120_000);
    expect(sent).toHaveLength(3);
    expect(sent[2]?.fields).toEqual(sent[0]?.fields);
  });
});
