import { execFile, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import * as z from "zod";
import { missingPrograms } from "../../hardware/run.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { freePort } from "./docker.ts";
import { wait } from "./wait.ts";

/** The reason why tests with Prometheus are skipped; undefined if they run. */
export const noPrometheus = reason();

function reason(): string | undefined {
  const absent = missingPrograms(["prometheus", "promtool"]);
  if (absent.length === 0) return undefined;
  const why = `No tests with Prometheus: there is no ${absent.join(", no ")}`;
  if (process.env["FAIRLEAD_TEST_HOST"] === "required") throw new Error(why);
  return `${why}. To have them: apt-get install prometheus (FAIRLEAD_TEST_HOST=required insists).`;
}

/** What promtool says, with its exit code. */
export function promtool(words: readonly string[], input = ""): Promise<{ code: unknown; said: string }> {
  return new Promise((resolve) => {
    const child = execFile("promtool", words, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, said: stdout + stderr }),
    );
    child.stdin?.end(input);
  });
}

const Answer = z.object({
  status: z.string(),
  error: z.string().optional(),
  data: z
    .object({
      result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
    })
    .optional(),
});

const Targets = z.object({
  data: z.object({ activeTargets: z.array(z.object({ health: z.string(), lastError: z.string() })) }),
});

/** Prometheus with a job that scrapes one address each second, until the end of the test. */
export async function startPrometheus(target: string, params: Readonly<Record<string, readonly string[]>> = {}) {
  const folder = await temporaryFolder();
  const config = {
    global: { scrape_interval: "4s", scrape_timeout: "4s" },
    scrape_configs: [{ job_name: "fairlead", params, static_configs: [{ targets: [target] }] }],
  };
  // JSON is YAML.
  await writeFile(join(folder, "prometheus.yml"), JSON.stringify(config));
  const listen = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    "prometheus",
    [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${listen}`,
    ],
    { stdio: "ignore" },
  );
  const ended = new Promise((resolve) => child.once("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const get = async (path: string) => (await fetch(`http://${listen}/api/v1/${path}`)).json();
  const targets = async () => Targets.parse(await get("targets")).data.activeTargets;
  const query = async (expression: string) => {
    const { data, error } = Answer.parse(await get(`query?${new URLSearchParams({ query: expression }).toString()}`));
    if (!data) throw new Error(`${expression}: ${error}`);
    return data.result.map(({ metric, value }) => ({ ...metric, value: Number(value[1]) }));
  };
  // A target is shown as healthy before its samples can be read.
  await wait("Prometheus to scrape", () =>
    query("up").then(
      ({ length }) => length > 0,
      () => false,
    ),
  );
  return {
    targets,
    /** The values of an expression; throws if it is none. */
    query,
  };
}
