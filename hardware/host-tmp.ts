import { constants, type Dirent } from "node:fs";
import { lstat, mkdir, open, readdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

/**
 * The folders below the host's `/tmp` in which the agent writes as root. Every local user can write to `/tmp`, so each
 * of these folders is opened, checked while it is open, and what is in it is reached through the open folder: nobody can
 * put a link in its place between check and use.
 */

/** Something is in the place of a folder of ours that another user may have put there. */
export class UntrustedFolderError extends Error {}

/** Who may write to a folder: everybody (`/tmp` itself), only we, or whoever its service lets. */
type Writers = "everybody" | "we" | "service";

const folderOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** A folder that is open. */
export class OpenFolder {
  readonly #path: string;
  readonly #handle: FileHandle;

  /** `path` is for people. */
  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** A path to what has this name in the folder, wherever the folder has been moved to. Source: proc_pid_fd(5). */
  at(name: string): string {
    if (/^\.{0,2}$|\//.test(name))
      throw new UntrustedFolderError(`Expected a name without folders, but got ${JSON.stringify(name)}`);
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }

  entries(): Promise<Dirent[]> {
    return readdir(`/proc/self/fd/${this.#handle.fd}`, { withFileTypes: true });
  }

  chmod(mode: number): Promise<void> {
    return this.#handle.chmod(mode);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /**
   * Acts in the folder of this name in this one. With `make`, it is made if it is not there; else the answer is
   * undefined then. Throws `UntrustedFolderError`.
   */
  async within<T>(
    name: string,
    { make, writers = "we" }: { readonly make: boolean; readonly writers?: Writers },
    act: (folder: OpenFolder) => Promise<T>,
  ): Promise<T | undefined> {
    const path = join(this.#path, name);
    const handle = await this.#open(name, path, make);
    if (!handle) return undefined;
    const folder = new OpenFolder(path, handle);
    try {
      const { uid, mode } = await handle.stat();
      const objection = objectionTo(uid, mode, writers);
      if (objection !== undefined) throw untrusted(path, objection);
      return await act(folder);
    } finally {
      await folder.close();
    }
  }

  async #open(name: string, path: string, make: boolean): Promise<FileHandle | undefined> {
    const place = this.at(name);
    try {
      // Closed to other users: the folders of services are open to everybody who can reach them.
      if (make) await mkdir(place, 0o700).catch(unless("EEXIST"));
      return await open(place, folderOnly);
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT" && !make) return undefined;
      if (code !== "ENOTDIR" && code !== "ELOOP")
        throw new Error(`${path} cannot be ${make ? "made or " : ""}opened: ${String(code)}`, { cause: error });
      const isLink = (await lstat(place).catch(() => undefined))?.isSymbolicLink() ?? false;
      throw untrusted(path, isLink ? "is a symbolic link" : "is no folder");
    }
  }
}

/** Acts in a folder below `tmp` of the host; see `OpenFolder.within`. */
export async function inHostTmp<T>(
  hostRoot: string,
  names: readonly string[],
  { make }: { readonly make: boolean },
  act: (folder: OpenFolder) => Promise<T>,
): Promise<T | undefined> {
  const inside = ([name, ...deeper]: readonly string[], folder: OpenFolder): Promise<T | undefined> =>
    name === undefined ? act(folder) : folder.within(name, { make }, (one) => inside(deeper, one));
  // Whoever starts the agent answers for this one; it may be a link.
  const root = new OpenFolder(hostRoot, await open(hostRoot, constants.O_RDONLY | constants.O_DIRECTORY));
  try {
    return await root.within("tmp", { make, writers: "everybody" }, (tmp) => inside(names, tmp));
  } finally {
    await root.close();
  }
}

/** What is wrong with a folder's owner and mode; undefined: nothing. */
function objectionTo(uid: number, mode: number, writers: Writers): string | undefined {
  // Its parent is ours, so only root can have put it there; its service may give it away and open it as it likes.
  if (writers === "service") return undefined;
  if (uid !== 0 && uid !== process.geteuid?.()) return `belongs to user ${uid}`;
  const others = (mode & (constants.S_IWGRP | constants.S_IWOTH)) !== 0;
  // In a sticky folder, nobody can remove or rename what is another user's.
  const sticky = (mode & 0o1000) !== 0;
  if (!others || (writers === "everybody" && sticky)) return undefined;
  return `can be written to by other users (its mode is ${(mode & 0o7777).toString(8)})`;
}

function untrusted(path: string, objection: string): UntrustedFolderError {
  const uid = process.geteuid?.() ?? 0;
  const owner = uid === 0 ? "root" : `root or user ${uid}`;
  return new UntrustedFolderError(
    `${path} ${objection}, but the agent expected a folder of ${owner} to which no other user can write. Find out who made it (ls -ld ${path}), and remove it: the agent makes it again`,
  );
}

export const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);

/** For a `catch`: throws again what has none of these codes. */
export const unless =
  (...codes: readonly string[]) =>
  (error: unknown): void => {
    if (!codes.includes(String(codeOf(error)))) throw error;
  };
