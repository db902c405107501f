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

/** The first row that fits a file counts. */
const rules: readonly Rule[] = [
  {
    from: ["core/model/"],
    may: ["core/model/"],
    because: "the nouns depend on nothing",
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
    from: ["core/reconcile/plan", "core/reconcile/gate.ts", "core/reconcile/step.ts", "core/reconcile/backoff.ts"],
    may: [
      ...[...pure, "core/reconcile/plan", "core/reconcile/gate.ts", "core/reconcile/step.ts"],
      "core/reconcile/current.ts",
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
    from: ["core/fleet/"],
    may: ["core/fleet/", "core/api/cloud/", ...pure, "zod"],
    because: "the cloud's decisions are pure: over values of the device API",
  },
  {
    from: ["core/"],
    may: ["core/", "zod", "itty-router"],
    because: "core runs anywhere",
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
    from: [
      "runtimes/worker/relay/device-session.ts",
      "runtimes/worker/logs/device-logs.ts",
      "runtimes/worker/directory/directory.ts",
    ],
    may: ["core/relay/", "core/fleet/", "core/http/body.ts", "runtimes/worker/", "zod", "cloudflare:workers"],
    because: "only the Durable Objects are made of the platform",
  },
  {
    from: ["runtimes/worker/"],
    may: [
      ...["core/relay/", "core/api/", "core/fleet/", "core/model/", "core/http/"],
      ...["runtimes/worker/", "zod", "itty-router"],
    ],
    because: "the Worker runs where there is neither Node nor a device",
  },
  {
    from: ["runtimes/node/engine/docker-engine.ts"],
    may: ["core/", "runtimes/node/", "dockerode", "zod"],
    because: "only the engine's adapter speaks to Docker",
  },
  {
    from: ["runtimes/node/"],
    may: ["core/", "hardware/", "runtimes/node/", "node:", "zod", "yaml", "@hono/node-server"],
    because: "the runtime assembles what the others are",
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
    else if (path.endsWith(".ts")) yield path;
  }
}

const files = ["core", "hardware", "runtimes/node", "runtimes/cli", "runtimes/worker"].flatMap((folder) => [
  ...sources(folder),
]);

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
