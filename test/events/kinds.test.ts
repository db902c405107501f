import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe as suite, expect, test } from "vitest";
import { describe, eventKinds, toRecord, type Event, type EventKind } from "../../core/model/event.ts";

const web = { appId: 7, service: "web", image: "img:2", commit: "abc" } as const;
const reason = "the reason";

/** One of each kind; a kind without one does not compile. */
const samples: Readonly<Record<EventKind, Event>> = {
  imageDownloading: { kind: "imageDownloading", name: "img:2", appId: 7, service: "web" },
  imageDownloaded: { kind: "imageDownloaded", name: "img:2" },
  imageDownloadFailed: { kind: "imageDownloadFailed", name: "img:2", reason },
  imageRemoving: { kind: "imageRemoving", name: "img:2" },
  imageKept: { kind: "imageKept", name: "img:2" },
  networkCreating: { kind: "networkCreating", name: "net" },
  networkRemoving: { kind: "networkRemoving", name: "net", reason },
  volumeCreating: { kind: "volumeCreating", name: "data" },
  snapshotMaking: { kind: "snapshotMaking", name: "data", appId: 1 },
  snapshotRestoring: { kind: "snapshotRestoring", name: "data", appId: 1 },
  snapshotRemoving: { kind: "snapshotRemoving", name: "before_1_data" },
  snapshotDropped: { kind: "snapshotDropped", name: "data", appId: 1, reason: "the application is purged" },
  volumeRemoving: { kind: "volumeRemoving", name: "data" },
  volumeRemovalAnnounced: { kind: "volumeRemovalAnnounced", appId: 7, name: "shop", volumes: ["data", "cache"] },
  volumeChangeIgnored: { kind: "volumeChangeIgnored", subject: 7, reason },
  servicePreparing: { kind: "servicePreparing", ...web },
  serviceDiscarding: { kind: "serviceDiscarding", ...web },
  serviceInstalling: { kind: "serviceInstalling", ...web },
  serviceInstalled: { kind: "serviceInstalled", ...web },
  serviceStarting: { kind: "serviceStarting", ...web },
  serviceStarted: { kind: "serviceStarted", ...web },
  serviceNotStarted: { kind: "serviceNotStarted", service: "web" },
  serviceStopping: { kind: "serviceStopping", ...web },
  serviceKilling: { kind: "serviceKilling", ...web, reason, cause: "variables", fields: ["environment.MODE"] },
  serviceHandingOver: { kind: "serviceHandingOver", ...web, reason, cause: "release", fields: ["image"] },
  serviceExited: { kind: "serviceExited", ...web },
  serviceKilled: { kind: "serviceKilled", ...web },
  serviceTakenBack: { kind: "serviceTakenBack", ...web },
  containerAltered: { kind: "containerAltered", service: "web", reason: "mem_limit: 0 → 1024", fields: ["mem_limit"] },
  locksTaking: { kind: "locksTaking", appId: 7 },
  locksReleasing: { kind: "locksReleasing", appId: 7 },
  locksNotCleared: { kind: "locksNotCleared", reason },
  leaseBroken: { kind: "leaseBroken", appId: 7, service: "web", owner: "web", reason: "firmware upload" },
  lockBroken: { kind: "lockBroken", appId: 7, service: "web" },
  leaseWithoutFile: { kind: "leaseWithoutFile", reason },
  updateBegun: { kind: "updateBegun", appId: 7, commit: "c2" },
  updateCommitted: { kind: "updateCommitted", appId: 7, commit: "c2" },
  updateFailed: { kind: "updateFailed", appId: 7, commit: "c2", service: "web", reason: "it did not get healthy" },
  updatePaused: { kind: "updatePaused", appId: 7, commit: "c2", service: "web", reason: "it did not get healthy" },
  updateKept: { kind: "updateKept", appId: 7, commit: "c2", service: "web", reason: "it did not get healthy" },
  updateRejected: { kind: "updateRejected", appId: 7, commit: "c2", service: "web", reason: "it did not get healthy" },
  updateDecided: { kind: "updateDecided", appId: 7, decision: "confirm", by: "device key" },
  purging: { kind: "purging", appId: 7 },
  purged: { kind: "purged", appId: 7 },
  bootConfigApplying: { kind: "bootConfigApplying" },
  configRefused: { kind: "configRefused", reason },
  rebootRequired: { kind: "rebootRequired", reason: "the boot configuration" },
  rebootImpossible: { kind: "rebootImpossible", reason: "the boot configuration" },
  rebooting: { kind: "rebooting" },
  shuttingDown: { kind: "shuttingDown" },
  rebootFailed: { kind: "rebootFailed" },
  shutdownFailed: { kind: "shutdownFailed" },
  waiting: { kind: "waiting", subject: 7, reason },
  locked: { kind: "locked", reason },
  stepFailed: { kind: "stepFailed", reason },
  stepRepeated: { kind: "stepRepeated", reason: "kill web" },
  engineUnreachable: { kind: "engineUnreachable", reason },
  engineReachable: { kind: "engineReachable" },
  targetWarning: { kind: "targetWarning", reason },
  targetRefused: { kind: "targetRefused", reason },
  targetUnreachable: { kind: "targetUnreachable", reason },
  deviceUnknown: { kind: "deviceUnknown", reason },
  registered: { kind: "registered" },
  registrationImpossible: { kind: "registrationImpossible" },
  registrationFailed: { kind: "registrationFailed", reason },
  cloudInterrupted: { kind: "cloudInterrupted", reason },
  metricsFailed: { kind: "metricsFailed", reason },
  reportFailed: { kind: "reportFailed", reason },
  reportFieldRefused: { kind: "reportFieldRefused", field: "apps", reason },
  nameRefused: { kind: "nameRefused", name: "misty", reason },
  tagsDelayed: { kind: "tagsDelayed", reason },
  tagsRefused: { kind: "tagsRefused", names: ["a", "b"] },
  logsDelayed: { kind: "logsDelayed", reason },
  logsNotKept: { kind: "logsNotKept", reason },
  logLinesRefused: { kind: "logLinesRefused", count: 3 },
  serviceLogUnreadable: { kind: "serviceLogUnreadable", service: "web", reason },
  problemFound: { kind: "problemFound", appId: 7, service: "web", problem: "crashLoop", reason },
  problemEnded: { kind: "problemEnded", appId: 7, service: "web", problem: "crashLoop", lastedMs: 180_000 },
  memoryNotSaved: { kind: "memoryNotSaved", reason },
  eventsNotSaved: { kind: "eventsNotSaved", reason },
  execStarted: { kind: "execStarted", appId: 7, service: "web", command: "/bin/sh", by: "token 1a2b" },
  execEnded: { kind: "execEnded", service: "web", command: "/bin/sh", by: "token 1a2b", reason: "exit code 0" },
  requestFailed: { kind: "requestFailed", method: "GET", path: "/ping", reason },
};

suite("the kinds of events", () => {
  test("the table in docs/events.md equals the code's", () => {
    const rows = Object.entries(samples).map(([kind, event]) => {
      expect(event.kind).toBe(kind);
      const { level, audience } = eventKinds[event.kind];
      return `| \`${kind}\` | ${level} | ${audience} | ${describe(event)} |`;
    });
    const docs = readFileSync(join(import.meta.dirname, "../../docs/events.md"), "utf8");
    const [, table = ""] = docs.split("\n## Kinds\n");
    const lines = table.split("\n").map((line) => line.replace(/ +/g, " "));
    expect(lines.filter((line) => line.startsWith("| `"))).toEqual(rows);
    expect(Object.keys(eventKinds).sort()).toEqual(Object.keys(samples).sort());
  });

  test("a record has the subject of an event, and its sentence", () => {
    expect(toRecord(samples.serviceKilling, 5)).toEqual({
      ...{ kind: "serviceKilling", level: "info", audience: "everyone", at: 5 },
      ...{ appId: 7, service: "web", commit: "abc", cause: "variables", fields: ["environment.MODE"] },
      ...{ text: "Killing service 'web img:2': the reason", reason: "the reason" },
    });
  });

  test("a container of an unknown service is named by its id", () => {
    expect(describe({ kind: "serviceStopping", container: "0123456789abcdef" })).toBe(
      "Stopping service '0123456789ab'",
    );
  });
});
