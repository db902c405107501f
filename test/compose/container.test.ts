import { describe, expect, test } from "vitest";
import { ImageInspection, fromImageInspection } from "../../core/docker-api/config.ts";
import { Inspection, fromInspection, toCreateOptions } from "../../core/docker-api/container.ts";
import { networkModeOf, namespaceServices } from "../../core/compose/namespaces.ts";
import { serviceFolder, toContainerSpec } from "../../core/compose/container-spec.ts";
import type { Container, ContainerSpec } from "../../core/model/container.ts";
import type { ImageConfig } from "../../core/model/image.ts";
import { body, deviceFacts, entry, read } from "./read.ts";
import { endpoint, imageId, plainImage, plainSpec } from "./specs.ts";

function specOf(fields: object, image: Partial<ImageConfig> = {}, app: object = {}): ContainerSpec {
  const { app: parsed } = read(body({ "1": entry(fields) }, app));
  const [service] = parsed.services;
  if (!service) throw new Error("There is no service");
  return toContainerSpec(service, parsed, deviceFacts, { id: imageId, config: { ...plainImage, ...image } }, "key");
}

describe("every service", () => {
  test("is created from its image's id, never from a tag", () => {
    expect(specOf({ image: "one:latest" }).image).toBe(imageId);
  });

  test("has variables about its device and application, with the current and the old prefix", () => {
    const both = (name: string, value: string) => ({ [`BALENA_${name}`]: value, [`RESIN_${name}`]: value });
    expect(specOf({}).environment).toEqual({
      ...both("APP_ID", "1"),
      ...both("APP_UUID", "1"),
      ...both("APP_NAME", "fleet"),
      ...both("SERVICE_NAME", "one"),
      ...both("DEVICE_UUID", "0123456789abcdef0123456789abcdef"),
      ...both("DEVICE_TYPE", "raspberrypi4-64"),
      ...both("DEVICE_ARCH", "aarch64"),
      ...both("HOST_OS_VERSION", "Debian GNU/Linux 12 (bookworm)"),
      ...both("APP_LOCK_PATH", "/tmp/balena/updates.lock"),
      ...both("DEVICE_NAME_AT_INIT", "kitchen"),
      BALENA: "1",
      RESIN: "1",
      USER: "root",
      BALENA_SERVICE_HANDOVER_COMPLETE_PATH: "/tmp/balena/handover-complete",
      RESIN_SERVICE_KILL_ME_PATH: "/tmp/balena/handover-complete",
    });
  });

  test("has its own variables, which take precedence over the image's", () => {
    const { environment } = specOf(
      { environment: { MODE: "live", EMPTY: "" } },
      { environment: { MODE: "demo", LANG: "C" } },
    );
    expect(environment).toMatchObject({ MODE: "live", EMPTY: "", LANG: "C" });
  });

  test("is identified by its labels, which take precedence over the composition's", () => {
    const labels = { a: "1", "io.balena.app-id": "99" };
    expect(specOf({ labels }, { labels: { a: "0", b: "2" } }).labels).toEqual({
      a: "1",
      b: "2",
      "io.balena.supervised": "true",
      "io.balena.app-id": "1",
      "io.balena.app-uuid": "1",
      "io.balena.service-id": "1",
      "io.balena.service-name": "one",
    });
  });

  test("shares a folder with the agent at two paths", () => {
    const source = "/tmp/balena-supervisor/services/1/one";
    expect(serviceFolder("/tmp/balena-supervisor/services", 1, "one")).toBe(source);
    expect(specOf({}).mounts).toEqual([
      { type: "bind", source, target: "/tmp/balena", readOnly: false, options: "" },
      { type: "bind", source, target: "/tmp/resin", readOnly: false, options: "" },
    ]);
  });

  test("has its application's volumes with their names on the engine", () => {
    expect(specOf({ volumes: ["data:/data:ro"] }).mounts).toContainEqual({
      type: "volume",
      source: "1_data",
      target: "/data",
      readOnly: true,
      options: "",
    });
  });

  test("is on its application's default network with its own name", () => {
    const { networkMode, networks } = specOf({});
    expect([networkMode, networks]).toEqual(["networks", { "1_default": { ...endpoint, aliases: ["one"] } }]);
  });

  test("is on its listed networks instead, with its own name on each", () => {
    const { networks } = specOf({
      networks: { front: { aliases: ["web", "one"], ipv4_address: "172.30.0.5" }, back: null },
    });
    expect(networks).toEqual({
      "1_front": { ...endpoint, aliases: ["one", "web"], ipv4: "172.30.0.5" },
      "1_back": { ...endpoint, aliases: ["one"] },
    });
  });

  test.each(["host", "none", "bridge", "container:abc"])("with network_mode %s is on no network", (network_mode) => {
    const { networkMode, networks } = specOf({ network_mode, networks: ["front"] });
    expect([networkMode, networks]).toEqual([network_mode, {}]);
  });
});

/** The container's values from image and composition, merged like the engine merges them. */
describe("command and entrypoint", () => {
  const image = { entrypoint: ["/entry"], command: ["serve"] };
  test.each<[string, object, Partial<ImageConfig>, readonly string[], readonly string[]]>([
    ["the image's", {}, image, ["/entry"], ["serve"]],
    ["the image's entrypoint with a command of one's own", { command: "go" }, image, ["/entry"], ["go"]],
    ["an entrypoint of one's own drops the image's command", { entrypoint: "/mine" }, image, ["/mine"], []],
    ["both of one's own", { entrypoint: "/mine", command: ["a", "b"] }, image, ["/mine"], ["a", "b"]],
    ["an empty entrypoint switches the image's off", { entrypoint: [] }, image, [], ["serve"]],
    ["an empty command drops the image's", { command: [] }, image, ["/entry"], []],
    ["null leaves it to the image", { entrypoint: null, command: null }, image, ["/entry"], ["serve"]],
    ["the command of an image without an entrypoint", {}, { command: ["sh"] }, [], ["sh"]],
    // A container without both could not be started, so the engine and we use the image's command then.
    ["nothing at all falls back to the image's command", { command: [] }, { command: ["sh"] }, [], ["sh"]],
  ])("%s", (_, fields, config, entrypoint, command) => {
    expect(specOf(fields, config)).toMatchObject({ entrypoint, command });
  });
});

describe("healthcheck", () => {
  const image = { test: ["CMD", "image"], interval: 10, timeout: 20, startPeriod: 30, retries: 40 };
  const zero = { interval: 0, timeout: 0, startPeriod: 0, retries: 0 };
  test.each<[string, unknown, ImageConfig["healthcheck"], ImageConfig["healthcheck"]]>([
    ["none at all", undefined, null, null],
    ["the image's", undefined, image, image],
    ["one's own", { test: "mine" }, null, { ...zero, test: ["CMD-SHELL", "mine"] }],
    ["one's own, the rest from the image", { test: ["CMD", "mine"] }, image, { ...image, test: ["CMD", "mine"] }],
    ["the image's with another interval", { interval: 1 }, image, { ...image, interval: 1e9 }],
    ["an interval of what there is not", { interval: 1 }, null, null],
    ["switched off", { disable: true }, image, null],
    ["switched off the other way", { test: ["NONE"] }, image, null],
  ])("%s", (_, healthcheck, ofImage, expected) => {
    expect(specOf({ healthcheck }, { healthcheck: ofImage }).healthcheck).toEqual(expected);
  });

  test("NONE is sent to the engine, so that the image's healthcheck is off", () => {
    expect(toCreateOptions(plainSpec).options.Healthcheck).toEqual({ Test: ["NONE"] });
  });
});

test.each<[string, object, Partial<ImageConfig>, Partial<ContainerSpec>]>([
  ["user: the image's", {}, { user: "node" }, { user: "node" }],
  ["user: one's own", { user: 1000 }, { user: "node" }, { user: "1000" }],
  ["working_dir: the image's", {}, { workingDir: "/srv" }, { workingDir: "/srv" }],
  ["working_dir: one's own", { working_dir: "/app/" }, { workingDir: "/srv" }, { workingDir: "/app" }],
  ["working_dir: the root", { working_dir: "/" }, {}, { workingDir: "/" }],
  ["stop_signal: the default", {}, {}, { stopSignal: "SIGTERM" }],
  ["stop_signal: the image's", {}, { stopSignal: "SIGINT" }, { stopSignal: "SIGINT" }],
  ["stop_signal: one's own", { stop_signal: "SIGUSR1" }, { stopSignal: "SIGINT" }, { stopSignal: "SIGUSR1" }],
  ["hostname: the engine's", {}, {}, { hostname: "" }],
  ["hostname: one's own", { hostname: "kitchen" }, {}, { hostname: "kitchen" }],
])("%s", (_, fields, image, expected) => {
  expect(specOf(fields, image)).toMatchObject(expected);
});

describe("a shared namespace:", () => {
  const { app } = read(
    body({
      "1": entry(),
      "2": entry({ serviceName: "two", imageId: 2, network_mode: "container:one" }),
      "3": entry({ serviceName: "three", imageId: 3, network_mode: "service:one", ipc: "service:two", pid: "host" }),
      "4": entry({ serviceName: "four", imageId: 4, network_mode: "container:abc" }),
    }),
  );

  test.each([
    ["one", "networks"],
    ["two", "service:one"],
    ["three", "service:one"],
    ["four", "container:abc"],
  ])("the network of %s is %s, because a service's name means the service", (name, mode) => {
    const service = app.services.find((one) => one.name === name);
    expect(service && networkModeOf(service, app)).toBe(mode);
  });

  test.each<[Pick<ContainerSpec, "networkMode" | "settings">, readonly string[]]>([
    [{ networkMode: "networks", settings: {} }, []],
    [{ networkMode: "host", settings: { pid: "host" } }, []],
    [{ networkMode: "container:abc", settings: {} }, []],
    [{ networkMode: "service:one", settings: {} }, ["one"]],
    [{ networkMode: "service:one", settings: { ipc: "service:two", pid: "service:three" } }, ["one", "two", "three"]],
  ])("%j uses the namespaces of %j", (spec, services) => {
    expect(namespaceServices(spec)).toEqual(services);
  });
});

test("the engine gets the complete container definition", () => {
  const spec = specOf(
    {
      command: "serve --port 80",
      environment: { MODE: "live" },
      hostname: "kitchen",
      restart: "on-failure:3",
      ports: ["8080:80", "53/udp"],
      volumes: ["data:/data"],
      tmpfs: "/run:size=1m",
      networks: { front: { aliases: ["web"], ipv4_address: "172.30.0.5" }, back: null },
      labels: { "io.balena.features.supervisor-api": "1" },
      healthcheck: { test: "curl localhost", interval: "30s" },
      mac_address: "02:42:ac:11:00:02",
      cap_add: ["NET_ADMIN"],
      mem_limit: "64m",
    },
    { entrypoint: ["/entry"] },
  );
  const { options, join } = toCreateOptions(spec);
  expect(options).toEqual({
    Image: imageId,
    Cmd: ["serve", "--port", "80"],
    Entrypoint: ["/entry"],
    Env: expect.arrayContaining(["MODE=live", "BALENA_SUPERVISOR_API_KEY=key"]),
    Labels: expect.objectContaining({ "io.balena.service-name": "one" }),
    User: "",
    WorkingDir: "",
    StopSignal: "SIGTERM",
    StopTimeout: 10,
    Hostname: "kitchen",
    MacAddress: "02:42:ac:11:00:02",
    Tty: true,
    Healthcheck: {
      Test: ["CMD-SHELL", "curl localhost"],
      Interval: 30e9,
      Timeout: 0,
      StartPeriod: 0,
      Retries: 0,
    },
    ExposedPorts: { "53/udp": {}, "80/tcp": {} },
    HostConfig: {
      Binds: [
        "1_data:/data",
        "/tmp/balena-supervisor/services/1/one:/tmp/balena",
        "/tmp/balena-supervisor/services/1/one:/tmp/resin",
      ],
      Tmpfs: { "/run": "size=1m" },
      NetworkMode: "1_back",
      PortBindings: {
        "53/udp": [{ HostIp: "", HostPort: "" }],
        "80/tcp": [{ HostIp: "", HostPort: "8080" }],
      },
      RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
      CapAdd: ["NET_ADMIN"],
      IpcMode: "shareable",
      Memory: 64 * 2 ** 20,
      ShmSize: 64 * 2 ** 20,
    },
    NetworkingConfig: {
      EndpointsConfig: { "1_back": { Aliases: ["one"], MacAddress: "02:42:ac:11:00:02" } },
    },
  });
  expect(join).toEqual([
    {
      network: "1_front",
      endpoint: { Aliases: ["one", "web"], IPAMConfig: { IPv4Address: "172.30.0.5" } },
    },
    { network: "supervisor0", endpoint: { Aliases: [] } },
  ]);
});

test("the bridge to the agent is never a container's first network, which gives the default route", () => {
  const { options, join } = toCreateOptions({
    ...plainSpec,
    networks: { supervisor0: endpoint, "1_default": endpoint, zebra: endpoint },
  });
  expect(options.HostConfig.NetworkMode).toBe("1_default");
  expect(join.map(({ network }) => network)).toEqual(["zebra", "supervisor0"]);
});

describe("an inspected container", () => {
  const id = "0123456789ab".padEnd(64, "0");
  const inspected = {
    Id: id,
    Name: "/one_1_10_c1",
    Created: "2026-01-01T00:00:00.123456789Z",
    Image: imageId,
    State: {
      Status: "running",
      ExitCode: 0,
      Error: "",
      StartedAt: "2026-01-01T00:00:01.5Z",
      FinishedAt: "0001-01-01T00:00:00Z",
    },
    Config: {
      Labels: {
        "io.balena.app-id": "7",
        "io.balena.app-uuid": "u7",
        "io.balena.service-id": "5",
        "io.balena.service-name": "one",
      },
    },
    HostConfig: {},
    NetworkSettings: null,
  };
  const of = (more: object): Container | undefined => fromInspection(Inspection.parse({ ...inspected, ...more }));

  test("is read together with its labels", () => {
    expect(of({})).toMatchObject({
      id,
      name: "one_1_10_c1",
      appId: 7,
      appUuid: "u7",
      service: "one",
      serviceId: 5,
      state: "running",
      exitCode: 0,
      error: "",
      createdAt: "2026-01-01T00:00:00.123456789Z",
      startedAt: Date.parse("2026-01-01T00:00:01.5Z"),
      finishedAt: 0,
      restarts: 0,
      addresses: {},
    });
  });

  test("has the addresses that it was given, which are no part of its definition", () => {
    const Networks = {
      "1_default": { IPAddress: "172.18.0.2", GlobalIPv6Address: "fd00::2" },
      "1_six": { IPAddress: "", GlobalIPv6Address: "fd01::2" },
      "1_off": { IPAddress: "", GlobalIPv6Address: "" },
    };
    const bare = { "1_default": {}, "1_six": {}, "1_off": {} };
    const found = of({ NetworkSettings: { Networks } });
    expect(found?.addresses).toEqual({ "1_default": "172.18.0.2", "1_six": "fd01::2" });
    expect(found?.spec).toEqual(of({ NetworkSettings: { Networks: bare } })?.spec);
  });

  test("with an almost empty inspection is read with defaults", () => {
    expect(of({})?.spec).toEqual({
      image: imageId,
      command: [],
      entrypoint: [],
      environment: {},
      labels: inspected.Config.Labels,
      user: "",
      workingDir: "",
      stopSignal: "SIGTERM",
      hostname: "",
      healthcheck: null,
      restart: { name: "no", retries: 0 },
      ports: [],
      mounts: [],
      networkMode: "networks",
      networks: {},
      settings: {},
    } satisfies ContainerSpec);
  });

  test.each<[object | null]>([
    [null],
    [{}],
    [{ "io.balena.service-name": "one" }],
    [{ "io.balena.app-id": "7" }],
    [{ "io.balena.app-id": "seven", "io.balena.service-name": "one" }],
    [{ "io.balena.app-id": "7", "io.balena.service-name": "" }],
  ])("with the labels %j is not ours", (Labels) => {
    expect(of({ Config: { Labels } })).toBeUndefined();
  });

  test("without a uuid label has its application's id as the uuid", () => {
    const Labels = { "io.balena.app-id": "7", "io.balena.service-name": "one" };
    expect(of({ Config: { Labels } })).toMatchObject({ appUuid: "7", serviceId: 0 });
  });

  test.each(["created", "running", "paused", "restarting", "removing", "exited", "dead"])("may be %s", (Status) => {
    expect(of({ State: { Status } })?.state).toBe(Status);
  });

  test("in an unknown state counts as dead", () => {
    expect(of({ State: { Status: "levitating" } })?.state).toBe("dead");
  });

  test.each([
    ["healthy", { health: "healthy" }],
    ["unhealthy", { health: "unhealthy" }],
    ["starting", { health: "starting" }],
  ])("may be %s", (Status, expected) => {
    expect(of({ State: { Status: "running", Health: { Status } } })).toMatchObject(expected);
  });

  test.each([[undefined], [null], [{ Status: "none" }], [{ Status: "" }]])("with the health %j has none", (Health) => {
    expect(of({ State: { Status: "running", Health } })).not.toHaveProperty("health");
  });

  test.each(["0001-01-01T00:00:00Z", "", null, undefined])("with the start time %j has never started", (StartedAt) => {
    expect(of({ State: { Status: "created", StartedAt } })?.startedAt).toBe(0);
  });

  test("has the time of its last end", () => {
    expect(of({ State: { Status: "exited", FinishedAt: "2026-01-01T00:00:02Z" } })?.finishedAt).toBe(
      Date.parse("2026-01-01T00:00:02Z"),
    );
  });

  test("has the reason of a failed start", () => {
    expect(of({ State: { Status: "created", ExitCode: 128, Error: "no such device" } })).toMatchObject({
      exitCode: 128,
      error: "no such device",
    });
  });

  test.each([
    ["", "no"],
    ["no", "no"],
    ["always", "always"],
    ["unless-stopped", "unless-stopped"],
    ["on-failure", "on-failure"],
    [null, "no"],
  ])("with the restart policy %j has %j", (Name, name) => {
    const HostConfig = { RestartPolicy: { Name, MaximumRetryCount: 2 } };
    expect(of({ HostConfig })?.spec.restart).toEqual({ name, retries: 2 });
  });

  test("has variables with any value", () => {
    const Config = { ...inspected.Config, Env: ["A=1", "B=x=y", "C=", "D=two\nlines", "E"] };
    expect(of({ Config })?.spec.environment).toEqual({ A: "1", B: "x=y", C: "", D: "two\nlines", E: "" });
  });

  test("has aliases without its own short id", () => {
    const Networks = {
      "1_default": { Aliases: ["two", "one", "0123456789ab"], IPAMConfig: { IPv4Address: "172.30.0.5" } },
    };
    expect(of({ NetworkSettings: { Networks } })?.spec.networks).toEqual({
      "1_default": { ...endpoint, aliases: ["one", "two"], ipv4: "172.30.0.5" },
    });
  });

  test("with an entrypoint that is a string has a list of one", () => {
    const Config = { ...inspected.Config, Entrypoint: "/entry" };
    expect(of({ Config })?.spec.entrypoint).toEqual(["/entry"]);
  });
});

describe("an inspected image", () => {
  test("has the defaults of its containers", () => {
    const Config = {
      Cmd: ["serve"],
      Entrypoint: ["/entry"],
      Env: ["PATH=/bin", "A=b=c"],
      Labels: { a: "1" },
      User: "node",
      WorkingDir: "/srv",
      StopSignal: "SIGINT",
      Healthcheck: { Test: ["CMD", "x"], Interval: 1, Timeout: 2, StartPeriod: 3, Retries: 4 },
      ExposedPorts: { "80/tcp": {} },
    };
    expect(fromImageInspection(ImageInspection.parse({ Id: imageId, Config }))).toEqual({
      command: ["serve"],
      entrypoint: ["/entry"],
      environment: { PATH: "/bin", A: "b=c" },
      labels: { a: "1" },
      user: "node",
      workingDir: "/srv",
      stopSignal: "SIGINT",
      healthcheck: { test: ["CMD", "x"], interval: 1, timeout: 2, startPeriod: 3, retries: 4 },
    } satisfies ImageConfig);
  });

  test.each([
    [{}],
    [{ Config: null }],
    [{ Config: {} }],
    [{ Config: { Cmd: null, Entrypoint: null, Env: null, Labels: null, Healthcheck: { Test: ["NONE"] } } }],
  ])("may have no settings: %j", (inspection) => {
    expect(fromImageInspection(ImageInspection.parse(inspection))).toEqual({ ...plainImage, command: [] });
  });
});
