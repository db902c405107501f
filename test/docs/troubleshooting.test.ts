import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { messageOf } from "../../core/model/show.ts";

/** docs/troubleshooting.md quotes the program. */

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
const cells = (line: string): string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

describe("what is typed by mistake has the answer of the page", () => {
  const rows = page
    .slice(page.indexOf("## Typed by mistake"))
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map(cells);

  test("there are such lines", () => expect(rows.length).toBeGreaterThanOrEqual(10));

  test.each(rows)("%s", async (typed = "", answer = "") => {
    const line = /`fairlead (.*?)`/.exec(typed)?.[1] ?? "";
    const environment = { HOME: "/nonexistent", XDG_CONFIG_HOME: "/nonexistent", FAIRLEAD_PORT: "1" };
    const refused = await runProgram(
      line.split(" "),
      plainIo(environment, () => {}),
    ).catch(messageOf);
    expect(String(refused).split("\n")[0]).toContain(answer.replaceAll("`", ""));
  });
});

/** Sentences of the engine, of systemd and of services. */
const ofOthers = new Set(["Read-only file system", "exec format error", "A service starts again and again"]);

describe("each title is a sentence of the program", () => {
  const sources = globSync("{core,runtimes,hardware}/**/*.ts", { cwd: root });
  const program = [...sources, "install.sh"].map((file) => readFileSync(join(root, file), "utf8")).join("\n");
  const titles = [...page.matchAll(/^### (.+)$/gm)].map(([, title = ""]) => title);

  test.each(titles.filter((title) => !ofOthers.has(title)))("%s", (title) => {
    for (const part of title.split(/…|, or: /))
      expect([part, program.includes(part.replace(/^'|[',]$/g, "").trim())]).toEqual([part, true]);
  });
});
