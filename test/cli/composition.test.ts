import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { readComposition } from "../../runtimes/cli/compose/composition.ts";

/** Reads `compose.yml` of these files. */
async function read(
  files: Readonly<Record<string, string | Buffer>>,
  { environment = {}, profiles = [] }: { environment?: Record<string, string>; profiles?: string[] } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-compose-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    const result = await readComposition(join(folder, "compose.yml"), { environment, profiles });
    return result.ok ? result.composition : result.faults.map((fault) => fault.replaceAll(`${folder}/`, ""));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("variables come from the shell, else from .env beside the file", async () => {
  const files = {
    "compose.yml": "services:\n  web: { image: 'web:${TAG}-${VARIANT}' }\n",
    ".env": "TAG=1\nVARIANT=slim\n",
  };
  expect(await read(files, { environment: { TAG: "2" } })).toEqual({ services: { web: { image: "web:2-slim" } } });
});

test("the project's name comes from COMPOSE_PROJECT_NAME, else from the file, else from its folder", async () => {
  const folder = join(mkdtempSync(join(tmpdir(), "fairlead-compose-")), "_My Board.2");
  mkdirSync(folder);
  const projectOf = async (text: string, environment: Record<string, string> = {}) => {
    writeFileSync(join(folder, "compose.yml"), text);
    const result = await readComposition(join(folder, "compose.yml"), { environment, profiles: [] });
    return result.ok ? result.project : result.faults;
  };
  try {
    expect(await projectOf("services: {}\n")).toBe("myboard2");
    expect(await projectOf("name: weather-$SITE\nservices: {}\n", { SITE: "north" })).toBe("weather-north");
    expect(await projectOf("name: weather\nservices: {}\n", { COMPOSE_PROJECT_NAME: "other" })).toBe("other");
    writeFileSync(join(folder, ".env"), "COMPOSE_PROJECT_NAME=fromfile\n");
    expect(await projectOf("name: weather\nservices: {}\n")).toBe("fromfile");
  } finally {
    rmSync(dirname(folder), { recursive: true });
  }
});

test("a variable that is nowhere is a fault with its path", async () => {
  expect(await read({ "compose.yml": "services:\n  web: { image: 'web:${TAG}' }\n" })).toEqual([
    "services.web.image: the variable TAG is not set: set it, put it into .env, or write ${TAG:-default}",
  ]);
});

test("the files of env_file are read in turn, and environment wins over them", async () => {
  const compose = [
    "services:",
    "  web:",
    "    image: web:1",
    "    env_file: [a.env, { path: more/b.env }, { path: none.env, required: false }]",
    "    environment: { C: own }",
  ].join("\n");
  const files = {
    "compose.yml": compose,
    "a.env": "A=1\nB=1\nC=1\n",
    "more/b.env": "# a comment\nB='2 $X'\nD=$A-$SHELL_ONLY\n",
  };
  expect(await read(files, { environment: { SHELL_ONLY: "s" } })).toEqual({
    services: { web: { image: "web:1", environment: { A: "1", B: "2 $X", C: "own", D: "1-s" } } },
  });
});

test("a file of env_file that is not there is a fault", async () => {
  expect(await read({ "compose.yml": "services:\n  web: { image: a, env_file: none.env }\n" })).toEqual([
    expect.stringMatching(/^services\.web\.env_file: none\.env cannot be read: ENOENT/),
  ]);
});

test("a name without a value has that of the shell", async () => {
  const files = {
    "compose.yml":
      "services:\n  web: { image: a, environment: [A, B=2] }\n  db: { image: b, environment: { A: , C: 3 } }\n",
  };
  expect(await read(files, { environment: { A: "1" } })).toEqual({
    services: {
      web: { image: "a", environment: { A: "1", B: "2" } },
      db: { image: "b", environment: { A: "1", C: 3 } },
    },
  });
  expect(await read(files)).toEqual([
    "services.web.environment: A has no value, and is not set where this command runs",
    "services.db.environment: A has no value, and is not set where this command runs",
  ]);
});

test("services with profiles are left out unless one of these is asked for", async () => {
  const files = {
    "compose.yml":
      "services:\n  web: { image: a }\n  shell: { image: '${NONE}', profiles: [debug] }\n  load: { image: c, profiles: [test, debug] }\n",
  };
  expect(await read(files)).toEqual({ services: { web: { image: "a" } } });
  expect(await read(files, { profiles: ["test"] })).toEqual({
    services: { web: { image: "a" }, load: { image: "c" } },
  });
  expect(await read(files, { profiles: ["*"], environment: { NONE: "n" } })).toEqual({
    services: { web: { image: "a" }, shell: { image: "n" }, load: { image: "c" } },
  });
});

test("what lies in other files is refused, with the way to write one file", async () => {
  const advice = "not read here; write one file with docker compose config > release.yml, and release that";
  expect(await read({ "compose.yml": "include: [b.yml]\nservices:\n  web: { extends: { service: base } }\n" })).toEqual(
    [`include: ${advice}`, `services.web.extends: ${advice}`],
  );
});

test("anchors and merge keys are those of YAML", async () => {
  const compose = "x-base: &base { restart: always }\nservices:\n  web: { <<: *base, image: a }\n";
  expect(await read({ "compose.yml": compose })).toEqual({
    "x-base": { restart: "always" },
    services: { web: { restart: "always", image: "a" } },
  });
});

test("what is no compose file is said, with its name", async () => {
  expect(await read({})).toEqual([expect.stringMatching(/^compose\.yml cannot be read: ENOENT/)]);
  expect(await read({ "compose.yml": "services: [" })).toEqual([expect.stringMatching(/^compose\.yml: /)]);
  expect(await read({ "compose.yml": "just a text" })).toEqual([
    "compose.yml: expected a compose file: an object with services, networks and volumes",
  ]);
  expect(await read({ "compose.yml": "services: { web: 3 }" })).toEqual([
    expect.stringMatching(/^services\.web: .*expected an object/),
  ]);
});

describe("configs and secrets", () => {
  const services = "services:\n  web: { image: a, configs: [conf], secrets: [psk, { source: key, mode: 0440 }] }\n";

  test("are read where the command runs, and only those that services use", async () => {
    const definitions =
      "configs:\n  conf: { content: 'site=${SITE}' }\n  spare: { file: none.conf }\n" +
      "secrets:\n  psk: { environment: PSK }\n  key: { file: ./more/key.bin }\n";
    const files = { "compose.yml": services + definitions, ".env": "PSK=hunter2\n", "more/key.bin": "k$EY\n" };
    expect(await read(files, { environment: { SITE: "north" } })).toEqual({
      services: { web: { image: "a", configs: ["conf"], secrets: ["psk", { source: "key", mode: 0o440 }] } },
      configs: { conf: { content: "site=north" } },
      secrets: { psk: { content: "hunter2" }, key: { content: "k$EY\n" } },
    });
  });

  test("that are not text are sent as base64", async () => {
    const files = {
      "compose.yml": "services: { web: { image: a, secrets: [key] } }\nsecrets: { key: { file: key } }\n",
      key: Buffer.from([0, 255]),
    };
    expect(await read(files)).toMatchObject({ secrets: { key: { base64: "AP8=" } } });
  });

  test.each<readonly [string, RegExp]>([
    ["{ file: none.txt }", /^secrets\.psk\.file: none\.txt cannot be read: ENOENT/],
    ["{ file: . }", /^secrets\.psk\.file: expected a file, but /],
    ["{ file: large }", /^secrets\.psk\.file: expected at most 512000 bytes, but large has 512001$/],
    ["{ environment: NONE }", /^secrets\.psk\.environment: the variable NONE is not set/],
    ["{ external: true }", /^secrets\.psk\.external: not supported$/],
    ["{ flie: a }", /^secrets\.psk\.flie: not supported; did you mean "file"\?$/],
    ["{}", /^secrets\.psk: expected one of file, content or environment$/],
    ["{ file: large, content: a }", /^secrets\.psk: expected one of file, content or environment$/],
    ["{ file: 5 }", /^secrets\.psk\.file: expected a string$/],
    ["5", /^secrets\.psk: expected an object with file, content or environment$/],
  ])("%s is a fault with its path", async (definition, fault) => {
    const compose = `services: { web: { image: a, secrets: [psk] } }\nsecrets: { psk: ${definition} }\n`;
    expect(await read({ "compose.yml": compose, large: "x".repeat(512_001) })).toEqual([expect.stringMatching(fault)]);
  });
});
