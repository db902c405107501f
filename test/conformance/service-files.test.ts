import { describe, expect, test } from "vitest";
import { MemoryFiles } from "../../core/embedded/ports.ts";
import type { FileContent } from "../../core/model/service-file.ts";
import type { ServiceFiles } from "../../core/ports/service-files.ts";
import { StoredFiles } from "../../runtimes/node/store/stored-files.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of the port. What only files can show: test/node/stored-files.test.ts. */

const file = (content: string, more: Partial<FileContent> = {}): FileContent => ({
  ...{ content, encoding: "utf8", uid: 0, gid: 0, mode: 0o444 },
  ...more,
});

describe.each<readonly [string, () => Promise<ServiceFiles>]>([
  ["in memory", async () => new MemoryFiles()],
  ["on disk", async () => new StoredFiles(await temporaryFolder(), "/files")],
])("files %s", (_, open) => {
  test("are identified by content, owner and mode", async () => {
    const files = await open();
    const id = files.identify(file("one"));
    expect(files.identify(file("one"))).toBe(id);
    for (const other of [file("two"), file("one", { mode: 0o400 }), file("one", { uid: 1 }), file("one", { gid: 1 })])
      expect(files.identify(other)).not.toBe(id);
    expect(id).toMatch(/^[\w-]+$/);
    expect(files.stored()).toEqual(new Set());
  });

  test("are stored until they are removed, also when both are asked for twice", async () => {
    const files = await open();
    const [one, two] = [file("one"), file("two")].map((each) => files.identify(each));
    await Promise.all([files.write(one ?? "", file("one")), files.write(one ?? "", file("one"))]);
    await files.write(two ?? "", file("two"));
    expect(files.stored()).toEqual(new Set([one, two]));
    await files.remove(one ?? "");
    await files.remove(one ?? "");
    expect(files.stored()).toEqual(new Set([two]));
  });
});
