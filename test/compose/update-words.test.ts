import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toContainerSpec } from "../../core/compose/container-spec.ts";
import { differences } from "../../core/compose/differences.ts";
import { parseCloudTarget, parseLocalTarget } from "../../core/compose/target-state.ts";
import { fromInspection, toCreateOptions } from "../../core/docker-api/container.ts";
import { parseComposition } from "../../core/fleet/release.ts";
import { isOn } from "../../core/model/config.ts";
import type { App } from "../../core/model/target.ts";
import type { Gates, UpdateRules, Window } from "../../core/model/update.ts";
import { parseWindows, showWindow } from "../../core/model/window.ts";
import { echo } from "./engine-echo.ts";
import { body, deviceFacts, entry, facts, faultsIn, faultsOf, read, serviceOf, warningsAbout } from "./read.ts";
import { imageId, plainImage } from "./specs.ts";

/** The words that say how an application is updated, from their labels, compose fields and config variables. */

type Named = Readonly<Record<string, string>>;

const labelled = (words: Named) => ({
  labels: Object.fromEntries(Object.entries(words).map(([word, value]) => [`io.balena.update.${word}`, value])),
});
const compose = (update_config: object) => ({ deploy: { update_config } });

const withConfig = (config: Named, app: object) =>
  parseLocalTarget(
    { local: { config, apps: { "1": { name: "fleet", commit: "c1", releaseId: 10, ...app } } } },
    facts,
    "",
  );

function readWith(config: Named, ...services: object[]): { readonly app: App; readonly warnings: readonly string[] } {
  const entries = services.map((fields, n) => [n + 1, entry({ serviceName: `s${n + 1}`, imageId: n + 1, ...fields })]);
  const parsed = withConfig(config, { services: Object.fromEntries(entries) });
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  const [app] = parsed.target.apps;
  if (!app) throw new Error("There is no application in it");
  return { app, warnings: parsed.warnings };
}

const gatesWith = (config: Named, fields: object) => readWith(config, fields).app.services[0]?.gates;
const rulesWith = (config: Named, ...services: object[]) => readWith(config, ...services).app.update;

const otherwise: UpdateRules = { failureAction: "rollback", deadlineMs: 300_000, apply: [], onDiskShort: "wait" };
const night: Window = { days: [1, 2, 3, 4, 5], from: 120, to: 240, zone: "Europe/Berlin" };

test("a release without a word has neither gates nor rules", () => {
  const { app } = read(body({ "1": entry({ healthcheck: { test: "true" }, deploy: {}, labels: { a: "b" } }) }));
  expect(app.services[0]).not.toHaveProperty("gates");
  expect(app).not.toHaveProperty("update");
  expect(gatesWith({}, labelled({ confirm: "false" }))).toBeUndefined();
});

describe("the gates of a service", () => {
  test.each<[Named, Gates]>([
    [{ monitor: "30s" }, { monitorMs: 30_000 }],
    [{ monitor: "1m30s" }, { monitorMs: 90_000 }],
    [{ monitor: "15" }, { monitorMs: 15_000 }],
    [{ monitor: " 0s " }, { monitorMs: 0 }],
    [{ monitor: "1us" }, { monitorMs: 1 }],
    [{ http: "8080/healthz" }, { http: { port: 8080, path: "/healthz" } }],
    [{ http: "80" }, { http: { port: 80, path: "/" } }],
    [{ http: "65535/a/b?c=d&e" }, { http: { port: 65_535, path: "/a/b?c=d&e" } }],
    [{ confirm: "true" }, { confirm: true }],
    [{ cloud: "1" }, { cloud: true }],
    [
      { cloud: "true", confirm: "on", http: "1/", monitor: "1h" },
      { cloud: true, confirm: true, http: { port: 1, path: "/" }, monitorMs: 3_600_000 },
    ],
  ])("of %j are %j", (words, gates) => {
    expect(serviceOf(labelled(words)).gates).toEqual(gates);
    const variables = Object.entries(words).map(([word, value]) => [`SUPERVISOR_UPDATE_${word.toUpperCase()}`, value]);
    expect(gatesWith(Object.fromEntries(variables), {})).toEqual(gates);
  });

  test("are asked by the label, else by compose's word, else by the variable", () => {
    const config = { SUPERVISOR_UPDATE_MONITOR: "3s", RESIN_SUPERVISOR_UPDATE_CONFIRM: "true" };
    const both = { ...labelled({ monitor: "1s", confirm: "false" }), ...compose({ monitor: "2s" }) };
    expect(gatesWith(config, both)).toEqual({ monitorMs: 1000 });
    expect(gatesWith(config, compose({ monitor: "2s" }))).toEqual({ monitorMs: 2000, confirm: true });
    expect(gatesWith(config, {})).toEqual({ monitorMs: 3000, confirm: true });
  });
});

describe("the rules of an application", () => {
  test.each<[Named, Partial<UpdateRules>]>([
    [{ "failure-action": "pause" }, { failureAction: "pause" }],
    [{ "failure-action": "continue" }, { failureAction: "continue" }],
    [{ "failure-action": "rollback" }, {}],
    [{ deadline: "20m" }, { deadlineMs: 1_200_000 }],
    [{ apply: "now" }, { apply: [] }],
    [
      { apply: "reboot, consent idle=10m" },
      { apply: [{ is: "reboot" }, { is: "consent" }, { is: "idle", forMs: 600_000 }] },
    ],
    [{ "apply-by": "168h" }, { applyByMs: 604_800_000 }],
    [{ "apply-by": "never" }, {}],
    [{ "on-disk-short": "delete-then-download" }, { onDiskShort: "delete-then-download" }],
    [{ apply: "window", window: "Mon-Fri 02:00-04:00 Europe/Berlin" }, { apply: [{ is: "window", windows: [night] }] }],
    // A window alone holds updates up, too.
    [{ window: "Mon-Fri 02:00-04:00 Europe/Berlin" }, { apply: [{ is: "window", windows: [night] }] }],
    [
      { apply: "consent,window", window: "0:00-6:00" },
      { apply: [{ is: "consent" }, { is: "window", windows: [{ days: [], from: 0, to: 360 }] }] },
    ],
  ])("of %j are the defaults and %j", (words, rules) => {
    const expected = { ...otherwise, ...rules };
    expect(rulesWith({}, {}, labelled(words))).toEqual(expected);
    const variables = Object.entries(words).map(([word, value]): [string, string] => [
      `BALENA_SUPERVISOR_UPDATE_${word.toUpperCase().replaceAll("-", "_")}`,
      value,
    ]);
    expect(rulesWith(Object.fromEntries(variables), {})).toEqual(expected);
  });

  test("are asked by a label, else by compose's word, else by the variable", () => {
    const config = { SUPERVISOR_UPDATE_FAILURE_ACTION: "continue" };
    const pause = compose({ failure_action: "pause" });
    expect(rulesWith(config, pause, labelled({ "failure-action": "rollback" }))?.failureAction).toBe("rollback");
    expect(rulesWith(config, {}, pause)?.failureAction).toBe("pause");
    expect(rulesWith(config, {})?.failureAction).toBe("continue");
  });

  test("may be written twice, but not differently", () => {
    expect(rulesWith({}, labelled({ deadline: "60s" }), labelled({ deadline: "1m" }))?.deadlineMs).toBe(60_000);
    const two = (first: object, second: object) =>
      faultsOf(body({ "1": entry(first), "2": entry({ serviceName: "two", imageId: 2, ...second }) }));
    const at = (id: number) => `local.apps.1.services.${id}`;
    expect(two(labelled({ deadline: "5m" }), labelled({ deadline: "10m" }))).toEqual([
      `${at(2)}.labels.io.balena.update.deadline: expected one value for the whole application, but got "10m", and the service one has "5m"`,
    ]);
    expect(two(compose({ failure_action: "pause" }), compose({ failure_action: "continue" }))).toEqual([
      `${at(2)}.deploy.update_config.failure_action: expected one value for the whole application, but got "continue", and the service one has "pause"`,
    ]);
  });

  test.each<[Named, Named, string]>([
    [
      { apply: "window" },
      {},
      "labels.io.balena.update.apply: window has no effect without io.balena.update.window or SUPERVISOR_UPDATE_WINDOW",
    ],
    [
      { apply: "reboot", window: "2:00-3:00" },
      {},
      'labels.io.balena.update.apply: the window has no effect, since "window" is not one of the conditions',
    ],
    [
      {},
      { SUPERVISOR_UPDATE_APPLY: "window,consent" },
      "SUPERVISOR_UPDATE_APPLY: window has no effect without io.balena.update.window or SUPERVISOR_UPDATE_WINDOW",
    ],
    [
      {},
      { SUPERVISOR_UPDATE_APPLY: "reboot", SUPERVISOR_UPDATE_WINDOW: "2:00-3:00" },
      'SUPERVISOR_UPDATE_APPLY: the window has no effect, since "window" is not one of the conditions',
    ],
  ])("of %j and %j have a warning", (words, config, warning) => {
    const { app, warnings } = readWith(config, labelled(words));
    expect(warnings.map((one) => one.replace("local.apps.1.services.1.", ""))).toEqual([warning]);
    expect(app.update?.apply.some(({ is }) => is === "window")).toBe(false);
  });
});

test("a label releases an application from the window of all others", () => {
  const { app, warnings } = readWith({ SUPERVISOR_UPDATE_WINDOW: "2:00-3:00" }, labelled({ apply: "now" }));
  expect([app.update?.apply, warnings]).toEqual([[], []]);
});

describe("the strategy of a service", () => {
  test.each([
    [compose({ order: "start-first" }), "hand-over"],
    [compose({ order: "stop-first" }), "download-then-kill"],
    [{ ...compose({ order: "start-first" }), ...labelled({ strategy: "kill-then-download" }) }, "kill-then-download"],
    [{ ...compose({ order: "stop-first" }), ...labelled({ strategy: "hand-over" }) }, "hand-over"],
    [compose({}), "download-then-kill"],
  ])("of %j is %s", (fields, strategy) => {
    expect(serviceOf(fields).strategy).toBe(strategy);
    expect(warningsAbout(fields)).toEqual([]);
  });
});

describe("the volume with a snapshot", () => {
  const snapshot = (value: string) => ({ labels: { "io.balena.update.snapshot": value } });
  const volumes = {
    ...{ asked: snapshot("true"), refused: snapshot("false"), plain: {} },
    share: { driver_opts: { type: "nfs", device: ":/export", o: "addr=10.0.0.1" } },
  };
  const marked = (config: Named) => {
    const parsed = withConfig(config, { services: { "1": entry({ volumes: ["undeclared:/x"] }) }, volumes });
    const of = parsed.ok ? parsed.target.apps[0]?.volumes : undefined;
    return Object.entries(of ?? {}).flatMap(([name, volume]) => (volume.snapshot ? [name] : []));
  };

  test("is the one with the label, or by the variable every volume that is the engine's own", () => {
    expect(marked({})).toEqual(["asked"]);
    expect(marked({ SUPERVISOR_UPDATE_SNAPSHOT: "true" })).toEqual(["undeclared", "asked", "plain"]);
  });

  test("is not one whose data may be elsewhere, and a warning says so", () => {
    const { app, warnings } = read(
      body({ "1": entry() }, { volumes: { share: { ...volumes.share, ...snapshot("true") } } }),
    );
    expect(app.volumes["share"]?.snapshot).toBeUndefined();
    expect(warnings).toEqual([
      "local.apps.1.volumes.share.labels.io.balena.update.snapshot: without an effect, since the data of a volume with a driver or driver_opts may be elsewhere",
    ]);
  });

  test("is mounted by no service that is handed over", () => {
    const fields = { volumes: ["asked:/data"], ...labelled({ strategy: "hand-over" }) };
    const { app, warnings } = read(body({ "1": entry(fields) }, { volumes }));
    expect(app.services[0]?.strategy).toBe("download-then-kill");
    expect(warnings).toEqual([
      "local.apps.1.services: one is stopped before its update, since its volume asked has a snapshot; hand-over is left out",
    ]);
  });

  test("is refused with another value", () => {
    expect(faultsOf(body({ "1": entry() }, { volumes: { data: snapshot("daily") } }))).toEqual([
      'local.apps.1.volumes.data.labels.io.balena.update.snapshot: expected true or false, but got "daily"',
    ]);
  });
});

const duration = "expected a duration such as 30s or 5m";
const windows = "expected windows such as Mon-Fri 02:00-04:00 Europe/Berlin; Sat,Sun 00:00-06:00";
const days = "expected days such as Mon-Fri or Sat,Sun";
const zone = "expected a time zone such as Europe/Berlin";
const conditions = "expected now, or some of reboot, window, consent and idle=10m, each once";
const address = "expected a port and a path such as 8080/healthz";

describe("a wrong value of a label is refused, and one of a variable is left out with a warning:", () => {
  test.each<[word: string, value: string, sentence: string]>([
    ["monitor", "soon", duration],
    ["monitor", "", duration],
    ["monitor", "-5s", duration],
    ["monitor", "1d", duration],
    ["monitor", "9".repeat(400), duration],
    ["deadline", "5 minutes", duration],
    ["http", "healthz", address],
    ["http", "http://127.0.0.1:80/", address],
    ["http", "0/healthz", address],
    ["http", "65536/healthz", address],
    ["http", "80/a b", address],
    ["http", "80/a\r\nHost: x", address],
    ["confirm", "yes", "expected true or false"],
    ["cloud", "", "expected true or false"],
    ["failure-action", "restart", "expected rollback or pause or continue"],
    ["apply", "later", conditions],
    ["apply", "", conditions],
    ["apply", "now,window", conditions],
    ["apply", "reboot,reboot", conditions],
    ["apply", "idle", conditions],
    ["apply", "idle=long", conditions],
    ["apply-by", "tomorrow", "expected never, or a duration such as 12h or 168h"],
    ["on-disk-short", "delete", "expected wait or delete-then-download"],
    ["window", "", windows],
    ["window", "02:00", windows],
    ["window", "2-4", windows],
    ["window", "24:00-02:00", windows],
    ["window", "02:60-04:00", windows],
    ["window", "02:00-25:00", windows],
    ["window", "02:00-04:00;", windows],
    ["window", "02:00-04:00 Europe/Berlin Mon", windows],
    ["window", "2:00-4:00;".repeat(50), "expected at most 50 windows"],
    ["window", "Mo-Fr 02:00-04:00", days],
    ["window", "Mond 02:00-04:00", days],
    ["window", "Mon-Wed-Fri 02:00-04:00", days],
    ["window", "02:00-04:00 Europe/Berln", `${zone}; did you mean "Europe/Berlin"?`],
    ["window", "02:00-04:00 +01:00", zone],
    ["window", "02:00-04:00 local", zone],
  ])("%s: %j", (word, value, sentence) => {
    const got = `${sentence}, but got ${JSON.stringify(value.slice(0, 80))}`;
    expect(faultsIn(labelled({ [word]: value }))).toEqual([`labels.io.balena.update.${word}: ${got}`]);
    const name = `SUPERVISOR_UPDATE_${word.toUpperCase().replaceAll("-", "_")}`;
    const { app, warnings } = readWith({ [name]: value }, {});
    expect(warnings).toEqual(value === "" ? [] : [`local.config.${name}: ${got}; the default is used`]);
    expect([app.update, app.services[0]?.gates]).toEqual([undefined, undefined]);
  });

  test.each([
    [{ monitor: "1d" }, 'monitor: expected a duration such as "1m30s" or a number of seconds, but got "1d"'],
    [{ failure_action: "retry" }, 'failure_action: expected continue or pause or rollback, but got "retry"'],
    [{ order: "parallel" }, 'order: expected start-first or stop-first, but got "parallel"'],
  ])("deploy.update_config with %j", (fields, fault) => {
    expect(faultsIn(compose(fields))).toEqual([`deploy.update_config.${fault}`]);
  });

  test("a token in an address is not shown", () => {
    expect(faultsIn(labelled({ http: "x:80/?token=hunter2" })).join()).not.toContain("hunter2");
    expect(readWith({ SUPERVISOR_UPDATE_HTTP: "x:80/?token=hunter2" }, {}).warnings.join()).not.toContain("hunter2");
  });
});

describe("a warning names", () => {
  test("a label and a variable that do not exist, and those that were probably meant", () => {
    expect(warningsAbout(labelled({ monitr: "5s" }))).toEqual([
      'labels.io.balena.update.monitr: not known, so without an effect; did you mean "io.balena.update.monitor"?',
    ]);
    expect(readWith({ SUPERVISOR_UPDATE_WINDOWS: "x", SUPERVISOR_UPDATE_STRATEGY: "hand-over" }, {}).warnings).toEqual([
      'local.config.SUPERVISOR_UPDATE_WINDOWS: not known; did you mean "SUPERVISOR_UPDATE_WINDOW"?',
    ]);
    expect(warningsAbout(labelled({ snapshot: "true" }))).toEqual([
      "labels.io.balena.update.snapshot: without an effect here; it is a label of volumes",
    ]);
    const others = { strategy: "hand-over", "handover-timeout": "1", "requires-reboot": "1" };
    expect(warningsAbout(labelled(others))).toEqual([]);
  });

  test("compose's fields of an update that are not used", () => {
    const why = "not used, left out: a service has one container, and a failed update has one way back";
    const deploy = {
      update_config: { parallelism: 2, delay: "1s", max_failure_ratio: 0.1, monitor: "1s", "x-a": 1, ordr: 1 },
      rollback_config: {},
      replicas: 2,
      "x-b": 1,
    };
    expect(warningsAbout({ deploy, "x-c": 1 })).toEqual([
      ...["update_config.parallelism", "update_config.delay", "update_config.max_failure_ratio", "rollback_config"].map(
        (field) => `deploy.${field}: ${why}`,
      ),
      "deploy.update_config.ordr: not supported, left out",
      "deploy.replicas: not supported, left out",
    ]);
    const release = { services: { web: { image: "a:1", deploy } } };
    expect(parseComposition(release)).toEqual({
      ok: false,
      faults: [
        'services.web.deploy.update_config.ordr: not supported; did you mean "update_config.order"?',
        "services.web.deploy.replicas: not supported",
      ],
    });
  });
});

test("a fault in a target state of the cloud has the path where the label is written", () => {
  const target = (service: object) => ({
    d: {
      name: "d",
      apps: {
        u: {
          id: 1,
          name: "a",
          releases: { c: { id: 1, services: { web: { id: 1, image_id: 1, image: "a:1", ...service } } } },
        },
      },
    },
  });
  const wrong = labelled({ monitor: "x" });
  const at = "d.apps.u.releases.c.services.web.";
  const faults = (service: object) => {
    const parsed = parseCloudTarget(target(service), facts, "d");
    return parsed.ok ? [] : parsed.faults.map((one) => one.split(": ")[0]);
  };
  expect(faults(wrong)).toEqual([`${at}labels.io.balena.update.monitor`]);
  expect(faults({ composition: wrong })).toEqual([`${at}composition.labels.io.balena.update.monitor`]);
  expect(parseComposition({ services: { web: { image: "a:1", ...wrong } } })).toEqual({
    ok: false,
    faults: [`services.web.labels.io.balena.update.monitor: ${duration}, but got "x"`],
  });
});

describe("a container", () => {
  const specOf = (fields: object) => {
    const { app } = read(body({ "1": entry(fields) }));
    const [service] = app.services;
    if (!service) throw new Error("There is no service");
    return toContainerSpec(service, app, deviceFacts, { id: imageId, config: plainImage }, "key");
  };

  test("is not replaced for a word of the update", () => {
    const words = { monitor: "30s", window: "2:00-3:00", snapshot: "true", "on-disk-short": "wait" };
    const kept = { strategy: "hand-over", "handover-timeout": "1000", "requires-reboot": "1" };
    const spec = specOf(labelled({ ...words, ...kept }));
    expect(differences(spec, specOf(labelled(kept)))).toEqual([]);
    expect(spec.labels).toMatchObject(labelled(kept).labels);
    expect(specOf(labelled({ strategy: "hand-over" })).labels).not.toEqual(specOf({}).labels);
  });

  test("of an older agent, which has such labels, is not replaced either", () => {
    const spec = specOf({});
    const old = { ...spec, labels: { ...spec.labels, ...labelled({ window: "2:00-3:00" }).labels } };
    const manner = { emptyIsNull: false, addsPath: true, started: true, choosesMac: false };
    const container = fromInspection(echo(toCreateOptions(old), plainImage, manner));
    expect(container && differences(container.spec, spec)).toEqual([]);
  });
});

const window: fc.Arbitrary<Window> = fc
  .record({
    days: fc.subarray([0, 1, 2, 3, 4, 5, 6]),
    from: fc.integer({ min: 0, max: 1439 }),
    to: fc.integer({ min: 0, max: 1439 }),
    zone: fc.option(fc.constantFrom("Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5")),
  })
  .map(({ zone: one, ...rest }) => (one === null ? rest : { ...rest, zone: one }));

test("windows are shown as they are written", () => {
  fc.assert(
    fc.property(fc.array(window, { minLength: 1, maxLength: 3 }), (some) => {
      expect(parseWindows(some.map(showWindow).join("; "))).toEqual({ ok: true, windows: some });
    }),
  );
  const shown = (text: string) => {
    const parsed = parseWindows(text);
    return parsed.ok ? parsed.windows.map(showWindow).join("; ") : parsed.expected;
  };
  expect(shown(" monday , tue,FRI -mon 22:00-24:00  utc;9:05-9:00")).toBe(
    "Mon,Tue,Fri-Sun 22:00-00:00 utc; 09:05-09:00",
  );
});

test("any text is a list of windows or is refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."Mon-Fri,02:4; EuropUTC/") }), (text) => {
      const parsed = parseWindows(text);
      expect(parsed.ok || parsed.expected.startsWith("expected ")).toBe(true);
    }),
  );
});

test.each([
  [{}, false],
  [{ SUPERVISOR_SAFE_UPDATES: "on" }, true],
  [{ SUPERVISOR_SAFE_UPDATES: "off" }, false],
])("with %j updates in local mode are judged: %s", (config, on) => {
  expect(isOn(config, "SUPERVISOR_SAFE_UPDATES")).toBe(on);
});
