import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

interface Rule {
  /** Files that this row is about: folders, or beginnings of paths. */
  readonly from: readonly string[];
  /** What they may import: packages by name, our own files by the beginning of their path. */
  readonly may: readonly string[];
  readonly because: string;
}

const pure = ["core/model/", "core/compose/"];

const worker = (path: string) => `runtimes/worker/${path}`;

/** The first row that fits a file counts. */
const rules: readonly Rule[] = [
  {
    from: ["core/model/"],
    may: ["core/model/"],
    because: "the nouns depend on nothing",
  },
  {
    from: ["core/compose/yaml.ts"],
    may: ["core/model/", "yaml"],
    because: "only one file knows the parser of YAML, and loads it when a compose file is read",
  },
  {
    from: ["core/compose/"],
    may: [...pure, "zod", "shlex", "semver"],
    because: "translating compose words is pure",
  },
  {
    from: ["core/docker-api/"],
    may: [...pure, "core/docker-api/", "zod"],
    because: "the engine's JSON is translated without an engine",
  },
  {
    from: [
      ...["core/reconcile/plan", "core/reconcile/gate.ts", "core/reconcile/judge-gates.ts", "core/reconcile/step.ts"],
      ...["core/reconcile/backoff.ts", "core/reconcile/update-policy.ts"],
    ],
    may: [
      ...[...pure, "core/reconcile/plan", "core/reconcile/gate.ts", "core/reconcile/judge-gates.ts"],
      "core/reconcile/update-policy.ts",
      ...["core/reconcile/step.ts", "core/reconcile/current.ts"],
    ],
    because: "deciding cannot even name a port, so it can do nothing but decide",
  },
  {
    from: ["core/ports/"],
    may: ["core/model/", "core/ports/"],
    because: "what we need of the world is said in our own words",
  },
  {
    from: ["core/retry.ts"],
    may: ["core/model/", "core/ports/clock.ts"],
    because: "a retry needs time and chance, and nothing else of the world",
  },
  {
    from: ["core/events/events.ts"],
    may: ["core/model/", "core/ports/"],
    because: "what happens is stored and passed on, whatever it is",
  },
  {
    from: ["core/client/"],
    may: ["core/client/", "core/api/", "core/model/retry.ts", "core/ports/clock.ts"],
    because: "a browser loads it; of the endpoints it takes the types alone, which a test of its size shows",
  },
  {
    from: ["core/api/"],
    may: ["core/api/", "core/model/", "zod"],
    because: "the wire is described without behaviour",
  },
  {
    from: ["core/relay/"],
    may: ["core/relay/", "core/http/fetch.ts", "core/model/scope.ts", "zod"],
    because: "a socket carries requests, whatever they ask; the cloud's Worker is built of this too",
  },
  {
    from: ["core/cloud/"],
    may: [
      "core/cloud/",
      "core/api/",
      "core/events/events.ts",
      "core/model/",
      "core/ports/",
      "core/state/",
      "core/retry.ts",
      "zod",
    ],
    because: "the session with the cloud knows nothing of planning: it is given the applications as they are reported",
  },
  {
    from: ["core/fleet/"],
    may: ["core/fleet/", "core/api/cloud/", ...pure, "zod"],
    because: "the cloud's decisions are pure: over values of the device API",
  },
  {
    from: ["core/http/"],
    may: ["core/http/", "core/api/", "core/events/events.ts", "core/model/", "zod"],
    because:
      "requests are answered in the same way whatever is asked and whoever asks; the Worker is built of this too",
  },
  {
    from: ["core/events/"],
    may: ["core/events/", "core/model/", "core/ports/"],
    because: "readers of what happens change nothing",
  },
  {
    from: ["core/metrics/"],
    may: [
      ...["core/metrics/", "core/model/", "core/ports/", "core/events/events.ts", "core/api/cloud/report.ts"],
      ...["core/reconcile/status.ts", "core/reconcile/view.ts", "core/reconcile/step.ts", "core/reconcile/current.ts"],
    ],
    because: "figures are read from what others know, and change nothing",
  },
  {
    from: ["core/state/"],
    may: ["core/state/", "core/events/events.ts", "core/ports/", ...pure, "zod"],
    because: "what the agent remembers depends on nothing that it does",
  },
  {
    from: ["core/reconcile/status.ts"],
    may: ["core/reconcile/", "core/api/cloud/report.ts", "core/model/"],
    because: "a status is a word of the wire",
  },
  {
    from: ["core/reconcile/observe.ts"],
    may: [
      ...["current", "downloads", "preflights", "repeats"].map((name) => `core/reconcile/${name}.ts`),
      "core/model/",
      "core/ports/",
    ],
    because: "observing cannot name what the agent remembers, so it writes none of it",
  },
  {
    from: ["core/reconcile/"],
    may: ["core/reconcile/", "core/state/", "core/events/", "core/ports/", "core/retry.ts", ...pure],
    because: "reconciling knows neither HTTP nor the cloud",
  },
  {
    from: ["core/operations/local-target.ts"],
    may: ["core/fleet/release.ts", ...pure],
    because: "a compose file is read for a device as it is for a release",
  },
  {
    from: ["core/operations/"],
    may: ["core/operations/", "core/reconcile/", "core/state/", "core/events/", "core/ports/", ...pure],
    because: "an operation does not know by which wire it is called",
  },
  {
    from: ["core/handlers/"],
    may: [
      ...["core/handlers/", "core/api/", "core/http/", "core/operations/", "core/model/", "core/compose/masked.ts"],
      ...["core/reconcile/status.ts", "core/reconcile/view.ts", "core/reconcile/loop.ts", "core/state/"],
      ...["core/events/", "core/metrics/", "core/cloud/tags.ts", "core/ports/index.ts", "core/ports/proxy.ts"],
    ],
    because: "a handler joins input and context; the engine and the plan's steps are for operations",
  },
  {
    from: ["core/apps-report.ts"],
    may: ["core/api/cloud/report.ts", "core/cloud/release-images.ts", "core/reconcile/", "core/model/"],
    because: "the state report joins what was observed and the cloud's releases",
  },
  {
    from: ["core/embedded/"],
    may: ["core/embedded/", "core/supervisor.ts", "core/cloud/", "core/ports/", ...pure],
    because: "a device in memory is the supervisor with ports in memory",
  },
  {
    from: ["core/supervisor.ts", "core/index.ts"],
    may: ["core/"],
    because: "the parts are assembled in one place",
  },
  {
    from: ["hardware/bus.ts"],
    may: ["dbus-native"],
    because: "only the bus's adapter knows by which library",
  },
  {
    from: ["hardware/"],
    may: ["hardware/", "core/model/", "core/ports/", "node:"],
    because: "boards know no HTTP and no Docker",
  },
  {
    from: [worker("env.ts"), worker("database.ts")],
    may: [
      worker("directory/directory-rpc.ts"),
      worker("logs/device-logs-rpc.ts"),
      worker("relay/device-session-rpc.ts"),
    ],
    because: "bindings are named by what they promise, not by the Durable Objects behind them",
  },
  {
    from: [worker("auth/")],
    may: ["core/model/service-key.ts", worker("auth/"), worker("env.ts"), "zod"],
    because: "a credential is verified without knowing what it is used for",
  },
  {
    from: [
      worker("directory/directory-rpc.ts"),
      worker("logs/device-logs-rpc.ts"),
      worker("relay/device-session-rpc.ts"),
    ],
    may: [...["core/relay/frame.ts", "zod"], ...[worker("auth/grant.ts"), worker("directory/audit-entry.ts")]],
    because: "what an object promises its callers says nothing about how it is made",
  },
  {
    from: [worker("relay/")],
    may: [
      ...["core/api/", "core/http/", "core/model/", "core/relay/", "zod", "cloudflare:workers"],
      ...[worker("auth/"), worker("directory/audit-entry.ts"), worker("directory/directory-rpc.ts")],
      ...[worker("env.ts"), worker("http.ts"), worker("relay/")],
    ],
    because: "the relay calls the directory, and knows none of its tables",
  },
  {
    from: [worker("logs/")],
    may: [
      ...["core/api/cloud/", "core/fleet/log-lines.ts", "core/http/body.ts", "core/model/", "cloudflare:workers"],
      ...[worker("auth/"), worker("database.ts"), worker("env.ts"), worker("http.ts"), worker("logs/")],
    ],
    because: "the log of a device is an object of its own",
  },
  {
    from: [worker("directory/directory.ts")],
    may: [
      ...["core/http/fetch.ts", "core/relay/frame.ts", "cloudflare:workers"],
      ...[worker("auth/"), worker("database.ts"), worker("directory/"), worker("env.ts"), worker("http.ts")],
      ...[worker("relay/device-session-rpc.ts"), worker("routes.ts")],
    ],
    because: "the directory's object runs its routes",
  },
  {
    from: [worker("directory/")],
    may: [
      ...["core/api/", "core/fleet/", "core/model/", "zod"],
      ...[worker("auth/"), worker("database.ts"), worker("directory/"), worker("env.ts"), worker("http.ts")],
      worker("relay/device-session-rpc.ts"),
    ],
    because: "the tables are read and written without knowing which surface asks",
  },
  ...["admin/", "device-api/", "public-api/"].map((surface): Rule => ({
    from: [worker(surface)],
    may: [
      ...["core/api/", "core/fleet/", "core/http/", "core/model/", "zod"],
      ...(surface === "admin/" ? ["core/metrics/exposition.ts", "core/metrics/cloud-families.ts"] : []),
      ...[worker("auth/"), worker("database.ts"), worker("directory/"), worker("http.ts"), worker(surface)],
      worker("relay/device-session-rpc.ts"),
    ],
    because: "each surface stands alone: what two of them need is in the directory",
  })),
  {
    from: [worker("http.ts")],
    may: ["core/http/", worker("directory/")],
    because: "the form of requests and errors is the same for all surfaces",
  },
  {
    from: [worker("fleet-page.ts"), worker("html.d.ts")],
    may: ["core/http/page.ts", "runtimes/page/built/fleet.html"],
    because: "the page is a text, which the Worker does not look into",
  },
  {
    from: [worker("routes.ts"), worker("worker.ts")],
    may: ["core/http/", worker("")],
    because: "these assemble the Worker",
  },
  {
    from: ["runtimes/node/engine/docker-engine.ts", "runtimes/node/engine/volume-copies.ts"],
    may: ["core/", "runtimes/node/", "dockerode", "zod"],
    because: "only the engine's adapter speaks to Docker",
  },
  {
    from: ["runtimes/node/"],
    may: ["core/", "hardware/", "runtimes/node/", "node:", "zod", "yaml", "@hono/node-server"],
    because: "the runtime assembles what the others are",
  },
  {
    from: ["runtimes/page/fleet/"],
    may: ["runtimes/page/", "core/client/", "preact", "@preact/signals", "yaml"],
    because: "what only a cloud's page has; it reads compose files",
  },
  {
    from: ["runtimes/page/"],
    may: ["runtimes/page/", "core/client/", "core/api/path.ts", "core/model/show.ts", "preact", "@preact/signals"],
    because: "a browser loads it: of the device it knows the client, and shows what that says",
  },
  {
    from: ["runtimes/cli/"],
    may: ["core/", "hardware/", "runtimes/node/", "runtimes/cli/", "node:", "zod", "yaml"],
    because: "the commands are for a computer with Node; only they import the Node runtime",
  },
];

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.tsx?$/.test(path)) yield path;
  }
}

const files = ["core", "hardware", "runtimes/node", "runtimes/cli", "runtimes/page", "runtimes/worker"].flatMap(
  (folder) => [...sources(folder)],
);

const textOf = (file: string) => readFileSync(join(root, file), "utf8");

/** Comments may say what code may not. */
const codeOf = (file: string) => textOf(file).replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "");

function importsOf(file: string): string[] {
  const found = codeOf(file).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g);
  return [...found].map(([, name = ""]) =>
    name.startsWith(".") ? relative(root, join(root, file, "..", name)) : name,
  );
}

describe("who may import whom", () => {
  test.each(files)("%s", (file) => {
    const rule = rules.find(({ from }) => from.some((one) => file.startsWith(one)));
    const forbidden = importsOf(file).filter((name) => !rule?.may.some((one) => name === one || name.startsWith(one)));
    expect(forbidden, rule?.because).toEqual([]);
  });
});

test("only the engine's adapter speaks the engine's JSON", () => {
  const others = files.filter((file) => !/^(core\/docker-api|runtimes\/node\/engine)\//.test(file));
  const importing = others.filter((file) => importsOf(file).some((name) => name.startsWith("core/docker-api/")));
  const naming = others.filter((file) =>
    /\b(HostConfig|NetworkingConfig|IPAM(Config)?|DriverOpts)\b/.test(codeOf(file)),
  );
  expect([...importing, ...naming]).toEqual([]);
});

test("routes are made of lists of endpoints, of which the OpenAPI documents are made too", () => {
  // createDeviceRoutes takes the device's list, adminRoute and deviceRoute names of the cloud's.
  const makers = ["core/http/route.ts", "core/handlers/index.ts", worker("admin/route.ts")];
  expect(files.filter((file) => /\bcreateRoutes?\b/.test(codeOf(file))).toSorted()).toEqual(makers.toSorted());
});

test("only the Worker's Durable Objects import the platform", () => {
  const objects = ["directory/directory.ts", "logs/device-logs.ts", "relay/device-session.ts"].map(worker);
  expect(files.filter((file) => importsOf(file).includes("cloudflare:workers")).toSorted()).toEqual(objects);
});

test("no file imports itself through others, types included", () => {
  const imports = new Map(files.map((file) => [file, importsOf(file)] as const));
  // Files whose imports all lead out of the graph are removed until none is left, or only cycles and what imports them.
  for (let before = 0; before !== imports.size;) {
    before = imports.size;
    for (const [file, names] of imports) if (!names.some((name) => imports.has(name))) imports.delete(file);
  }
  expect([...imports.keys()]).toEqual([]);
});

describe("time and chance come through the clock", () => {
  test.each(files.filter((file) => file.startsWith("core/") && file !== "core/ports/clock.ts"))("%s", (file) => {
    expect(codeOf(file)).not.toMatch(
      /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|performance\.)/,
    );
  });
});

test("no `any`, and nothing that silences the compiler", () => {
  const silenced = files.filter((file) =>
    /\bas any\b|: any\b|<any>|@ts-ignore|@ts-expect-error|as unknown as/.test(codeOf(file)),
  );
  expect(silenced).toEqual([]);
});

test("the pages insert text alone, and store no key", () => {
  const inserting = files.filter(
    (file) =>
      file.startsWith("runtimes/page/") &&
      /dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|\bdocument\.(write|cookie)|eval\(/.test(
        codeOf(file),
      ),
  );
  expect(inserting).toEqual([]);
  const session = "runtimes/page/fleet/session.ts";
  expect(files.filter((file) => /sessionStorage/.test(codeOf(file)))).toEqual([session]);
  // What somebody signs in with is exchanged, and only what the cloud signs for the tab is kept.
  expect(codeOf(session).match(/\bkeep\((?!token: ).*?\)/g)).toEqual(["keep(token)", "keep(undefined)"]);
  expect(codeOf(session)).toMatch(/const \{ token \} = await admin\.createSession\(/);
  expect(files.filter((file) => /localStorage/.test(codeOf(file)))).toEqual(["runtimes/page/live/preferences.ts"]);
});

/** Names that GLOSSARY.md has replaced: alone, in a longer identifier, or in a sentence. */
const retired: Readonly<Record<string, string>> = {
  desk: "session",
  asker: "principal",
  newcomer: "registration",
  surroundings: "context",
  patience: "retry policy",
  setback: "transient error",
  outcast: "rejected field",
  culprit: "rejected field",
  vouched: "accepted field",
  planRevival: "plan… of what it does",
  "the original": "the reference implementation",
  inOurWords: "fromEngine…",
  inEngineWords: "toEngine…",
};

const pages = readdirSync(join(root, "docs"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => join("docs", name));

test.each(Object.entries(retired))("nothing is called %s any more: say %s", (word) => {
  const [first = ""] = word;
  const named = new RegExp(`(?:\\b${word}|${first.toUpperCase()}${word.slice(1)})s?(?![a-z])`);
  expect([...files, ...pages].filter((file) => named.test(textOf(file)))).toEqual([]);
});
