import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findJournalctl, journalctl, toArguments } from "../../hardware/journal.ts";
import { findProgram } from "../../hardware/run.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { plainQuery } from "../support/journal.ts";

test.each([
  [{}, ["--output=short"]],
  [{ all: true, follow: true }, ["--all", "--follow", "--output=short"]],
  [{ count: 0, format: "json" }, ["--lines=0", "--output=json"]],
  [{ unit: "docker.service" }, ["--unit=docker.service", "--output=short"]],
  [{ containerId: "0123456789ab" }, ["--identifier=0123456789ab", "--output=short"]],
  [{ containerId: "0123456789ab".padEnd(64, "c") }, ["--identifier=0123456789ab", "--output=short"]],
  [{ since: "-1h", until: "2 days ago; reboot" }, ["--since=-1h", "--until=2 days ago; reboot", "--output=short"]],
])("the query %j has the arguments %j", (query, args) => {
  expect(toArguments({ ...plainQuery, ...query })).toEqual(args);
});

describe("journalctl", () => {
  async function hostWith(...folders: readonly string[]): Promise<string> {
    const root = await temporaryFolder();
    for (const one of folders) await mkdir(join(root, one), { recursive: true });
    return root;
  }

  const withProgram = async (root: string) => {
    await mkdir(join(root, "usr/bin"), { recursive: true });
    await writeFile(join(root, "usr/bin/journalctl"), "", { mode: 0o755 });
    return root;
  };

  test.each(["run/log/journal", "var/log/journal"])("is the host's own, for its journal in %s", async (folder) => {
    const root = await withProgram(await hostWith(folder, "proc/self"));
    expect(findJournalctl(root)).toEqual(["chroot", root, "journalctl"]);
  });

  test.skipIf(!findProgram("journalctl"))("is ours if the host's cannot follow or does not exist", async () => {
    const blind = await withProgram(await hostWith("run/log/journal"));
    expect(findJournalctl(blind)).toEqual(["journalctl", `--root=${blind}`]);
    const without = await hostWith("run/log/journal", "proc/self");
    expect(findJournalctl(without)).toEqual(["journalctl", `--root=${without}`]);
  });

  test("is not used without a journal", async () => {
    expect(findJournalctl(await withProgram(await hostWith("proc/self")))).toBeUndefined();
  });

  test("that does not exist or fails to start is an error", async () => {
    await expect(journalctl(["/nonexistent/journalctl"]).read(plainQuery)).rejects.toThrow("ENOENT");
    await expect(journalctl(["sh", "-c", "exit 3"]).read(plainQuery)).rejects.toThrow();
  });
});
