import { execFile } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../node/temporary-folder.ts";

const root = join(import.meta.dirname, "../..");

/** Runs the audit with an npm that prints this. */
async function auditWith(json: object) {
  const folder = await temporaryFolder();
  const npm = join(folder, "npm");
  await writeFile(npm, `#!/bin/sh\ncat <<'EOF'\n${JSON.stringify(json)}\nEOF\nexit 1\n`);
  await chmod(npm, 0o755);
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"]}` };
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) =>
    execFile(process.execPath, ["--import", "tsx", "packaging/audit.ts"], { cwd: root, env }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    ),
  );
}

test("a known vulnerability fails, with its package, versions and where to read about it", async () => {
  const via = [{ title: "Prototype pollution", url: "https://example.org/advisory" }];
  const result = await auditWith({ vulnerabilities: { sax: { severity: "high", range: "<2", via } } });
  expect(result).toMatchObject({
    code: 1,
    stderr: "sax <2 (high): Prototype pollution https://example.org/advisory\n",
  });
});

test("nothing known passes", async () => {
  expect(await auditWith({ vulnerabilities: {} })).toMatchObject({
    code: 0,
    stdout: "No known vulnerability in what is shipped\n",
  });
});

test("a registry that does not answer is no vulnerability, and is said", async () => {
  const result = await auditWith({ message: "405 Method Not Allowed" });
  expect(result).toMatchObject({
    code: 0,
    stdout: "Not audited, the registry does not answer: 405 Method Not Allowed\n",
  });
});
