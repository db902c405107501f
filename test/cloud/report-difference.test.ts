import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterReport,
  initialReportState,
  fieldsToSend,
  type ReportOutcome,
  type ReportState,
  type Value,
} from "../../core/cloud/report-difference.ts";
import { metricsReport, statusReport, steadyMetrics } from "../../core/cloud/report-fields.ts";
import { measured } from "./recorded.ts";

/** Which part of a report is sent, and how refusals are handled. */

type Fields = Readonly<Record<string, Value>>;

const knowing = (accepted: Fields, more: Partial<ReportState> = {}): ReportState => ({
  ...initialReportState,
  accepted,
  ...more,
});

describe("the agent sends", () => {
  test.each<[string, Fields, ReportState, Fields | undefined]>([
    ["everything at first", { a: 1, apps: {} }, initialReportState, { a: 1, apps: {} }],
    ["nothing twice", { a: 1, apps: { x: 1 } }, knowing({ a: 1, apps: { x: 1 } }), undefined],
    ["changed fields", { a: 1, b: 2 }, knowing({ a: 1, b: 1 }), { b: 2 }],
    [
      "all applications if one has changed",
      { apps: { x: { s: 1 }, y: 2 } },
      knowing({ apps: { x: { s: 0 }, y: 2 } }),
      { apps: { x: { s: 1 }, y: 2 } },
    ],
    ["no field that the report lacks now", { a: 1 }, knowing({ a: 1, apps: {} }), undefined],
    ["no field that was refused", { a: 1, apps: { x: 1 } }, knowing({}, { rejected: { apps: { x: 1 } } }), { a: 1 }],
    [
      "a refused field, once it has another value",
      { apps: { x: 2 } },
      knowing({}, { rejected: { apps: { x: 1 } } }),
      { apps: { x: 2 } },
    ],
    [
      "as many fields as the limit allows, applications last",
      { apps: {}, a: 1, b: 2, c: 3 },
      knowing({}, { maxFields: 2 }),
      { a: 1, b: 2 },
    ],
    [
      "an empty report, to distinguish a bad field from a bad key",
      { a: 1 },
      knowing({}, { suspect: { apps: {} } }),
      {},
    ],
  ])("%s", (_, current, state, fields) => {
    expect(fieldsToSend(current, state)).toEqual(fields);
  });
});

describe("a refusal", () => {
  test("of several fields makes the next report half as large", () => {
    expect(afterReport({ a: 1, b: 2, c: 3 }, "rejected", initialReportState).state.maxFields).toBe(2);
  });
  test("of one field omits it from then on", () => {
    expect(afterReport({ a: 1 }, "rejected", knowing({}, { maxFields: 1 }))).toEqual({
      state: knowing({}, { rejected: { a: 1 } }),
      rejectedField: "a",
    });
  });
  test("as unauthorized, without applications, concerns the device", () => {
    expect(afterReport({ a: 1, b: 2 }, "unauthorized", initialReportState)).toEqual({
      state: initialReportState,
      deviceRejected: true,
    });
  });
  test("as unauthorized, of the applications alone, may concern the device or the applications", () => {
    const { state } = afterReport({ apps: { x: 1 } }, "unauthorized", initialReportState);
    expect(state.suspect).toEqual({ apps: { x: 1 } });
    expect(afterReport({}, "unauthorized", state)).toEqual({ state: initialReportState, deviceRejected: true });

    const { state: confirmed } = afterReport({}, "accepted", state);
    expect(fieldsToSend({ apps: { x: 1 } }, confirmed)).toEqual({ apps: { x: 1 } });
    expect(afterReport({ apps: { x: 1 } }, "accepted", confirmed)).toEqual({
      state: knowing({ apps: { x: 1 } }),
    });
    expect(afterReport({ apps: { x: 1 } }, "unauthorized", confirmed)).toEqual({
      state: { ...initialReportState, rejected: { apps: { x: 1 } } },
      rejectedField: "apps",
    });
  });
});

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.constantFrom("x", "y"),
  fc.constant(null),
);
const fields = fc
  .record(
    {
      a: value,
      b: value,
      c: value,
      d: value,
      e: value,
      apps: fc.dictionary(fc.constantFrom("one", "two"), value, { maxKeys: 2 }),
    },
    { requiredKeys: [] },
  )
  .map((record): Fields => Object.fromEntries(Object.entries(record)));

/** A cloud that accepts a report unless it is bad or the device is unknown. */
class View {
  readonly fields: Record<string, Value> = {};

  take(sent: Fields, bad: (name: string, value: Value) => ReportOutcome | undefined): ReportOutcome {
    const refusal = Object.entries(sent)
      .map(([name, one]) => bad(name, one))
      .find((one) => one !== undefined);
    if (refusal) return refusal;
    Object.assign(this.fields, sent);
    return "accepted";
  }
}

/** Reports until there is nothing left to send. Undefined if that does not happen. */
function settle(
  current: Fields,
  from: ReportState,
  cloud: View,
  bad: Parameters<View["take"]>[1],
): ReportState | undefined {
  let state = from;
  for (let n = 0; n < 40; n++) {
    const sent = fieldsToSend(current, state);
    if (!sent) return state;
    state = afterReport(sent, cloud.take(sent, bad), state).state;
  }
  return undefined;
}

test("the cloud eventually has the current report", () => {
  fc.assert(
    fc.property(fc.array(fields, { minLength: 1, maxLength: 6 }), (reports) => {
      const cloud = new View();
      let state: ReportState | undefined = initialReportState;
      for (const current of reports) {
        state = settle(current, state, cloud, () => undefined);
        if (!state) return false;
        expect(cloud.fields).toMatchObject(current);
        expect(state.accepted).toEqual(cloud.fields);
      }
      return true;
    }),
  );
});

test("the cloud eventually has every field that it does not refuse", () => {
  const names = fc.uniqueArray(fc.constantFrom<string>("a", "b", "c", "d", "e", "apps"), { maxLength: 3 });
  fc.assert(
    fc.property(fields, fields, names, fc.boolean(), (before, current, badNames, appsByKey) => {
      const cloud = new View();
      const first = settle(before, initialReportState, cloud, () => undefined);
      const bad = (name: string): ReportOutcome | undefined =>
        !badNames.includes(name) ? undefined : name === "apps" && appsByKey ? "unauthorized" : "rejected";
      const state = first && settle(current, first, cloud, bad);
      expect(state).toBeDefined();
      for (const [name, one] of Object.entries(current))
        expect(cloud.fields[name]).toEqual(badNames.includes(name) ? before[name] : one);
    }),
  );
});

test("applications are reported even if a report with them alone was refused for an unknown device", () => {
  const cloud = new View();
  const { state } = afterReport({ apps: {} }, "unauthorized", initialReportState);
  expect(settle({ apps: {} }, state, cloud, () => undefined)).toEqual(knowing({ apps: {} }));
  expect(cloud.fields).toEqual({ apps: {} });
});

test("a device that the cloud does not know for a while loses no field", () => {
  fc.assert(
    fc.property(fields, fields, fc.integer({ min: 1, max: 5 }), (before, current, times) => {
      const cloud = new View();
      let state = settle(before, initialReportState, cloud, () => undefined) ?? initialReportState;
      for (let n = 0; n < times; n++) {
        const sent = fieldsToSend(current, state);
        if (sent) state = afterReport(sent, "unauthorized", state).state;
      }
      expect(settle(current, state, cloud, () => undefined)).toBeDefined();
      expect(cloud.fields).toMatchObject(current);
    }),
    { numRuns: 2000 },
  );
});

describe("metrics", () => {
  test("are reported as whole numbers, or as null if unknown", () => {
    expect(metricsReport({ ...measured, cpuCelsius: 41.5 })).toMatchObject({ cpu_temp: 42, memory_usage: 600 });
    expect(metricsReport({ memoryUsedMb: 1, memoryTotalMb: 2, cpuPercent: 3, isUndervolted: true })).toEqual({
      memory_usage: 1,
      memory_total: 2,
      storage_block_device: null,
      storage_usage: null,
      storage_total: null,
      cpu_temp: null,
      cpu_usage: 3,
      cpu_id: null,
      is_undervolted: true,
    });
  });

  test.each([
    ["a small change of memory", { memoryUsedMb: 690 }, { memory_usage: 600 }],
    ["a large change of memory", { memoryUsedMb: 700 }, { memory_usage: 700 }],
    ["a small change of temperature", { cpuCelsius: 48 }, { cpu_temp: 44 }],
    ["a large change of temperature", { cpuCelsius: 39 }, { cpu_temp: 39 }],
    ["a small change of CPU usage", { cpuPercent: 31 }, { cpu_usage: 12 }],
    ["a large change of CPU usage", { cpuPercent: 32 }, { cpu_usage: 32 }],
    ["a small change of storage", { storageUsedMb: 439 }, { storage_usage: 300 }],
    ["undervoltage", { isUndervolted: true }, { is_undervolted: true }],
  ])("%s", (_, change, reported) => {
    expect(steadyMetrics(metricsReport({ ...measured, ...change }), metricsReport(measured))).toEqual({
      ...metricsReport(measured),
      ...reported,
    });
  });
});

test("the status of a device whose operating system has no version has a variant and no version", () => {
  const status = statusReport({
    osVersion: undefined,
    osVariant: "dev",
    supervisorVersion: "19.0.5",
    ...{ addresses: [], macAddresses: [], apiPort: 48484, apiSecret: "" },
  });
  expect(Object.keys(status)).not.toContain("os_version");
  expect(status).toMatchObject({ os_variant: "dev", supervisor_version: "19.0.5" });
});

test("the status of a device has no null that the cloud would refuse", () => {
  const status = statusReport({
    osVersion: "balenaOS 6.0.12",
    osVariant: "prod",
    supervisorVersion: "19.0.5",
    addresses: ["192.168.1.20", "10.0.0.4"],
    macAddresses: [],
    apiPort: 48484,
    apiSecret: "5".repeat(64),
  });
  expect(status).toEqual({
    status: "Idle",
    os_version: "balenaOS 6.0.12",
    os_variant: "prod",
    supervisor_version: "19.0.5",
    provisioning_progress: null,
    provisioning_state: "",
    ip_address: "192.168.1.20 10.0.0.4",
    mac_address: "",
    api_port: 48484,
    api_secret: "5".repeat(64),
  });
});
