import { describe, expect, test } from "vitest";
import * as z from "zod";
import { app, testDevice } from "../support/device.ts";
import { cloudApp, managedDevice } from "./managed.ts";

/** A compose file as a text becomes a target state. */

const path = "/v3/target/compose";
const Made = z.object({
  project: z.string(),
  appId: z.number(),
  target: z.looseObject({}),
  warnings: z.array(z.string()),
});
const Faults = z.object({ errors: z.array(z.object({ path: z.string(), message: z.string() })) });

async function faultsOf(compose: string, project?: string) {
  const device = await testDevice();
  const answer = await device.post(path, { compose, project });
  expect(answer.status).toBe(400);
  return Faults.parse(answer.json).errors.map(({ path: at, message }) => `${at}|${message}`);
}

const nested = (levels: number) => `services: ${"[".repeat(levels)}${"]".repeat(levels)}`;

describe("POST /v3/target/compose", () => {
  test("answers a target state that keeps the other applications, and changes nothing", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }, { name: "shop" }) });
    const compose = "name: weather\nservices:\n  sensor:\n    image: sensor:1\n    environment: [MODE=slow]\n";
    const answer = await device.post(path, { compose });
    expect([answer.status, (await device.engine.look()).containers.map(({ service }) => service)]).toEqual([
      200,
      ["web"],
    ]);
    const { project, appId, target } = Made.parse(answer.json);
    expect(project).toBe("weather");
    await device.post("/v2/local/target-state", target);
    await device.settled();
    expect((await device.engine.look()).containers.map(({ service }) => service).toSorted()).toEqual(["sensor", "web"]);
    expect((await device.container("sensor")).appId).toBe(appId);
  });

  test("names the application as asked, else as the file does, else app", async () => {
    const device = await testDevice();
    const nameOf = async (compose: string, project?: string) =>
      Made.parse((await device.post(path, { compose, project })).json).project;
    expect(await nameOf("services: {}", "shop")).toBe("shop");
    expect(await nameOf("name: weather\nservices: {}", "shop")).toBe("shop");
    expect(await nameOf("name: weather\nservices: {}")).toBe("weather");
    expect(await nameOf("services: {}")).toBe("app");
  });

  test.each<[string, string, readonly unknown[]]>([
    [
      "a service to build",
      "services: { web: { build: . } }",
      [expect.stringMatching(/^services\.web\.build\|images are not built here/)],
    ],
    [
      "a misspelled field",
      "services: { web: { image: web, prots: [] } }",
      ['services.web.prots|not supported; did you mean "ports"?'],
    ],
    [
      "a variable",
      "services: { web: { image: 'web:${TAG}' } }",
      ["services.web.image|the variable TAG is not set: there is no shell here: write ${TAG:-default}"],
    ],
    [
      "a variable of the shell",
      "services: { web: { image: web, environment: [TAG] } }",
      ["services.web.environment|TAG has no value: there is no shell here: write it"],
    ],
    [
      "other files",
      "services: { web: { image: web, env_file: .env, configs: [one] } }\nconfigs: { one: { file: one.txt } }",
      [
        "services.web.env_file|files are not read here; write the variables into environment",
        "configs.one.file|not read here; write its text into content",
      ],
    ],
    ["a text that is no YAML", "services: [", [expect.stringMatching(/^\|.* at line 1, column \d+$/)]],
    ["a text without services", "just words", [expect.stringMatching(/^\|compose: expected a compose file/)]],
  ])("refuses %s, by its path", async (_, compose, faults) => {
    expect(await faultsOf(compose)).toEqual(faults);
  });

  test("refuses a name that is none of a project", async () => {
    expect(await faultsOf("services: {}", "My Shop")).toEqual([expect.stringMatching(/^project name\|expected/)]);
  });

  test.each([
    [
      "aliases of aliases",
      `a: &a [x, x]\n${[..."bcdefghij"].map((to, n) => `${to}: &${to} [${Array(9).fill(`*${"abcdefghi"[n]}`)}]`).join("\n")}`,
    ],
    ["many aliases", `a: &a [${Array(900).fill("1")}]\nb: [${Array(90).fill("*a")}]`],
    ["many levels", nested(200)],
    ["so many levels that no stack has room", nested(30_000)],
  ])("refuses %s without reading them out", async (_, compose) => {
    const began = performance.now();
    expect((await faultsOf(compose)).length).toBeGreaterThan(0);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test("refuses a text of more than 64 KiB", async () => {
    const device = await testDevice();
    const answer = await device.post(path, { compose: `# ${"x".repeat(65 * 1024)}` });
    expect(answer).toMatchObject({ status: 413, json: { type: "/docs/errors#too-large" } });
  });

  test("is not for the key of an application alone, and works in a device of a cloud, too", async () => {
    const device = await managedDevice();
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) }, { SUPERVISOR_API_SCOPE: "application" });
    const body = { compose: "services: {}" };
    expect(await device.post(path, body)).toMatchObject({ status: 401 });
    expect(await device.post(path, body, await device.keyOf(1, "web"))).toMatchObject({
      status: 401,
      json: { type: "/docs/errors#outside-scope" },
    });
    expect(await device.post(path, body, device.globalKey())).toMatchObject({ status: 200 });
  });
});
