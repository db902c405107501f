import { createHmac, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { oneByOne } from "../../../core/state/one-by-one.ts";
import type { FileContent } from "../../../core/model/service-file.ts";
import type { ServiceFiles } from "../../../core/ports/service-files.ts";
import { unless } from "../../../hardware/host-tmp.ts";

const keyBytes = 32;
const idForm = /^[0-9a-f]{32}$/;

/**
 * The configs and secrets of services as files in a folder that only the agent's user may enter. Containers get each file by
 * a mount, so they need no right to the folder. The folder and the key are created with the first file.
 */
export class StoredFiles implements ServiceFiles {
  readonly root: string;
  readonly #folder: string;
  readonly #stored: Set<string>;
  readonly #inOrder = oneByOne();
  #key: Buffer | undefined;

  /** @param root the folder in the engine's file system */
  constructor(folder: string, root: string) {
    this.#folder = folder;
    this.root = root;
    this.#stored = new Set(namesIn(folder).filter((name) => idForm.test(name)));
  }

  /** A key of this device: an id, which anybody who may list containers sees, does not confirm a guessed content. */
  identify(file: FileContent): string {
    this.#key ??= keyIn(this.#folder);
    return createHmac("sha256", this.#key).update(JSON.stringify(file)).digest("hex").slice(0, 32);
  }

  stored(): ReadonlySet<string> {
    return this.#stored;
  }

  write(id: string, { content, encoding, uid, gid, mode }: FileContent): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#stored.has(id)) return;
      const draft = join(this.#folder, "draft");
      await rm(draft, { force: true });
      const file = await open(draft, "wx", 0o600);
      try {
        await file.writeFile(Buffer.from(content, encoding));
        // An agent that is not root can give its files to nobody else.
        await file.chown(uid, gid).catch(unless("EPERM"));
        await file.chmod(mode);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, join(this.#folder, id));
      this.#stored.add(id);
    });
  }

  remove(id: string): Promise<void> {
    return this.#inOrder(async () => {
      await rm(join(this.#folder, id), { force: true });
      this.#stored.delete(id);
    });
  }
}

/**
 * The path of the files for the engine. Undefined: the engine does not see the state folder, since the agent is in a
 * container and the folder is not under the mount of the host's root.
 */
export function filesFolderOf(stateDir: string, hostRoot: string, engineRoot: string): string | undefined {
  const files = join(resolve(stateDir), "files");
  if (engineRoot === hostRoot) return files;
  const path = relative(hostRoot, files);
  return path.startsWith("..") ? undefined : join(engineRoot, path);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    unless("ENOENT")(error);
    return [];
  }
}

function keyIn(folder: string): Buffer {
  const file = join(folder, "key");
  if (namesIn(folder).includes("key")) {
    const kept = readFileSync(file);
    if (kept.length === keyBytes) return kept;
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = randomBytes(keyBytes);
  writeFileSync(file, key, { mode: 0o600 });
  return key;
}
