import { randomUUID } from "node:crypto";
import type { Dirent } from "node:fs";
import { chmod, link, lstat, mkdir, open, readFile, readdir, rm, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Folders, LockResult } from "../../core/ports/folders.ts";

const folder = "tmp/balena-supervisor/services";
/** Today's lock and the one of old; either blocks, and we take both. */
const lockNames = ["updates.lock", "resin-updates.lock"];
const takeOverNames = ["handover-complete", "resin-kill-me"];

/** A lock that is not in its place yet. */
const draftPrefix = ".lock-";

/** The original's mark on its own locks: they belong to this user ("nobody"). */
const lockUid = 65534;
/** Ours, where we may not give files away. */
const lockText = "fairlead\n";

/** The folders as they are on disk. What users do with lock files, and why ours are made as they are: docs/update-locks.md. */
export class FileFolders implements Folders {
  readonly root: string;
  readonly #path: string;
  readonly #held = new Map<number, readonly string[]>();

  /**
   * @param hostRoot where this process sees the host's root folder
   * @param engineRoot where the engine sees it; see `seenByEngine`
   */
  constructor(hostRoot: string, engineRoot: string) {
    this.#path = join(hostRoot, folder);
    this.root = join(engineRoot, folder);
  }

  async prepare(appId: number, service: string): Promise<void> {
    const path = this.#folderOf(appId, service);
    await mkdir(path, { recursive: true });
    // Services run as any user, and must all be able to lock, but not to remove each other's files.
    await chmod(path, 0o1777);
  }

  async take(appId: number, services: readonly string[], { force }: { readonly force: boolean }): Promise<LockResult> {
    const held = this.#held.get(appId) ?? [];
    const taken: string[] = [];
    let complete = false;
    try {
      for (const service of services.filter((one) => !held.includes(one))) {
        await this.prepare(appId, service);
        for (const path of this.#locksOf(appId, service)) {
          if (!(await this.#takeOne(path, force))) return { taken: false, by: service };
          taken.push(path);
        }
      }
      complete = true;
    } finally {
      if (!complete) await Promise.all(taken.map(remove));
    }
    this.#held.set(appId, [...new Set([...held, ...services])]);
    return { taken: true };
  }

  async #takeOne(path: string, force: boolean): Promise<boolean> {
    if ((await this.#create(path)) || (await isOurs(path))) return true;
    if (!force) return false;
    // A folder with something in it is nobody's lock, and not ours to remove.
    await remove(path).catch(unless("ENOTEMPTY"));
    return this.#create(path);
  }

  /**
   * Linking a finished file into place is atomic, and the lock is ours from its first instant: were we to end between
   * making and giving it away, it would look like a user's for ever.
   */
  async #create(path: string): Promise<boolean> {
    const draft = join(this.#path, draftPrefix + randomUUID());
    const file = await open(draft, "wx", 0o444);
    try {
      await file.write(lockText);
      await file.chown(lockUid, lockUid).catch(unless("EPERM"));
    } finally {
      await file.close();
    }
    try {
      await link(draft, path);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    } finally {
      await unlink(draft);
    }
  }

  async release(appId: number): Promise<void> {
    const held = this.#held.get(appId) ?? [];
    this.#held.delete(appId);
    for (const path of held.flatMap((service) => this.#locksOf(appId, service)))
      if (await isOurs(path)) await remove(path);
  }

  held(): ReadonlyMap<number, readonly string[]> {
    return new Map(this.#held);
  }

  async clearLeftovers(): Promise<void> {
    const found = await entries(this.#path);
    for (const { name } of found) if (name.startsWith(draftPrefix)) await remove(join(this.#path, name));
    for (const appId of folders(found))
      for (const service of folders(await entries(join(this.#path, appId))))
        for (const path of this.#locksOf(appId, service)) if (await isOurs(path)) await remove(path);
  }

  async hasTakenOver(appId: number, service: string): Promise<boolean> {
    const paths = takeOverNames.map((name) => join(this.#folderOf(appId, service), name));
    return (await Promise.all(paths.map(exists))).includes(true);
  }

  async clearTakeOver(appId: number, service: string): Promise<void> {
    for (const name of takeOverNames)
      await rm(join(this.#folderOf(appId, service), name), { recursive: true, force: true });
  }

  #folderOf(appId: number | string, service: string): string {
    return join(this.#path, String(appId), service);
  }

  #locksOf(appId: number | string, service: string): string[] {
    return lockNames.map((name) => join(this.#folderOf(appId, service), name));
  }
}

/**
 * The host's root as the engine sees it. An agent in a container has it mounted somewhere, and the engine knows nothing
 * of that place; a folder that is no mount is the same for both.
 */
export async function seenByEngine(hostRoot: string): Promise<string> {
  const [root, parent] = await Promise.all([stat(hostRoot), stat(dirname(hostRoot))]);
  return root.dev === parent.dev ? hostRoot : "/";
}

/** Whatever is there counts as a lock: a file, a folder, a link that leads nowhere. */
const exists = (path: string): Promise<boolean> => lstat(path).then(() => true, unlessGone(false));

async function isOurs(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(unlessGone(undefined));
  if (!stats?.isFile()) return false;
  return stats.uid === lockUid || (stats.size === lockText.length && (await readFile(path, "utf8")) === lockText);
}

/** A lock of proper-lockfile is an empty folder; nothing else that is a folder is removed. */
const remove = (path: string): Promise<void> =>
  unlink(path).catch((error: unknown) =>
    codeOf(error) === "EISDIR" || codeOf(error) === "EPERM" ? rmdir(path) : unlessGone(undefined)(error),
  );

const entries = (path: string): Promise<Dirent[]> =>
  readdir(path, { withFileTypes: true }).catch(unlessGone<Dirent[]>([]));

const folders = (found: readonly Dirent[]): string[] =>
  found.filter((entry) => entry.isDirectory()).map(({ name }) => name);

const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);

const unless =
  (...codes: readonly string[]) =>
  (error: unknown): void => {
    if (!codes.includes(String(codeOf(error)))) throw error;
  };

const unlessGone =
  <T>(otherwise: T) =>
  (error: unknown): T => {
    unless("ENOENT")(error);
    return otherwise;
  };
