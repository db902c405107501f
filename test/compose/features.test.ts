import { describe, expect, test } from "vitest";
import { toContainerSpec } from "../../core/compose/container-spec.ts";
import { featuresOf, hasFeature, type FeatureFacts } from "../../core/compose/features.ts";
import type { Mount } from "../../core/model/container.ts";
import { body, deviceFacts, entry, read } from "./read.ts";
import { imageId, plainImage } from "./specs.ts";

const facts: FeatureFacts = { ...deviceFacts, hostNetwork: false, apiKey: "service-key" };

const show = ({ source, target, readOnly }: Mount) => `${source}:${target}${readOnly ? ":ro" : ""}`;

const both = (name: string, value: string) => ({ [`BALENA_${name}`]: value, [`RESIN_${name}`]: value });

interface Added {
  readonly mounts?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly networks?: readonly string[];
  readonly settings?: object;
}

/** Source: the documentation of the labels, and the mounts and variables of the reference implementation's containers. */
const documented: readonly (readonly [string, Added])[] = [
  ["dbus", { mounts: ["/run/dbus:/host/run/dbus"] }],
  ["kernel-modules", { mounts: ["/lib/modules:/lib/modules"] }],
  ["firmware", { mounts: ["/lib/firmware:/lib/firmware"] }],
  ["sysfs", { mounts: ["/sys:/sys"] }],
  ["procfs", { mounts: ["/proc:/proc"] }],
  [
    "journal-logs",
    {
      mounts: [
        "/var/log/journal:/var/log/journal:ro",
        "/run/log/journal:/run/log/journal:ro",
        "/etc/machine-id:/etc/machine-id:ro",
      ],
    },
  ],
  [
    "balena-socket",
    {
      mounts: [
        "/var/run/docker.sock:/host/run/balena-engine.sock",
        "/var/run/docker.sock:/var/run/balena.sock",
        "/var/run/docker.sock:/var/run/docker.sock",
      ],
      environment: { DOCKER_HOST: "unix:///host/run/balena-engine.sock" },
    },
  ],
  [
    "supervisor-api",
    {
      environment: {
        ...both("SUPERVISOR_API_KEY", "service-key"),
        ...both("SUPERVISOR_PORT", "48484"),
        ...both("SUPERVISOR_HOST", "10.114.104.1"),
        ...both("SUPERVISOR_ADDRESS", "http://10.114.104.1:48484"),
      },
      networks: ["supervisor0"],
    },
  ],
  ["balena-api", { environment: { ...both("API_KEY", "cloud-key"), ...both("API_URL", "https://api.example.com") } }],
  ["gpu", { settings: { gpu: true } }],
  [
    "host-os.board-rev",
    { environment: { ...both("HOST_OS_BOARD_REV", "c03111"), ...both("HOST_OS_BUILD", "20260101") } },
  ],
  ["extra-firmware", { mounts: ["extra-firmware:/extra-firmware"] }],
];

test.each(documented)(
  "io.balena.features.%s adds %j",
  (name, { mounts = [], environment = {}, networks = [], settings = {} }) => {
    const added = featuresOf({ [`io.balena.features.${name}`]: "1" }, facts);
    expect(added.mounts.map(show)).toEqual(mounts);
    expect(added.environment).toEqual(environment);
    expect(added.networks).toEqual(networks);
    expect(added.settings).toEqual(settings);
  },
);

const nothing = { mounts: [], environment: {}, networks: [], settings: {} };

describe("a label's value", () => {
  test.each(["1", "true", "True", "TRUE", "on", "ON"])("%j asks for the feature", (value) => {
    expect(hasFeature({ "io.balena.features.dbus": value }, "dbus")).toBe(true);
  });

  test.each(["", "0", "false", "off", "yes", "y", "2", " 1"])("%j does not ask for the feature", (value) => {
    expect(hasFeature({ "io.balena.features.dbus": value }, "dbus")).toBe(false);
    for (const [name] of documented)
      expect(featuresOf({ [`io.balena.features.${name}`]: value }, facts)).toEqual(nothing);
  });

  test("of an unknown feature adds nothing", () => {
    expect(featuresOf({ "io.balena.features.teleport": "1" }, facts)).toEqual(nothing);
  });
});

test("services on the host's network reach the API on this machine, and join no network", () => {
  const { environment, networks } = featuresOf(
    { "io.balena.features.supervisor-api": "1" },
    { ...facts, hostNetwork: true },
  );
  expect(environment["BALENA_SUPERVISOR_ADDRESS"]).toBe("http://127.0.0.1:48484");
  expect(environment["RESIN_SUPERVISOR_HOST"]).toBe("127.0.0.1");
  expect(networks).toEqual([]);
});

test("an engine socket at another path is mounted from that path", () => {
  const { mounts } = featuresOf(
    { "io.balena.features.balena-socket": "1" },
    { ...facts, engineSocket: "/run/balena-engine.sock" },
  );
  expect(mounts.map(show)).toEqual([
    "/run/balena-engine.sock:/host/run/balena-engine.sock",
    "/run/balena-engine.sock:/var/run/balena.sock",
    "/run/balena-engine.sock:/run/balena-engine.sock",
  ]);
});

describe("in a container", () => {
  const specOf = (fields: object) => {
    const { app } = read(body({ "1": entry(fields) }));
    const [service] = app.services;
    if (!service) throw new Error("There is no service");
    return toContainerSpec(service, app, deviceFacts, { id: imageId, config: plainImage }, "service-key");
  };

  test.each(documented)(
    "%s arrives with its current and its old name",
    (name, { mounts = [], environment = {}, networks = [] }) => {
      for (const prefix of ["io.balena", "io.resin"]) {
        const spec = specOf({ labels: { [`${prefix}.features.${name}`]: "true" } });
        expect(spec.mounts.map(show)).toEqual(expect.arrayContaining([...mounts]));
        expect(spec.environment).toMatchObject(environment);
        expect(Object.keys(spec.networks).sort()).toEqual(["1_default", ...networks]);
      }
    },
  );

  test("all features work together", () => {
    const labels = Object.fromEntries(documented.map(([name]) => [`io.balena.features.${name}`, "1"]));
    const spec = specOf({ labels });
    expect(new Set(spec.mounts.map(({ target }) => target)).size).toBe(spec.mounts.length);
    expect(spec.mounts).toHaveLength(2 + documented.flatMap(([, { mounts = [] }]) => mounts).length);
  });

  test("the composition's values do not replace those of a feature", () => {
    const spec = specOf({
      labels: { "io.balena.features.supervisor-api": "1" },
      environment: { BALENA_SUPERVISOR_API_KEY: "mine", BALENA_APP_ID: "99" },
    });
    expect(spec.environment).toMatchObject({ BALENA_SUPERVISOR_API_KEY: "service-key", BALENA_APP_ID: "1" });
  });

  test("the host's network is the only network", () => {
    const spec = specOf({ labels: { "io.balena.features.supervisor-api": "1" }, network_mode: "host" });
    expect(spec.networks).toEqual({});
    expect(spec.environment["BALENA_SUPERVISOR_HOST"]).toBe("127.0.0.1");
  });
});
