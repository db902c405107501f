import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FileContent } from "../../core/model/service-file.ts";
import { StoredFiles, filesFolderOf } from "../../runtimes/node/store/stored-files.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const secret: FileContent = { content: "AAEC/w==", encoding: "base64", uid: 103, gid: 104, mode: 0o440 };

test("a file has its bytes, owner and mode in a folder that only the agent's user may enter", async () => {
  const folder = join(await temporaryFolder(), "files");
  const files = new StoredFiles(folder, "/files");
  const id = files.identify(secret);
  await files.write(id, secret);
  const { mode, uid, gid } = statSync(join(folder, id));
  expect([...readFileSync(join(folder, id))]).toEqual([0, 1, 2, 255]);
  expect(mode & 0o777).toBe(0o440);
  if (process.geteuid?.() === 0) expect([uid, gid]).toEqual([103, 104]);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, "key")).mode & 0o777).toBe(0o600);
});

test("the next run of the agent knows the files and gives the same ids; another device gives others", async () => {
  const folder = await temporaryFolder();
  const first = new StoredFiles(folder, "/files");
  const id = first.identify(secret);
  await first.write(id, secret);
  writeFileSync(join(folder, "draft"), "of a run that was ended");
  const next = new StoredFiles(folder, "/files");
  expect(next.stored()).toEqual(new Set([id]));
  expect(next.identify(secret)).toBe(id);
  expect(new StoredFiles(await temporaryFolder(), "/files").identify(secret)).not.toBe(id);
});

test("nothing is written before there is a file", async () => {
  const folder = await temporaryFolder();
  expect(new StoredFiles(join(folder, "files"), "/files").stored()).toEqual(new Set());
  expect(readdirSync(folder)).toEqual([]);
});

test.each([
  ["/var/lib/fairlead", "/", "/", "/var/lib/fairlead/files"],
  ["/tmp/x/state", "/tmp/x", "/tmp/x", "/tmp/x/state/files"],
  ["/host/var/lib/fairlead", "/host", "/", "/var/lib/fairlead/files"],
  ["/var/lib/fairlead", "/host", "/", undefined],
])("with the state in %s, the host's root in %s and the engine's in %s, the engine finds them in %s", (...paths) => {
  const [stateDir, hostRoot, engineRoot, expected] = paths;
  expect(filesFolderOf(stateDir, hostRoot, engineRoot)).toBe(expected);
});
