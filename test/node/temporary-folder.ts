import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Tests of root's privileges run only as root. */
export const isRoot = process.getuid?.() === 0;
