import { describe, expect, test } from "vitest";
import { parseCloudTarget } from "../../core/compose/target-state.ts";
import type { App } from "../../core/model/target.ts";
import { facts } from "./read.ts";

/** The body of `GET /device/v3/:uuid/state`. */

const uuid = "0123456789abcdef0123456789abcdef";

const parse = (value: unknown) => parseCloudTarget(value, facts, uuid);

const service = (fields: object = {}): object => ({
  id: 5,
  image_id: 6,
  image: "registry2.example.com/v2/abc@sha256:" + "a".repeat(64),
  environment: {},
  labels: {},
  ...fields,
});

const release = (services: Readonly<Record<string, object>> = { one: service() }, more: object = {}): object => ({
  id: 10,
  services,
  ...more,
});

const fleet = (releases: Readonly<Record<string, object>> = { c1: release() }, more: object = {}): object => ({
  id: 7,
  name: "fleet",
  is_host: false,
  class: "fleet",
  releases,
  ...more,
});

const state = (apps: Readonly<Record<string, object>>, more: object = {}): object => ({
  [uuid]: { name: "kitchen", config: {}, apps, ...more },
});

function read(value: unknown): { readonly app: App; readonly warnings: readonly string[] } {
  const parsed = parse(value);
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  const [app] = parsed.target.apps;
  if (!app) throw new Error("There is no application in it");
  return { app, warnings: parsed.warnings };
}

const faultsOf = (value: unknown) => {
  const parsed = parse(value);
  return parsed.ok ? [] : parsed.faults;
};

test("an application has its uuid, its only release and the release's services by name", () => {
  const { app, warnings } = read(state({ u7: fleet() }));
  expect(app).toMatchObject({
    appId: 7,
    uuid: "u7",
    name: "fleet",
    commit: "c1",
    releaseId: 10,
    services: [
      {
        name: "one",
        serviceId: 5,
        imageId: 6,
        image: { name: `registry2.example.com/v2/abc@sha256:${"a".repeat(64)}` },
        running: true,
      },
    ],
  });
  expect(warnings).toEqual([]);
});

test("the device has a name, and config variables without their prefixes", () => {
  const config = { RESIN_SUPERVISOR_POLL_INTERVAL: "600000", SUPERVISOR_LOCAL_MODE: "1" };
  const parsed = parse(state({}, { config }));
  expect(parsed.ok && parsed.target).toEqual({
    name: "kitchen",
    config: { SUPERVISOR_POLL_INTERVAL: "600000", SUPERVISOR_LOCAL_MODE: "1" },
    apps: [],
  });
});

test("the host's own application is omitted", () => {
  const parsed = parse(state({ u7: fleet(), host: fleet({ h1: release() }, { id: 8, is_host: true, class: "app" }) }));
  expect(parsed.ok && parsed.target.apps.map((app) => app.uuid)).toEqual(["u7"]);
});

test("the reference implementation, which the cloud adds for its versions, is omitted", () => {
  const parsed = parse(state({ u7: fleet(), original: fleet({ s1: release() }, { id: 9, class: "app" }) }));
  expect(parsed.ok && parsed.target.apps.map((app) => app.uuid)).toEqual(["u7"]);
});

test("an application without a release has no services", () => {
  expect(read(state({ u7: fleet({}) })).app).toMatchObject({ commit: "", releaseId: 0, services: [] });
});

test("optional fields may be missing", () => {
  const bare = { id: 5, image_id: 6, image: "one" };
  const { app } = read({
    [uuid]: { name: "x", apps: { u7: { id: 7, name: "a", releases: { c1: { id: 1, services: { one: bare } } } } } },
  });
  expect(app.services[0]).toMatchObject({ running: true, config: { environment: {}, labels: {} } });
});

describe("variables and labels", () => {
  const configOf = (fields: object) =>
    read(state({ u7: fleet({ c1: release({ one: service(fields) }) }) })).app.services[0]?.config;

  test("outside the composition take precedence over those inside", () => {
    expect(
      configOf({
        environment: { A: "outer", B: "outer" },
        labels: { a: "outer", b: "outer" },
        composition: {
          environment: { A: "inner", C: "inner" },
          labels: { a: "inner", c: "inner" },
        },
      }),
    ).toMatchObject({
      environment: { A: "outer", B: "outer", C: "inner" },
      labels: { a: "outer", b: "outer", c: "inner" },
    });
  });

  test.each([[["A=1", "B=2=3", "C"]], [{ A: 1, B: "2=3", C: null }]])("inside may be written as %j", (environment) => {
    expect(configOf({ composition: { environment } })?.environment).toEqual({ A: "1", B: "2=3", C: "" });
  });

  test("without a name are dropped from any source", () => {
    expect(configOf({ environment: { "": "x", A: "1" } })?.environment).toEqual({ A: "1" });
    expect(configOf({ composition: { environment: { "": "x", A: "1" } } })?.environment).toEqual({ A: "1" });
    expect(configOf({ composition: { environment: ["=x", "A=1"] } })?.environment).toEqual({ A: "1" });
  });

  test("with old names get the current names", () => {
    expect(configOf({ labels: { "io.resin.features.dbus": "1" } })?.labels).toEqual({ "io.balena.features.dbus": "1" });
    expect(configOf({ composition: { labels: ["io.resin.features.dbus=1"] } })?.labels).toEqual({
      "io.balena.features.dbus": "1",
    });
  });
});

test("a composition is read like in version 2, and its warnings have its path", () => {
  const composition = {
    image: "ignored",
    build: ".",
    ports: ["127.0.0.1:8080:80"],
    restart: "banana",
    expose: ["80"],
    depends_on: ["two", "nope"],
    volumes: ["data:/data"],
    privileged: true,
  };
  const { app, warnings } = read(
    state({
      u7: fleet({
        c1: release(
          {
            one: service({ composition }),
            two: service({ id: 8, image_id: 9, composition: { network_mode: "none" } }),
          },
          { volumes: { data: { labels: { x: "1" } } }, networks: { default: { internal: true } } },
        ),
      }),
    }),
  );
  expect(app.services).toMatchObject([
    {
      name: "one",
      dependsOn: [{ service: "two", condition: "service_started" }],
      config: {
        ports: [{ target: 80, protocol: "tcp", published: "8080", ip: "127.0.0.1" }],
        mounts: [{ type: "volume", source: "data", target: "/data" }],
        settings: { privileged: true },
      },
    },
    { name: "two", config: { networkMode: "none" } },
  ]);
  expect(app.networks["default"]?.internal).toBe(true);
  expect(app.volumes["data"]?.labels).toEqual({ x: "1" });
  const path = `${uuid}.apps.u7.releases.c1.services.one.composition`;
  expect(warnings).toEqual([
    `${path}.expose: not supported, left out`,
    `${path}.restart: "banana" is none of no, always, on-failure[:N], unless-stopped; taken as always`,
    `${path}.depends_on: there is no service "nope" in this application, left out`,
  ]);
});

describe("a target state is refused:", () => {
  const path = `${uuid}.apps.u7.releases.c1.services.one`;

  test.each<[string, unknown, readonly string[]]>([
    ["nothing", null, ["expected an object, but got null"]],
    [
      "the state of another device",
      { other: { name: "x", apps: {} } },
      [`expected the state of device ${uuid}, which is not in it`],
    ],
    ["a device without a name", { [uuid]: { apps: {} } }, [`${uuid}.name: expected a string, but got nothing`]],
    ["a device without applications", { [uuid]: { name: "x" } }, [`${uuid}.apps: expected an object, but got nothing`]],
    [
      "an application without an id",
      state({ u7: fleet(undefined, { id: undefined }) }),
      [`${uuid}.apps.u7.id: expected a whole number of 0 or more, but got nothing`],
    ],
    [
      "a service without an image",
      state({ u7: fleet({ c1: release({ one: service({ image: undefined }) }) }) }),
      [`${path}.image: expected a string, but got nothing`],
    ],
    [
      "a service with a bad name",
      state({ u7: fleet({ c1: release({ "-one": service() }) }) }),
      [
        `${uuid}.apps.u7.releases.c1.services.-one: expected a name: a letter or digit, then letters, digits, _, . and -, but got "-one"`,
      ],
    ],
    [
      "a bad port",
      state({ u7: fleet({ c1: release({ one: service({ composition: { ports: ["abc"] } }) }) }) }),
      [
        `${path}.composition.ports[0]: expected a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp", but got "abc"`,
      ],
    ],
    [
      "a namespace of a service that is not there",
      state({ u7: fleet({ c1: release({ one: service({ composition: { network_mode: "service:two" } }) }) }) }),
      [
        `${uuid}.apps.u7.releases.c1.services: one wants to live in service "two", which is not another service of this application`,
      ],
    ],
  ])("%s", (_, value, faults) => {
    expect(faultsOf(value)).toEqual(faults);
  });

  test.each<[string, object]>([
    ["outside the composition", { environment: { A: { B: "hunter2" } } }],
    ["inside it", { composition: { environment: { A: { B: "hunter2" } } } }],
    ["inside it, as a list of lists", { composition: { environment: [["A=hunter2"]] } }],
  ])("a variable's value %s is not shown", (_, fields) => {
    const faults = faultsOf(state({ u7: fleet({ c1: release({ one: service(fields) }) }) }));
    expect(faults).not.toEqual([]);
    expect(faults.join("\n")).not.toContain("hunter2");
  });
});

test("a release that the device cannot run is rejected, and an optional service is omitted", () => {
  const contract = { type: "sw.container", requires: [{ type: "arch.sw", slug: "z80" }] };
  const why = 'this device does not meet {"type":"arch.sw","slug":"z80"}';
  expect(read(state({ u7: fleet({ c1: release({ one: service({ contract }) }) }) })).app.rejected).toBe(`one: ${why}`);
  const optional = service({ contract, labels: { "io.balena.features.optional": "1" } });
  const { app, warnings } = read(state({ u7: fleet({ c1: release({ one: optional, two: service({ id: 8 }) }) }) }));
  expect([app.rejected, app.services.map(({ name }) => name)]).toEqual([undefined, ["two"]]);
  expect(warnings).toEqual([`${uuid}.apps.u7.releases.c1.services.one.contract: ${why}; optional, so left out`]);
});
