import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { toNodeListener } from "../../runtimes/node/index.ts";
import { createMemoryDevice } from "../../core/embedded/index.ts";
import { openApi } from "../../runtimes/worker/admin/openapi.ts";
import { debianPython, noGenerators } from "../support/generators.ts";

/** Clients that public generators make from the OpenAPI documents, in two languages: what the documents say is true. */

const here = import.meta.dirname;
const made = join(here, "node_modules/.made");
const program = (name: string) => join(here, "node_modules/.bin", name);
const run = async (file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> =>
  (await promisify(execFile)(file, args, { cwd: here, env: { ...process.env, ...env }, maxBuffer: 1e8 })).stdout;

/** The address of a device in memory. */
async function served(): Promise<string> {
  const device = await createMemoryDevice();
  onTestFinished(device.stop);
  const server = createServer(toNodeListener(device.fetch));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

describe.skipIf(noGenerators !== undefined)("a client that is generated", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    rmSync(made, { recursive: true, force: true });
    mkdirSync(made);
    const device = await createMemoryDevice();
    const answer = await device.fetch(new Request("http://device/openapi.json"));
    writeFileSync(join(made, "device.json"), await answer.text());
    await device.stop();
    writeFileSync(join(made, "cloud.json"), JSON.stringify(openApi()));
  });

  test("by openapi-typescript compiles for device and cloud, and makes ten calls", async () => {
    for (const name of ["device", "cloud"])
      await run(program("openapi-typescript"), [join(made, `${name}.json`), "-o", join(made, `${name}.d.ts`)]);
    await run(program("tsc"), ["-p", here]);
    expect(JSON.parse(await run(process.execPath, [join(here, "calls.ts"), await served()]))).toEqual({
      ...{ ping: "OK", version: "19.0.5", target: "OK", app: "applied", stopped: 200 },
      ...{ lock: 201, locks: 1, released: 204, update: "steady", refused: "/docs/errors#unknown-application" },
    });
  });

  test("by openapi-generator for Python makes eleven calls", async () => {
    // The generator knows OpenAPI 3.0, and no bytes with a default.
    const plain = join(made, "device-plain.json");
    const old = join(made, "device-3.0.json");
    writeFileSync(
      plain,
      readFileSync(join(made, "device.json"), "utf8").replaceAll('"contentEncoding":"base64"', '"title":"base64"'),
    );
    await run(program("openapi-down-convert"), ["-a", "-i", plain, "-o", old]);
    expect(JSON.parse(readFileSync(old, "utf8"))).toMatchObject({ openapi: "3.0.3" });
    const output = join(made, "python");
    const settings = ["--package-name", "fairlead_api", "--skip-validate-spec"];
    await run(program("openapi-generator"), ["generate", "-i", old, "-g", "python", "-o", output, ...settings]);
    expect(existsSync(join(output, "fairlead_api"))).toBe(true);
    const calls = [join(here, "calls.py"), await served()];
    expect(JSON.parse(await run(debianPython, calls, { PYTHONPATH: output }))).toEqual({
      ...{ ping: "OK", version: "19.0.5", target: "OK", locks: 1 },
      ...{ problems: [], name: "porch", refused: "/docs/errors#unknown-application" },
    });
  });
});
