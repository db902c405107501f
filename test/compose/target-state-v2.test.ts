import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { prerequisites } from "../../core/compose/target-checks.ts";
import { parseLocalTarget } from "../../core/compose/target-state.ts";
import type { App } from "../../core/model/target.ts";
import { body, entry, facts, faultsOf, read } from "./read.ts";

/** The body of `POST /v2/local/target-state`. */

const parse = (value: unknown) => parseLocalTarget(value, facts, "before");

const application = (fields: object = {}): object => ({
  local: { apps: { "1": { name: "fleet", commit: "c1", releaseId: 10, services: { "1": entry() }, ...fields } } },
});

/** The reference implementation accepted each of these. */
describe("a target state is accepted with", () => {
  test.each<[string, object]>([
    ["an application without a commit", application({ commit: undefined })],
    ["a commit of no letters", application({ commit: "" })],
    ["a commit that is a number", application({ commit: 5 })],
    ["a release with the id 0", application({ releaseId: 0 })],
    ["a release's id as text", application({ releaseId: "10" })],
    ["an application with the name of no letters", application({ name: "" })],
    ["an application without services", application({ services: undefined })],
    ["services that are an empty list", application({ services: [] })],
    ["neither volumes nor networks", application({ volumes: undefined, networks: undefined })],
    ["an application with the id 0", { local: { apps: { "0": { name: "a", releaseId: 1 } } } }],
    ["an image's id as text", body({ "1": entry({ imageId: "1" }) })],
    ["a service that does not say whether it runs", body({ "1": entry({ running: undefined }) })],
    ["a label with dots and dashes", body({ "1": entry({ labels: { "io.x-y": "1" } }) })],
    ["a contract that asks for nothing", body({ "1": entry({ contract: { foo: 1 } }) })],
    ["no name and no config", { local: { apps: {} } }],
    ["a name of no letters", { local: { name: "", config: {}, apps: {} } }],
    ["a config of null", { local: { name: "x", config: null, apps: {} } }],
    ["a config variable that nobody knows", { local: { config: { FOO: "1" }, apps: {} } }],
    ["what else may stand beside", { local: { apps: {} }, dependent: { apps: [], devices: [] }, force: true }],
  ])("%s", (_, value) => {
    expect(faultsOf(value)).toEqual([]);
  });
});

const digits = "expected an id (digits) as key";
const whole = "expected a whole number of 0 or more";
const name = "expected a name: a letter or digit, then letters, digits, _, . and -";
const image = 'expected an image such as "registry/name:tag"';
const variable = "expected a variable name: a letter or _, then letters, digits and _";
const all = 'expected an object of applications; to remove all of them send "apps": {}';

describe("a target state is refused with every fault and its path:", () => {
  test.each<[unknown, readonly string[]]>([
    [undefined, ["expected an object, but got nothing"]],
    [null, ["expected an object, but got null"]],
    [[], ["expected an object, but got []"]],
    ["text", ['expected an object, but got "text"']],
    // The reference implementation reads each of the next as "remove everything".
    [{}, ["local: expected an object, but got nothing"]],
    [{ local: null }, ["local: expected an object, but got null"]],
    [{ local: "x" }, ['local: expected an object, but got "x"']],
    [{ local: {} }, [`local.apps: ${all}, but got nothing`]],
    [{ local: { name: "x", config: {} } }, [`local.apps: ${all}, but got nothing`]],
    [{ local: { apps: null } }, [`local.apps: ${all}, but got null`]],
    [{ local: { apps: [] } }, [`local.apps: ${all}, but got []`]],
    [
      { "0123456789abcdef0123456789abcdef": { name: "x", config: {}, apps: {} } },
      ["local: expected an object, but got nothing"],
    ],
    // The next three crash the reference implementation.
    [{ local: { apps: { "1": null } } }, ["local.apps.1: expected an object, but got null"]],
    [{ local: { apps: { abc: {} } } }, [`local.apps.abc: ${digits}, but got "abc"`]],
    [body({ "1": null }), ["local.apps.1.services.1: expected an object, but got null"]],
    [{ local: { apps: "x" } }, [`local.apps: ${all}, but got "x"`]],
    [{ local: { apps: { "1": "x" } } }, ['local.apps.1: expected an object, but got "x"']],
    [{ local: { apps: { "-1": { name: "a", releaseId: 1 } } } }, [`local.apps.-1: ${digits}, but got "-1"`]],
    [{ local: { name: 5, apps: {} } }, ["local.name: expected a string, but got 5"]],
    [{ local: { name: "a\nb", apps: {} } }, ['local.name: expected a name without line breaks, but got "a\\nb"']],
    [{ local: { config: [], apps: {} } }, ["local.config: expected an object, but got []"]],
    [{ local: { config: { A: 600000 }, apps: {} } }, ["local.config.A: expected a string, but got 600000"]],
    [{ local: { config: { A: true }, apps: {} } }, ["local.config.A: expected a string, but got true"]],
    [{ local: { config: { A: null }, apps: {} } }, ["local.config.A: expected a string, but got null"]],
    [
      { local: { config: { "bad key": "1" }, apps: {} } },
      [
        'local.config.bad key: expected a config variable name: a letter, then letters, digits, _ and :, but got "bad key"',
      ],
    ],
    [application({ name: undefined }), ["local.apps.1.name: expected a string, but got nothing"]],
    [application({ releaseId: undefined }), [`local.apps.1.releaseId: ${whole}, but got nothing`]],
    [application({ releaseId: "abc" }), [`local.apps.1.releaseId: ${whole}, but got "abc"`]],
    [application({ releaseId: -1 }), [`local.apps.1.releaseId: ${whole}, but got -1`]],
    [application({ releaseId: 1.5 }), [`local.apps.1.releaseId: ${whole}, but got 1.5`]],
    [application({ services: "x" }), ['local.apps.1.services: expected an object, but got "x"']],
    [application({ services: { abc: entry() } }), [`local.apps.1.services.abc: ${digits}, but got "abc"`]],
    [application({ volumes: [] }), ["local.apps.1.volumes: expected an object, but got []"]],
    [body({ "1": entry({ image: undefined }) }), ["local.apps.1.services.1.image: expected a string, but got nothing"]],
    [body({ "1": entry({ image: 5 }) }), ["local.apps.1.services.1.image: expected a string, but got 5"]],
    [body({ "1": entry({ image: "" }) }), [`local.apps.1.services.1.image: ${image}, but got ""`]],
    [body({ "1": entry({ image: "a b" }) }), [`local.apps.1.services.1.image: ${image}, but got "a b"`]],
    [
      body({ "1": entry({ serviceName: undefined }) }),
      ["local.apps.1.services.1.serviceName: expected a string, but got nothing"],
    ],
    [
      body({ "1": entry({ serviceName: "bad name!" }) }),
      [`local.apps.1.services.1.serviceName: ${name}, but got "bad name!"`],
    ],
    [body({ "1": entry({ serviceName: "-a" }) }), [`local.apps.1.services.1.serviceName: ${name}, but got "-a"`]],
    [body({ "1": entry({ imageId: undefined }) }), [`local.apps.1.services.1.imageId: ${whole}, but got nothing`]],
    [body({ "1": entry({ imageId: "abc" }) }), [`local.apps.1.services.1.imageId: ${whole}, but got "abc"`]],
    [
      body({ "1": entry({ running: "yes" }) }),
      ['local.apps.1.services.1.running: expected true or false, but got "yes"'],
    ],
    [body({ "1": entry({ contract: null }) }), ["local.apps.1.services.1.contract: expected an object, but got null"]],
    [
      body({ "1": entry({ labels: undefined }) }),
      ["local.apps.1.services.1.labels: expected an object, but got nothing"],
    ],
    [body({ "1": entry({ labels: { a: 1 } }) }), ["local.apps.1.services.1.labels.a: expected a string, but got 1"]],
    [
      body({ "1": entry({ labels: { "a b": "1" } }) }),
      ['local.apps.1.services.1.labels.a b: expected a label name without spaces and quotes, but got "a b"'],
    ],
    [body({ "1": entry({ environment: undefined }) }), ["local.apps.1.services.1.environment: expected an object"]],
    [body({ "1": entry({ environment: null }) }), ["local.apps.1.services.1.environment: expected an object"]],
    [
      body({ "1": entry({ environment: { "A B": "1" } }) }),
      [`local.apps.1.services.1.environment.A B: ${variable}, but got "A B"`],
    ],
    [
      body({ "1": entry(), "2": entry({ imageId: 2 }) }),
      ['local.apps.1.services.2: expected each service once, but "one" is there twice'],
    ],
    [
      body({ "1": entry({ ports: ["abc"], tty: "maybe" }), "2": entry({ serviceName: "two", imageId: -1 }) }),
      [
        'local.apps.1.services.1.ports[0]: expected a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp", but got "abc"',
        'local.apps.1.services.1.tty: expected true or false, but got "maybe"',
        `local.apps.1.services.2.imageId: ${whole}, but got -1`,
      ],
    ],
  ])("%j", (value, faults) => {
    expect(faultsOf(value)).toEqual(faults);
  });

  test.each([[true], [{}], [["c1"]]])("a commit of %j", (commit) => {
    const faults = faultsOf(application({ commit }));
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^local\.apps\.1\.commit: expected .*, but got /);
  });

  test("a name that is too long is cut in the message", () => {
    const [fault] = faultsOf({ local: { name: "n".repeat(256), apps: {} } });
    expect(fault).toMatch(/^local\.name: .*255 characters, but got "n{78}…$/);
  });

  test("a host name and ports of a service in another service's network", () => {
    const two = entry({ serviceName: "two", imageId: 2, network_mode: "service:one", hostname: "x", ports: ["80:80"] });
    const [fault, ...others] = faultsOf(body({ "1": entry(), "2": two }));
    expect(others).toEqual([]);
    expect(fault).toContain("two has network_mode service:one: expected no hostname, ports");
  });

  test("two applications whose containers would have the same name", () => {
    const one = { name: "a", commit: "c1", releaseId: 10, services: { "1": entry() } };
    const faults = faultsOf({ local: { apps: { "1": one, "2": one } } });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain("one_1_10_c1");
  });
});

describe("a message never shows a variable's value", () => {
  const secret = "hunter2";

  test.each<[string, unknown]>([
    ["a value that is no text", body({ "1": entry({ environment: { A: { B: secret } } }) })],
    ["a list of variables", body({ "1": entry({ environment: [`A=${secret}`] }) })],
    ["one text of variables", body({ "1": entry({ environment: `A=${secret}` }) })],
    ["a bad name", body({ "1": entry({ environment: { "A-B": secret } }) })],
    ["a value within a name", body({ "1": entry({ environment: { [`A=${secret}`]: "" } }) })],
    ["services that are a list", application({ services: [{ environment: { A: secret } }] })],
    ["a service that is a list", body({ "1": [{ environment: { A: secret } }] })],
    ["applications that are a list", { local: { apps: [{ services: { "1": { environment: { A: secret } } } }] } }],
    ["an application that is a list", { local: { apps: { "1": [{ environment: { A: secret } }] } } }],
    ["a device that is a list", { local: [{ apps: { "1": { environment: { A: secret } } } }] }],
    ["a body that is a list", [{ local: { environment: { A: secret } } }]],
  ])("%s", (_, value) => {
    const faults = faultsOf(value);
    expect(faults).not.toEqual([]);
    expect(faults.join("\n")).not.toContain(secret);
  });

  test.each<[string, object]>([
    ["labels", { labels: { a: [secret] } }],
    ["one text of labels", { labels: `a=${secret}` }],
    ["a label's name", { labels: { [`a =${secret}`]: "" } }],
    ["a command that does not end", { command: `psql 'postgres://app:x@db/${secret}` }],
    ["an entrypoint", { entrypoint: [secret, {}] }],
    ["a healthcheck", { healthcheck: `redis-cli -a ${secret} ping` }],
    ["a healthcheck's command", { healthcheck: { test: [secret, 3] } }],
  ])("or the content of %s", (_, fields) => {
    const faults = faultsOf(body({ "1": entry(fields) }));
    expect(faults).not.toEqual([]);
    expect(faults.join("\n")).not.toContain(secret);
  });

  test("or the options of a volume's driver", () => {
    const volumes = { share: { driver_opts: [{ o: `username=a,password=${secret}` }] } };
    const faults = faultsOf(body({ "1": entry() }, { volumes }));
    expect(faults).toHaveLength(1);
    expect(faults[0]).not.toContain(secret);
  });

  test("or a password in an image's reference", () => {
    const faults = faultsOf(body({ "1": entry({ image: `user:${secret}@registry.example.com/UP PER` }) }));
    expect(faults).toHaveLength(1);
    expect(faults[0]).not.toContain(secret);
  });
});

test("any value is accepted or refused, and nothing is thrown", () => {
  const anything = fc.jsonValue({ maxDepth: 4 });
  const service = fc.record(
    {
      serviceName: fc.constantFrom("one", "two", 3),
      imageId: anything,
      image: anything,
      labels: anything,
      ports: anything,
    },
    { requiredKeys: [] },
  );
  const app = fc.record(
    {
      name: anything,
      releaseId: fc.oneof(fc.constant(1), anything),
      services: fc.oneof(anything, fc.dictionary(fc.constantFrom("1", "2", "x"), fc.oneof(service, anything))),
      networks: anything,
      volumes: anything,
    },
    { requiredKeys: [] },
  );
  const value = fc.oneof(
    anything,
    fc.record({ local: anything }),
    fc.record({ local: fc.record({ apps: fc.dictionary(fc.constantFrom("1", "2"), fc.oneof(app, anything)) }) }),
  );
  fc.assert(
    fc.property(value, (sent) => {
      const parsed = parse(sent);
      expect(parsed.ok || parsed.faults.length > 0).toBe(true);
    }),
    { numRuns: 500 },
  );
});

describe("the device", () => {
  test("keeps its name if none is sent", () => {
    for (const local of [{ apps: {} }, { name: null, apps: {} }]) {
      const parsed = parse({ local });
      expect(parsed.ok && parsed.target.name).toBe("before");
    }
  });

  test("has the name that is sent", () => {
    const parsed = parse({ local: { name: "kitchen", apps: {} } });
    expect(parsed.ok && parsed.target.name).toBe("kitchen");
  });

  test.each([
    ["SUPERVISOR_LOCAL_MODE", "SUPERVISOR_LOCAL_MODE"],
    ["RESIN_SUPERVISOR_LOCAL_MODE", "SUPERVISOR_LOCAL_MODE"],
    ["BALENA_SUPERVISOR_LOCAL_MODE", "SUPERVISOR_LOCAL_MODE"],
    ["RESIN_HOST_CONFIG_gpio", "HOST_CONFIG_gpio"],
    ["SUPERVISOR_OVERRIDE_LOCK", "SUPERVISOR_OVERRIDE_LOCK"],
    ["OVERRIDE_LOCK", "SUPERVISOR_OVERRIDE_LOCK"],
    ["RESIN_OVERRIDE_LOCK", "SUPERVISOR_OVERRIDE_LOCK"],
    ["FOO", "FOO"],
  ])("has its config variable %s as %s", (sent, kept) => {
    const parsed = parse({ local: { config: { [sent]: "1" }, apps: {} } });
    expect(parsed.ok && parsed.target.config).toEqual({ [kept]: "1" });
  });
});

describe("an application", () => {
  test("has its id as its uuid, and its services in the order of their ids", () => {
    const { app } = read(
      body({ "20": entry({ serviceName: "b", imageId: 2 }), "3": entry({ serviceName: "a", imageId: "7" }) }),
    );
    expect(app).toMatchObject({ appId: 1, uuid: "1", name: "fleet", commit: "c1", releaseId: 10 });
    expect(app.services.map(({ name: service, serviceId, imageId }) => [service, serviceId, imageId])).toEqual([
      ["a", 3, 7],
      ["b", 20, 2],
    ]);
  });

  test("may be one of several", () => {
    const parsed = parse({
      local: {
        apps: {
          "1": { name: "a", releaseId: 1, services: { "1": entry() } },
          "2": { name: "b", releaseId: 2, services: { "1": entry() } },
        },
      },
    });
    expect(parsed.ok && parsed.target.apps.map((app) => [app.appId, app.name])).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  test("has a default network without a definition", () => {
    const { app, warnings } = read(body({ "1": entry() }));
    expect(Object.keys(app.networks)).toEqual(["default"]);
    expect(warnings).toEqual([]);
  });

  test("may define an unused network and volume", () => {
    const { app } = read(body({ "1": entry() }, { networks: { spare: {} }, volumes: { spare: {} } }));
    expect(Object.keys(app.networks).sort()).toEqual(["default", "spare"]);
    expect(Object.keys(app.volumes)).toEqual(["spare"]);
  });

  test.each([
    [undefined, true],
    [true, true],
    [false, false],
  ])("with `running: %j` has a service with running %j", (running, runs) => {
    expect(read(body({ "1": entry({ running }) })).app.services[0]?.running).toBe(runs);
  });
});

test("all warnings are reported together with their paths", () => {
  const { warnings } = read(
    body({
      "1": entry({ restart: "banana", expose: ["80"], depends_on: ["nope"], volumes: ["/etc:/etc", "data:/data"] }),
      "2": entry({ serviceName: "two", imageId: 2, networks: ["front"], secrets: ["x"] }),
    }),
  );
  expect(warnings).toEqual([
    "local.apps.1.services.1.expose: not supported, left out",
    'local.apps.1.services.1.restart: "banana" is none of no, always, on-failure[:N], unless-stopped; taken as always',
    "local.apps.1.services.1.volumes: host folders are not mounted (/etc), left out; use a volume or a feature label",
    'local.apps.1.services.1.depends_on: there is no service "nope" in this application, left out',
    'local.apps.1.services.2.secrets: there is no secret "x" with a content, left out',
    'local.apps.1.networks: "front" is used but not defined; made with default settings',
    'local.apps.1.volumes: "data" is used but not defined; made with default settings',
  ]);
});

test("a service waits for its dependencies and for services whose namespaces it uses", () => {
  const { app } = read(
    body({
      "1": entry({ depends_on: { two: { condition: "service_healthy" } }, network_mode: "container:three" }),
      "2": entry({ serviceName: "two", imageId: 2 }),
      "3": entry({ serviceName: "three", imageId: 3, ipc: "service:two" }),
    }),
  );
  const waits = (app: App, service: string) =>
    app.services.filter((one) => one.name === service).flatMap((one) => prerequisites(one, app));
  expect(waits(app, "one")).toEqual(["two", "three"]);
  expect(waits(app, "two")).toEqual([]);
  expect(waits(app, "three")).toEqual(["two"]);
});

describe("a large target state", () => {
  const chain = (count: number) =>
    body(
      Object.fromEntries(
        Array.from({ length: count }, (_, n) => [
          String(n + 1),
          entry({ serviceName: `s${n}`, imageId: n + 1, depends_on: n + 1 < count ? [`s${n + 1}`] : [] }),
        ]),
      ),
    );

  test("has at most 1000 services, in any order of dependencies", () => {
    expect(read(chain(1000)).app.services.length).toBe(1000);
    expect(faultsOf(chain(1001))).toEqual(["expected at most 1000 services, but got 1001"]);
  });

  test("has at most 100 applications", () => {
    const app = { name: "fleet", commit: "c1", releaseId: 10, services: {} };
    const apps = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [String(n + 1), app]));
    expect(faultsOf({ local: { apps: apps(100) } })).toEqual([]);
    expect(faultsOf({ local: { apps: apps(101) } })).toEqual(["expected at most 100 applications, but got 101"]);
  });

  test("has names of at most 255 characters", () => {
    expect(faultsOf(body({ "1": entry({ serviceName: "a".repeat(256) }) }))).toEqual([
      expect.stringMatching(/serviceName: expected a name of at most 255 characters, but got "a/),
    ]);
  });
});
