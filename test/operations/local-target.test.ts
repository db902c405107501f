import { expect, test } from "vitest";
import { parseLocalTarget } from "../../core/compose/target-state.ts";
import { toLocalTarget } from "../../core/operations/local-target.ts";
import { facts } from "../compose/read.ts";

type Options = Parameters<typeof toLocalTarget>[2];

const faultsOf = async (composition: Readonly<Record<string, unknown>>, project = "weather", options: Options = {}) => {
  const result = await toLocalTarget(composition, project, options);
  return result.ok ? [] : result.faults;
};

async function targetOf(composition: Readonly<Record<string, unknown>>, project = "weather", options: Options = {}) {
  const result = await toLocalTarget(composition, project, options);
  if (!result.ok) throw new Error(result.faults.join("\n"));
  const parsed = parseLocalTarget(result.body, facts, "kitchen");
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  return { ...parsed, local: result.body.local, ownWarnings: result.warnings, powers: result.powers };
}

test("a device accepts the composition as one application with the project's name", async () => {
  const { target, warnings, ownWarnings, powers } = await targetOf({
    services: {
      web: {
        image: "nginx",
        environment: ["MODE=slow", "RATE=5"],
        labels: ["colour=red"],
        ports: ["80:8080"],
        volumes: ["data:/data"],
        expose: ["8080"],
        "x-note": "ours",
        privileged: true,
        depends_on: { db: { condition: "service_healthy" } },
      },
      db: { image: "redis:7", environment: { DEBUG: true, LEVEL: 3, NONE: null } },
    },
    networks: { default: null },
    volumes: { data: null },
  });
  expect(warnings).toEqual([]);
  expect(ownWarnings).toEqual([]);
  expect(powers).toEqual({ web: ["privileged"] });
  expect(target).toMatchObject({ name: "kitchen", config: {}, apps: [{ name: "weather" }] });
  const [app] = target.apps;
  const byName = Object.fromEntries(app?.services.map((service) => [service.name, service]) ?? []);
  expect(byName).toMatchObject({
    web: {
      image: { name: "nginx:latest" },
      running: true,
      dependsOn: [{ service: "db", condition: "service_healthy" }],
      config: { environment: { MODE: "slow", RATE: "5" }, labels: { colour: "red" }, settings: { privileged: true } },
    },
    db: { image: { name: "redis:7" }, config: { environment: { DEBUG: "true", LEVEL: "3" } } },
  });
});

test("ids do not change when services are added", async () => {
  const ids = async (names: readonly string[]) => {
    const { target } = await targetOf({
      services: Object.fromEntries(names.map((name) => [name, { image: `${name}:1` }])),
    });
    return new Map(target.apps[0]?.services.map(({ name, serviceId, imageId }) => [name, [serviceId, imageId]]));
  };
  const [before, after] = [await ids(["web", "db"]), await ids(["api", "db", "web"])];
  expect(after.get("web")).toEqual(before.get("web"));
  expect(after.get("db")).toEqual(before.get("db"));
  expect(after.get("api")).not.toEqual(before.get("db"));
});

test("another composition has another commit, which says nothing of the values of variables and secrets", async () => {
  const commitOf = async (web: object, more: object = {}) => {
    const { target } = await targetOf({ services: { web: { image: "web:1", ...web } }, ...more });
    return target.apps[0]?.commit;
  };
  const secret = (content: string) => ({ secrets: { password: { content } } });
  const plain = await commitOf({});
  expect(plain).toMatch(/^[0-9a-f]{12}$/);
  expect(await commitOf({})).toBe(plain);
  for (const [web, more] of [
    [{ image: "web:2" }, {}],
    [{ command: "serve" }, {}],
    [{ environment: { PIN: "1" } }, {}],
    [{}, secret("1234")],
  ] as const)
    expect(await commitOf(web, more)).not.toBe(plain);
  expect(await commitOf({ environment: { PIN: "1" } })).toBe(await commitOf({ environment: ["PIN=2"] }));
  expect(await commitOf({}, secret("1234"))).toBe(await commitOf({}, secret("5678")));
});

test("the name, the config and other projects of the device stay", async () => {
  const one = { services: { web: { image: "one:1" } } };
  const first = await targetOf(one, "one", { before: { name: "porch", config: { SUPERVISOR_DELTA: "1" }, apps: {} } });
  const second = await targetOf(one, "two", { before: first.local });
  expect(second.target).toMatchObject({ name: "porch", config: { SUPERVISOR_DELTA: "1" } });
  expect(second.target.apps.map(({ name }) => name).toSorted()).toEqual(["one", "two"]);
  const changed = await targetOf({ services: { web: { image: "one:2" } } }, "one", { before: second.local });
  const images = changed.target.apps.map(({ name, services }) => [name, services[0]?.image.name]);
  expect(Object.fromEntries(images)).toEqual({ one: "one:2", two: "one:1" });
});

test.each<readonly [string, Readonly<Record<string, unknown>>, readonly unknown[]]>([
  [
    "something to build",
    { services: { web: { build: ".", image: "web:1" } } },
    [
      "services.web.build: images are not built here; build it with docker compose build or docker build, then name it with image, without build; or use balena push",
    ],
  ],
  ["no image", { services: { web: {} } }, ['services.web.image: expected an image such as "registry/name:tag"']],
  [
    "a misspelled field",
    { services: { web: { image: "web:1", prots: ["80:80"] } } },
    ['services.web.prots: not supported; did you mean "ports"?'],
  ],
  [
    "a port that is none",
    { services: { web: { image: "web:1", ports: ["eighty"] } } },
    [expect.stringMatching(/^services\.web\.ports\[0\]: expected a port .*, but got "eighty"$/)],
  ],
  [
    "a variable whose name an engine's shell cannot use",
    { services: { web: { image: "web:1", environment: { "a.b": "secret" } } } },
    [
      'services.web.environment.a.b: expected a variable name: a letter or _, then letters, digits and _, but got "a.b"',
    ],
  ],
  [
    "two services on one port",
    { services: { a: { image: "a:1", ports: ["80:80"] }, b: { image: "b:1", ports: ["80:81"] } } },
    ["services.b.ports: port 80/tcp of the host is published by a, too"],
  ],
])("%s is a fault with its path", async (_, composition, faults) => {
  expect(await faultsOf(composition)).toEqual(faults);
});

test("a part that is not supported is left out if this is allowed", async () => {
  const composition = { services: { web: { image: "web:1", deploy: { replicas: 2 } } } };
  expect(await faultsOf(composition)).toEqual(["services.web.deploy.replicas: not supported"]);
  const { warnings, ownWarnings } = await targetOf(composition, "weather", { allowUnsupported: true });
  expect(ownWarnings).toEqual(["services.web.deploy.replicas: not supported"]);
  expect(warnings).toEqual([]);
});

test.each(["", "My Project", "-x"])("%j is no project name", async (project) => {
  expect(await faultsOf({ services: {} }, project)).toEqual([
    `project name: expected a lowercase letter or digit, then at most 254 lowercase letters, digits, _ and -, but got ${JSON.stringify(project)}`,
  ]);
});

test("warnings of the device have the paths of the compose file, and are those of the command", async () => {
  const labels = { "io.balena.update.windows": "02:00-04:00" };
  const composition = { services: { web: { image: "web:1", labels, networks: ["front"] } } };
  const result = await toLocalTarget(composition, "weather");
  if (!result.ok) throw new Error(result.faults.join("\n"));
  const onDevice = parseLocalTarget(result.body, facts, "kitchen");
  expect(onDevice.ok && onDevice.warnings.map(result.inTheFile)).toEqual(result.warnings);
  expect(result.warnings).toHaveLength(2);
  expect(result.inTheFile("local.apps.1.services.1.labels: of another application")).toBe(
    "local.apps.1.services.1.labels: of another application",
  );
});
