import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../core/model/fingerprint.ts";
import type { Snapshots, UpdateRecord } from "../../core/model/update.ts";
import type { CurrentState } from "../../core/reconcile/current.ts";
import { app, aside, device, held, network, prepared, running, sentences, strategy, volume } from "./literals.ts";

/** While an update is tried, its containers are created before those of the release before are stopped. */

const checked = { healthcheck: { test: ["CMD", "true"] } };
type Services = Readonly<Record<string, object>>;
const stateful = { volumes: { data: { labels: { "io.balena.update.snapshot": "true" } } } };

const release = (n: number, services: Services, fields: object = {}) =>
  app(Object.fromEntries(Object.entries(services).map(([name, own]) => [name, { image: `${name}:${n}`, ...own }])), {
    commit: `c${n}`,
    ...fields,
  });

/** The second release of these services is tried, and the first one runs. */
function tried(services: Services, more: Partial<CurrentState> = {}, fields: object = {}, snapshots: Snapshots = {}) {
  const target = release(2, services, fields);
  const names = Object.keys(services);
  const record: UpdateRecord = {
    ...{ phase: "trying", fingerprint: fingerprintOf(target), commit: "c2", attempts: 1, confirmed: [], snapshots },
  };
  const committed = { app: release(1, services, fields), fingerprint: "of the first", images: {} };
  const old = more.containers ?? names.map((name) => running(name, `${name}:1`, services[name]));
  const current = device(old, {
    images: names.map((name) => `${name}:2`),
    locks: held(...names),
    updates: new Map([[1, { committed, record, triedMs: 0 }]]),
    ...more,
  });
  return sentences(current, target).filter((one) => !/^wait for the update of .* to prove itself/.test(one));
}
const next = (name: string, fields: object = checked, image = `${name}:2`) =>
  prepared(name, image, fields, { commit: "c2" });
const killWeb = 'kill web (image: "web:1" → "web:2")';

describe("the next container of a service", () => {
  test("is created first, and then the old one is stopped", () => {
    expect(tried({ web: checked })).toEqual(["create the next container of web"]);
    expect(tried({ web: checked }, { prepared: [next("web")] })).toEqual([killWeb]);
  });

  test("is started when the old one is gone, and after what it depends on", () => {
    const gone = { containers: [], prepared: [next("web")], locks: new Map() };
    expect(tried({ web: checked }, gone)).toEqual(["start web"]);
    const both = { db: checked, web: { ...checked, depends_on: ["db"] } };
    expect(tried(both, { ...gone, prepared: [next("db"), next("web", both.web)] })).toEqual([
      "start db",
      "wait for db to start, on which web depends",
    ]);
  });

  test("is only renamed if the target does not want it to run", () => {
    const off = { ...checked, running: false };
    const one = next("web", off);
    expect(tried({ web: off }, { containers: [], prepared: [one], locks: new Map() })).toEqual([
      `rename web to ${one.name.slice("next_".length)}`,
    ]);
  });

  test("is also created for a service that is new", () => {
    const old = [running("web", "web:1", checked)];
    expect(tried({ web: checked, db: {} }, { containers: old })).toEqual([
      "create the next container of web",
      "create the next container of db",
    ]);
  });

  test("is not created if nothing that runs is stopped for it", () => {
    const exited = [{ ...running("web", "web:1", checked), state: "exited" } as const];
    expect(tried({ web: checked }, { containers: exited })).toEqual([killWeb]);
    expect(tried({ web: checked }, { containers: [], locks: new Map() })).toEqual(["install and start web"]);
  });

  test("is not created without a gate, or without a record", () => {
    expect(tried({ web: {} })).toEqual([killWeb]);
    expect(tried({ web: checked }, { updates: new Map() })).toEqual([killWeb]);
  });

  test("is not created before a hand-over, or with a strategy that kills first", () => {
    expect(tried({ web: { ...checked, ...strategy("hand-over") }, db: {} }, { prepared: [next("db", {})] })).toEqual([
      expect.stringMatching(/^kill db/),
      'move web aside for a hand-over (image: "web:1" → "web:2")',
    ]);
    expect(tried({ web: { ...checked, ...strategy("kill-then-download") } })).toEqual([killWeb]);
  });

  test("is not created for a container that was moved aside and is taken back", () => {
    const handing = { ...checked, ...strategy("hand-over") };
    const containers = [
      aside(running("web", "web:2", handing, { commit: "c2" })),
      running("db", "db:1", checked),
      { ...running("web", "web:1", handing), id: "successor" },
    ];
    const steps = tried({ db: checked, web: handing }, { containers });
    expect(steps).toEqual(["create the next container of db"]);
  });

  test("is not created while it cannot exist beside the old one", () => {
    const shared = { ...checked, network_mode: "service:vpn" };
    const web = running("web", "web:1", checked);
    const living = { ...web, spec: { ...web.spec, networkMode: "container:vpn", networks: {} } };
    const containers = [running("vpn", "vpn:1", checked), living];
    expect(tried({ vpn: checked, web: shared }, { containers })).toEqual(["create the next container of vpn"]);
    expect(tried({ web: checked }, { networks: [] })).toEqual(["create network 1_default", killWeb]);
  });

  test("does not use a network that must be replaced", () => {
    const fields = { networks: { default: { internal: true } } };
    expect(tried({ web: checked }, {}, fields)).toEqual([killWeb]);
    expect(tried({ web: checked }, { prepared: [next("web")] }, fields)).toEqual([
      "remove the prepared container of web",
      killWeb,
    ]);
  });

  test("does not use a volume that must be replaced", () => {
    const web = { ...checked, volumes: ["data:/data"] };
    const folder = { driver_opts: { type: "none", o: "bind", device: "/etc" } };
    const more = { volumes: [volume("data", folder)], prepared: [next("web", web)] };
    expect(tried({ web }, more, { volumes: { data: {} } })).toEqual([
      "remove the prepared container of web",
      expect.stringMatching(/^kill web/),
    ]);
  });

  test("does not use a volume of which a copy is due", () => {
    const web = { ...checked, volumes: ["data:/data"] };
    const more = { volumes: [volume("data", stateful.volumes.data)] };
    expect(tried({ web }, more, stateful, { "1_data": "due" })).toEqual([killWeb]);
    expect(tried({ web }, { ...more, prepared: [next("web", web)] }, stateful, { "1_data": "due" })).toEqual([
      "remove the prepared container of web",
      killWeb,
    ]);
    // Those of other services are created, and nothing is stopped for the copy before.
    expect(tried({ web, db: checked }, more, stateful, { "1_data": "due" })).toEqual([
      "create the next container of db",
    ]);
  });

  test("is removed when it is not that of the target, and only then is another one created, which may have its name", () => {
    expect(tried({ web: checked }, { prepared: [next("web", checked, "web:3")] })).toEqual([
      "remove the prepared container of web",
    ]);
    const other = prepared("web", "web:2", checked, { appId: 2 });
    expect(tried({ web: checked }, { prepared: [other] })).toEqual([
      "create the next container of web",
      "remove the prepared container of web",
    ]);
  });

  test("is removed when the application has no other container, and is not wanted", () => {
    const left = device([], { prepared: [next("web")], networks: [network("default")] });
    expect(sentences(left)).toContain("remove the prepared container of web");
  });
});
