import { randomUUID } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { link, lstat, open, rmdir, stat, unlink, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Handover } from "../../../core/ports/handover.ts";
import type { ServiceFolders } from "../../../core/ports/service-folders.ts";
import type { LockResult, UpdateLocks } from "../../../core/ports/update-locks.ts";
import { codeOf, inHostTmp, unless, UntrustedFolderError, type OpenFolder } from "../../../hardware/host-tmp.ts";

/** Below the host's `/tmp`. */
const names = ["balena-supervisor", "services"];
/** Today's lock and the one of old; either blocks, and we take both. */
const lockNames = ["updates.lock", "resin-updates.lock"];
const takeOverNames = ["handover-complete", "resin-kill-me"];

/** A lock that is not in its place yet. */
const draftPrefix = ".lock-";

/** The original's mark on its own locks: they belong to this user ("nobody"). */
const lockUid = 65534;
/** Ours, where we may not give files away. */
const lockText = "fairlead\n";

/**
 * The folders as they are on disk. What users do with lock files, and who may: docs/update-locks.md.
 *
 * A service may be root in its container, and put anything under any name into its folder: links, pipes, devices, at any
 * time. So nothing in there is followed, opened before it is known to be a file, or removed with what is in it.
 */
export class FileFolders implements ServiceFolders, UpdateLocks, Handover {
  readonly root: string;
  readonly #hostRoot: string;
  readonly #held = new Map<number, readonly string[]>();

  /**
   * @param hostRoot where this process sees the host's root folder
   * @param engineRoot where the engine sees it; see `seenByEngine`
   */
  constructor(hostRoot: string, engineRoot: string) {
    this.#hostRoot = hostRoot;
    this.root = join(engineRoot, "tmp", ...names);
  }

  async prepare(appId: number, service: string): Promise<void> {
    await this.#prepare(appId, service, () => Promise.resolve());
  }

  async take(appId: number, services: readonly string[], { force }: { readonly force: boolean }): Promise<LockResult> {
    const held = this.#held.get(appId) ?? [];
    const taken: { readonly service: string; readonly name: string }[] = [];
    let complete = false;
    try {
      for (const service of services.filter((one) => !held.includes(one))) {
        const free = await this.#prepare(appId, service, async (folder, drafts) => {
          for (const name of lockNames) {
            if (!(await takeOne(folder.at(name), drafts, force))) return false;
            taken.push({ service, name });
          }
          return true;
        });
        if (!free) return { taken: false, by: service };
      }
      complete = true;
    } finally {
      if (!complete)
        for (const { service, name } of taken) await this.#ifThere(appId, service, (folder) => remove(folder.at(name)));
    }
    this.#held.set(appId, [...new Set([...held, ...services])]);
    return { taken: true };
  }

  async release(appId: number): Promise<void> {
    const held = this.#held.get(appId) ?? [];
    this.#held.delete(appId);
    for (const service of held) await this.#ifThere(appId, service, removeOurLocks);
  }

  held(): ReadonlyMap<number, readonly string[]> {
    return new Map(this.#held);
  }

  async clearLeftovers(): Promise<void> {
    await unlessUntrusted(
      inHostTmp(this.#hostRoot, names, { make: false }, async (services) => {
        const found = await services.entries();
        for (const { name } of found) if (name.startsWith(draftPrefix)) await remove(services.at(name));
        for (const appId of folders(found))
          await unlessUntrusted(
            services.within(appId, { make: false }, async (app) => {
              for (const service of folders(await app.entries()))
                await unlessUntrusted(
                  app.within(service, { make: false, writers: "service" }, async (folder) => {
                    // At the start of the machine, the engine starts containers by itself, and makes their folders for root.
                    await openToEverybody(folder).catch(unless("EPERM"));
                    if (!this.#held.get(Number(appId))?.includes(service)) await removeOurLocks(folder);
                  }),
                );
            }),
          );
      }),
    );
  }

  async hasTakenOver(appId: number, service: string): Promise<boolean> {
    const found = await this.#ifThere(appId, service, (folder) =>
      Promise.all(takeOverNames.map((name) => exists(folder.at(name)))),
    );
    return found?.includes(true) ?? false;
  }

  async clearTakeOver(appId: number, service: string): Promise<void> {
    await this.#ifThere(appId, service, async (folder) => {
      // What a service has put into a folder of that name stays, and so does the sign: it asked for that itself.
      for (const name of takeOverNames) await remove(folder.at(name)).catch(unless("ENOTEMPTY"));
    });
  }

  /** Makes a service's folder what it is to be, and acts in it; drafts of locks go into the one of all applications. */
  async #prepare<T>(
    appId: number,
    service: string,
    act: (folder: OpenFolder, drafts: OpenFolder) => Promise<T>,
  ): Promise<T | undefined> {
    return inHostTmp(this.#hostRoot, names, { make: true }, (services) =>
      services.within(String(appId), { make: true }, (app) =>
        app.within(service, { make: true, writers: "service" }, async (folder) => {
          await openToEverybody(folder);
          return act(folder, services);
        }),
      ),
    );
  }

  /** Acts in a service's folder; in one that is not there, or in whose place is something else, nothing is of ours. */
  async #ifThere<T>(appId: number, service: string, act: (folder: OpenFolder) => Promise<T>): Promise<T | undefined> {
    return unlessUntrusted(
      inHostTmp(this.#hostRoot, [...names, String(appId)], { make: false }, (app) =>
        app.within(service, { make: false, writers: "service" }, act),
      ),
    );
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

/** Services run as any user, and must all be able to lock, but not to remove each other's files. */
const openToEverybody = (folder: OpenFolder): Promise<void> => folder.chmod(0o1777);

async function takeOne(path: string, drafts: OpenFolder, force: boolean): Promise<boolean> {
  if ((await create(path, drafts)) || (await isOurs(path))) return true;
  if (!force) return false;
  // A folder with something in it is nobody's lock, and not ours to remove.
  await remove(path).catch(unless("ENOTEMPTY"));
  return create(path, drafts);
}

/**
 * Linking a finished file into place is atomic, and the lock is ours from its first instant: were we to end between
 * making and giving it away, it would look like a user's for ever.
 */
async function create(path: string, drafts: OpenFolder): Promise<boolean> {
  const draft = drafts.at(draftPrefix + randomUUID());
  const file = await open(draft, "wx");
  try {
    await file.chmod(0o444);
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

/** Whatever is there counts as a lock: a file, a folder, a link that leads nowhere. */
const exists = (path: string): Promise<boolean> => lstat(path).then(() => true, unlessGone(false));

async function removeOurLocks(folder: OpenFolder): Promise<void> {
  for (const name of lockNames) if (await isOurs(folder.at(name))) await remove(folder.at(name));
}

/** O_PATH of open(2), for which Node has no name: it opens whatever it is without doing anything to it. */
const pathOnly = 0x200000;

async function isOurs(path: string): Promise<boolean> {
  const found = await open(path, pathOnly | constants.O_NOFOLLOW).catch(unlessGone(undefined));
  if (!found) return false;
  try {
    const stats = await found.stat();
    if (!stats.isFile()) return false;
    return stats.uid === lockUid || (stats.size === lockText.length && (await beginningOf(found)) === lockText);
  } finally {
    await found.close();
  }
}

/** As much of a file as a lock of ours has, however much it has meanwhile. */
async function beginningOf({ fd }: FileHandle): Promise<string> {
  const file = await open(`/proc/self/fd/${fd}`);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(lockText.length) });
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** A lock of proper-lockfile is an empty folder; nothing else that is a folder is removed. */
const remove = (path: string): Promise<void> =>
  unlink(path).catch((error: unknown) =>
    codeOf(error) === "EISDIR" || codeOf(error) === "EPERM" ? rmdir(path) : unlessGone(undefined)(error),
  );

const folders = (found: readonly Dirent[]): string[] =>
  found.filter((entry) => entry.isDirectory()).map(({ name }) => name);

const unlessUntrusted = <T>(attempt: Promise<T>): Promise<T | undefined> =>
  attempt.catch((error: unknown) => {
    if (!(error instanceof UntrustedFolderError)) throw error;
    return undefined;
  });

const unlessGone =
  <T>(otherwise: T) =>
  (error: unknown): T => {
    unless("ENOENT")(error);
    return otherwise;
  };
