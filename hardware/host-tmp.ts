import { constants, type Dirent } from "node:fs";
import { lstat, mkdir, open, readdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

/**
 * Access to the folders below the host's `/tmp` in which the agent writes as root. Every local user can write to `/tmp`.
 * So the agent opens each folder, checks its open descriptor, and reaches its files through that descriptor. Another user
 * then cannot replace the folder with a link between the check and the use.
 */

/** The path of one of our folders is a link, a file, or a folder that another user may have created. */
export class UntrustedFolderError extends Error {}

/** Who may write to a folder: everybody (`/tmp` itself), only the agent, or the users that its service allows. */
type Writers = "everybody" | "we" | "service";

const folderOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export class OpenFolder {
  readonly #path: string;
  readonly #handle: FileHandle;

  /** `path` is only for error messages. */
  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** A path to the entry `name`. It stays valid if the folder is moved. Source: proc_pid_fd(5). */
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
   * Calls `act` with the subfolder `name`. If the subfolder does not exist: with `make` it is created, otherwise the
   * result is undefined. Throws `UntrustedFolderError`.
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
      // Other users must not enter: the services' folders inside have mode 1777.
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

/** Calls `act` with a folder below the host's `/tmp`; see `OpenFolder.within`. */
export async function inHostTmp<T>(
  hostRoot: string,
  names: readonly string[],
  { make }: { readonly make: boolean },
  act: (folder: OpenFolder) => Promise<T>,
): Promise<T | undefined> {
  const inside = ([name, ...deeper]: readonly string[], folder: OpenFolder): Promise<T | undefined> =>
    name === undefined ? act(folder) : folder.within(name, { make }, (one) => inside(deeper, one));
  // The administrator chooses this folder with --host-root, so it is trusted and may be a link.
  const root = new OpenFolder(hostRoot, await open(hostRoot, constants.O_RDONLY | constants.O_DIRECTORY));
  try {
    return await root.within("tmp", { make, writers: "everybody" }, (tmp) => inside(names, tmp));
  } finally {
    await root.close();
  }
}

/** What is wrong with a folder's owner or mode. Undefined if both are as expected. */
function objectionTo(uid: number, mode: number, writers: Writers): string | undefined {
  // Only root can write to the parent folder, so root made this one. Its service may change owner and mode.
  if (writers === "service") return undefined;
  if (uid !== 0 && uid !== process.geteuid?.()) return `belongs to user ${uid}`;
  const others = (mode & (constants.S_IWGRP | constants.S_IWOTH)) !== 0;
  // In a sticky folder, users cannot remove or rename files of other users.
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

/** For `catch`: ignores errors with one of these codes, and throws all others again. */
export const unless =
  (...codes: readonly string[]) =>
  (error: unknown): void => {
    if (!codes.includes(String(codeOf(error)))) throw error;
  };
