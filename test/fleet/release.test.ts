import { describe, expect, test } from "vitest";
import { forbiddenFaults, parseComposition } from "../../core/fleet/release.ts";

const faultsOf = (body: unknown) => {
  const parsed = parseComposition(body);
  return parsed.ok ? [] : parsed.faults;
};
const one = (entry: object) => ({ services: { web: entry } });

test.each<readonly [string, unknown, readonly unknown[]]>([
  ["no object", "services", ["expected a compose file: an object with services, networks and volumes"]],
  ["no services", {}, ["services: expected an object of services"]],
  ["services in a list", { services: [] }, ["services: expected an object of services"]],
  ["a service without anything", { services: { web: null } }, ["services.web: expected an object of compose fields"]],
  ["no image", one({}), ['services.web.image: expected an image such as "registry/name:tag"']],
  [
    "an image that is none",
    one({ image: "No Image" }),
    ['services.web.image: expected an image such as "registry/name:tag", but got "No Image"'],
  ],
  [
    "a value that was not shown",
    one({ image: "web:1", environment: { WIFI_PSK: "(hidden)" } }),
    [expect.stringMatching(/^services\.web\.environment\.WIFI_PSK: expected a value, but got \(hidden\)/)],
  ],
  [
    "something to build",
    one({ build: ".", image: "web:1" }),
    [
      "services.web.build: images are not built here; build and push it to a registry, then name it with image, without build",
    ],
  ],
  [
    "credentials",
    one({ image: "me:secret@registry.example/web" }),
    [expect.stringMatching(/^services\.web\.image: expected an image without user and password/)],
  ],
  [
    "a field of the wrong kind",
    one({ image: "web:1", ports: ["eighty"] }),
    [expect.stringMatching(/^services\.web\.ports\[0\]: expected a port/)],
  ],
  [
    "a name that is none",
    { services: { "my web": { image: "web:1" } } },
    [expect.stringMatching(/^services\.my web: expected a name/)],
  ],
  [
    "services that wait for each other",
    { services: { a: { image: "a:1", depends_on: ["b"] }, b: { image: "b:1", depends_on: ["a"] } } },
    [expect.stringMatching(/^services: expected an order to start in, but they wait for each other: a → b → a/)],
  ],
  [
    "a network of the wrong kind",
    { ...one({ image: "web:1" }), networks: { front: "bridge" } },
    ["networks.front: expected an object of settings"],
  ],
  [
    "a driver that is no text",
    { ...one({ image: "web:1" }), volumes: { data: { driver: 5 } } },
    [expect.stringMatching(/^volumes\.data\.driver: /)],
  ],
])("%s is refused with its path", (_, body, faults) => {
  expect(faultsOf(body)).toEqual(faults);
});

test("no variable's value is in a fault", () => {
  expect(JSON.stringify(faultsOf(one({ image: "web:1", environment: { A: { secret: "hidden" } } })))).not.toContain(
    "hidden",
  );
});

test("unsupported parts are warnings if that is allowed", () => {
  const composition = {
    name: "mine",
    "x-note": "mine too",
    models: {},
    volumes: { data: null },
    services: { web: { image: "web", env_file: ".env", volumes: ["data:/data", "other:/other", "/host:/host"] } },
  };
  expect(faultsOf(composition)).toEqual(["models: not supported", "services.web.env_file: not supported"]);
  const parsed = parseComposition(composition, { allowUnsupported: true });
  expect(parsed.ok && parsed.warnings).toEqual([
    "models: not supported",
    "services.web.env_file: not supported",
    expect.stringMatching(/^services\.web\.image: web may become another image/),
    expect.stringMatching(/^services\.web\.volumes: host folders are not mounted/),
    'volumes: "other" is used but not defined; made with default settings',
  ]);
  expect(parsed.ok && parsed.composition.volumes).toEqual({ data: {} });
});

test("the powers that services ask for are listed, and those that the fleet forbids are refused", () => {
  const parsed = parseComposition({
    services: {
      web: { image: "web:1", privileged: true, labels: ["io.balena.features.balena-socket=1"] },
      db: { image: "db:1" },
      agent: { image: "agent:1", volumes: ["etc:/host/etc"], labels: { "io.balena.features.host-binds": "1" } },
    },
    volumes: { etc: { driver_opts: { type: "none", o: "bind", device: "/etc" } } },
  });
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  expect(parsed.powers).toEqual({ web: ["privileged", "engine-socket"], agent: ["host-binds"] });
  expect(parsed.warnings).toEqual([
    "volumes.etc.driver_opts: /etc of the host is mounted, as the label io.balena.features.host-binds of agent asks for it",
  ]);
  expect(forbiddenFaults(parsed.powers, ["host-binds", "privileged", "dbus"])).toEqual([
    "services.web: the fleet forbids privileged",
    "services.agent: the fleet forbids host-binds",
  ]);
  expect(forbiddenFaults(parsed.powers, [])).toEqual([]);
});

describe("a release of many services", () => {
  const many = (count: number) => ({
    services: Object.fromEntries(Array.from({ length: count }, (_, n) => [`s${n}`, { image: `s${n}:1` }])),
  });

  test("has at most 100, and more are refused before they are validated", () => {
    expect(faultsOf(many(100))).toEqual([]);
    const begun = performance.now();
    expect(faultsOf(many(4000))).toEqual(["services: expected at most 100 services, but got 4000"]);
    expect(performance.now() - begun).toBeLessThan(1500);
  });

  test("gets at most 100 faults and 100 warnings", () => {
    const odd = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`field${n}`, 1]));
    const parsed = parseComposition(one({ image: "web:1", ...odd }), { allowUnsupported: true });
    expect(parsed.ok && [parsed.warnings.length, parsed.warnings.at(-1)]).toEqual([101, "… and 400 more"]);
    const ports = Array.from({ length: 500 }, () => "eighty");
    expect(faultsOf(one({ image: "web:1", ports })).at(-1)).toBe("… and 400 more");
  });
});

describe("configs and secrets", () => {
  const release = (references: object, definitions: object) => ({
    ...one({ image: "web:1", ...references }),
    ...definitions,
  });

  test("stay in the composition", () => {
    const body = release(
      { configs: ["conf"], secrets: [{ source: "psk" }] },
      {
        configs: { conf: { content: "a" } },
        secrets: { psk: { base64: "AP8=" } },
      },
    );
    expect(parseComposition(body)).toMatchObject({ ok: true, warnings: [], composition: body });
  });

  test.each<readonly [object, object, readonly string[]]>([
    [
      { secrets: ["ps"] },
      { secrets: { psk: { content: "hunter2" } } },
      ['services.web.secrets[0]: there is no secret "ps"; did you mean "psk"?'],
    ],
    [
      { configs: [{ source: "c", taget: "/c" }] },
      { configs: { c: { content: "" } } },
      ['services.web.configs[0].taget: not supported; did you mean "target"?'],
    ],
    [
      { secrets: ["psk"] },
      { secrets: { psk: { file: "psk.txt" } } },
      [
        "secrets.psk.file: not supported",
        "secrets.psk: expected a content; a file and a variable are read where the compose file is",
      ],
    ],
  ])("%j with %j is a fault", (references, definitions, faults) => {
    expect(faultsOf(release(references, definitions))).toEqual(faults);
  });

  test("that were not shown cannot be set", () => {
    expect(faultsOf(release({ secrets: ["psk"] }, { secrets: { psk: { content: "(hidden)" } } }))).toEqual([
      expect.stringMatching(/^secrets\.psk\.content: expected a value, but got \(hidden\)/),
    ]);
  });
});
