import { randomUUID } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { link, lstat, open, rmdir, stat, unlink, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Handover } from "../../../core/ports/handover.ts";
import type { LeaseFiles } from "../../../core/ports/lease-files.ts";
import type { ServiceFolders } from "../../../core/ports/service-folders.ts";
import type { LockResult, UpdateLocks } from "../../../core/ports/update-locks.ts";
import { codeOf, inHostTmp, unless, UntrustedFolderError, type OpenFolder } from "../../../hardware/host-tmp.ts";

/** Below the host's `/tmp`. */
const names = ["balena-supervisor", "services"];
/** The current and the old name of a lock. Either one blocks an update. The agent creates both. */
const lockNames = ["updates.lock", "resin-updates.lock"];
const leaseName = "updates.lock";
const takeOverNames = ["handover-complete", "resin-kill-me"];
const confirmationNames = ["update-confirmed"];

/** Prefix of a lock file that has not been linked into a service's folder yet. */
const draftPrefix = ".lock-";

/** The owner ("nobody") of the agent's own locks, as in the reference implementation. */
const lockUid = 65534;
/** The content of the agent's own locks. It identifies them where the agent may not change a file's owner. */
const lockText = "fairlead\n";
/** The content of a lock file that stands for a lease. It differs, so that `clearLeftovers` keeps it. */
const leaseText = "fairlead lease\n";

/**
 * The services' folders on disk. For the use of lock files, see docs/update-locks.md.
 *
 * A service can be root in its container. It can create links, pipes and devices in its folder, under any name and at any
 * time. So the agent follows no link there, opens only regular files, and removes no folder that is not empty.
 */
export class FileFolders implements ServiceFolders, UpdateLocks, LeaseFiles, Handover {
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
        for (const { name } of await services.entries())
          if (name.startsWith(draftPrefix)) await remove(services.at(name));
      }),
    );
    await this.#eachFolder(async (folder, appId, service) => {
      // At boot, the engine can start containers before the agent. It then creates their folders for root only.
      await openToEverybody(folder).catch(unless("EPERM"));
      if (!this.#held.get(appId)?.includes(service)) await removeOurLocks(folder);
    });
  }

  async putLease(appId: number, service: string): Promise<void> {
    await this.#prepare(appId, service, (folder, drafts) => create(folder.at(leaseName), drafts, leaseText));
  }

  async removeLease(appId: number, service: string): Promise<void> {
    await this.#ifThere(appId, service, async (folder) => {
      if ((await ownerOf(folder.at(leaseName))) === "lease") await remove(folder.at(leaseName));
    });
  }

  async lockedServices() {
    const locked: { appId: number; service: string }[] = [];
    await this.#eachFolder(async (folder, appId, service) => {
      const owners = await Promise.all(lockNames.map((name) => ownerOf(folder.at(name))));
      if (owners.includes("service")) locked.push({ appId, service });
    });
    return locked;
  }

  hasTakenOver(appId: number, service: string): Promise<boolean> {
    return this.#hasSigned(appId, service, takeOverNames);
  }

  clearTakeOver(appId: number, service: string): Promise<void> {
    return this.#clearSigns(appId, service, takeOverNames);
  }

  hasConfirmed(appId: number, service: string): Promise<boolean> {
    return this.#hasSigned(appId, service, confirmationNames);
  }

  clearConfirmation(appId: number, service: string): Promise<void> {
    return this.#clearSigns(appId, service, confirmationNames);
  }

  async #hasSigned(appId: number, service: string, signs: readonly string[]): Promise<boolean> {
    const found = await this.#ifThere(appId, service, (folder) =>
      Promise.all(signs.map((name) => exists(folder.at(name)))),
    );
    return found?.includes(true) ?? false;
  }

  async #clearSigns(appId: number, service: string, signs: readonly string[]): Promise<void> {
    await this.#ifThere(appId, service, async (folder) => {
      // A folder of that name that is not empty stays. It then still counts as a sign.
      for (const name of signs) await remove(folder.at(name)).catch(unless("ENOTEMPTY"));
    });
  }

  /** Creates a service's folder and sets its mode, then calls `act`. Drafts of locks go into the folder `services`. */
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

  /** Calls `act` with the folder of each service that has one. Skips folders that are not trusted. */
  async #eachFolder(act: (folder: OpenFolder, appId: number, service: string) => Promise<void>): Promise<void> {
    await unlessUntrusted(
      inHostTmp(this.#hostRoot, names, { make: false }, async (services) => {
        for (const appId of folders(await services.entries()))
          await unlessUntrusted(
            services.within(appId, { make: false }, async (app) => {
              for (const service of folders(await app.entries()))
                await unlessUntrusted(
                  app.within(service, { make: false, writers: "service" }, (folder) =>
                    act(folder, Number(appId), service),
                  ),
                );
            }),
          );
      }),
    );
  }

  /** Calls `act` with a service's folder. Undefined if it does not exist or is not trusted. */
  async #ifThere<T>(appId: number, service: string, act: (folder: OpenFolder) => Promise<T>): Promise<T | undefined> {
    return unlessUntrusted(
      inHostTmp(this.#hostRoot, [...names, String(appId)], { make: false }, (app) =>
        app.within(service, { make: false, writers: "service" }, act),
      ),
    );
  }
}

/**
 * The path of the host's root for the engine. If `hostRoot` is a mount, the agent is in a container, and the engine's path
 * is `/`. If it is an ordinary folder, agent and engine use the same path.
 */
export async function seenByEngine(hostRoot: string): Promise<string> {
  const [root, parent] = await Promise.all([stat(hostRoot), stat(dirname(hostRoot))]);
  return root.dev === parent.dev ? hostRoot : "/";
}

/** Any user can create a lock (services run as different users), but can remove only their own files. */
const openToEverybody = (folder: OpenFolder): Promise<void> => folder.chmod(0o1777);

async function takeOne(path: string, drafts: OpenFolder, force: boolean): Promise<boolean> {
  if (await create(path, drafts, lockText)) return true;
  const owner = await ownerOf(path);
  if (owner === "agent") return true;
  if (owner === "service" && !force) return false;
  // A folder that is not empty is never removed.
  await remove(path).catch(unless("ENOTEMPTY"));
  return create(path, drafts, lockText);
}

/**
 * Creates a lock by linking a finished file, which is atomic, so the lock always has the agent's mark. If the agent ended
 * between creating a lock in place and marking it, the lock would look like a user's and never be removed.
 */
async function create(path: string, drafts: OpenFolder, text: string): Promise<boolean> {
  const draft = drafts.at(draftPrefix + randomUUID());
  const file = await open(draft, "wx");
  try {
    await file.chmod(0o444);
    await file.write(text);
    if (text === lockText) await file.chown(lockUid, lockUid).catch(unless("EPERM"));
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

/** Any kind of entry counts: a file, a folder, or a link, also one without a target. */
const exists = (path: string): Promise<boolean> => lstat(path).then(() => true, unlessGone(false));

async function removeOurLocks(folder: OpenFolder): Promise<void> {
  for (const name of lockNames) if ((await ownerOf(folder.at(name))) === "agent") await remove(folder.at(name));
}

/** O_PATH of open(2), for which Node has no constant. It opens any kind of file without side effects. */
const pathOnly = 0x200000;

/** Whose lock a path is. Undefined: there is none. */
async function ownerOf(path: string): Promise<"agent" | "lease" | "service" | undefined> {
  const found = await open(path, pathOnly | constants.O_NOFOLLOW).catch(unlessGone(undefined));
  if (!found) return undefined;
  try {
    const stats = await found.stat();
    if (!stats.isFile()) return "service";
    const { uid, size } = stats;
    if (uid === lockUid) return "agent";
    const text = size === lockText.length || size === leaseText.length ? await beginningOf(found, size) : "";
    return text === lockText ? "agent" : text === leaseText ? "lease" : "service";
  } finally {
    await found.close();
  }
}

/** Reads at most this many bytes, because a service may have made the file longer. */
async function beginningOf({ fd }: FileHandle, length: number): Promise<string> {
  const file = await open(`/proc/self/fd/${fd}`);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length) });
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Removes a file or an empty folder. proper-lockfile uses empty folders as locks. */
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
