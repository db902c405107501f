import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";

/** The agent that uses a state folder, for the error message of a second agent. A process id is not unique in containers. */
const Holder = z.object({ pid: z.int(), host: z.string(), since: z.string() });

/** References to the open locks. Without them, the garbage collector would release the locks. */
const held = new Set<DatabaseSync>();

/** SQLITE_BUSY; source: sqlite.org/rescode.html. */
const busy = 5;

/**
 * Creates the agent's state folder if it does not exist, and claims it for this agent. Throws if another agent has claimed
 * it, or if another user can write to it: a user who can change the target state can become root.
 *
 * The claim is SQLite's lock on a file, a POSIX lock. The kernel releases it when the process ends, also after a SIGKILL,
 * and it works between containers that share a volume. A file with a process id would stay after a SIGKILL, and the id
 * means nothing in another container. An abstract socket works only in one network namespace. Node has no flock(2).
 */
export function claimStateFolder(folder: string): { readonly release: () => void } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const objection = objectionTo(folder);
  if (objection !== undefined) throw new Error(objection);
  const lock = join(folder, "agent.lock");
  const holder = join(folder, "agent.holder");
  // Mode 600, because a user who can read the file could lock it. Only SQLite may open an existing lock file: when a process
  // closes any descriptor of a file, it loses its POSIX locks on that file.
  if (!existsSync(lock)) closeSync(openSync(lock, "a", 0o600));
  const database = new DatabaseSync(lock);
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (!(error instanceof Error && "errcode" in error && error.errcode === busy)) throw error;
    throw new Error(
      `another agent uses it${describe(holder)}. End that one, or give this one a folder of its own with --state-dir`,
    );
  }
  const mine = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  writeFileSync(holder, `${JSON.stringify(mine satisfies z.output<typeof Holder>)}\n`, { mode: 0o600 });
  held.add(database);
  return {
    release: () => {
      if (held.delete(database)) database.close();
    },
  };
}

/** Only root, the agent's user and its primary group may write. On many systems that group has only this user. */
function objectionTo(folder: string): string | undefined {
  const { uid, gid, mode } = statSync(folder);
  const ours = (id: number, own: number | undefined) => id === 0 || id === own;
  const open = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !ours(gid, process.getegid?.()));
  if (ours(uid, process.geteuid?.()) && !open) return undefined;
  return `other users can write to it (owner ${uid}, group ${gid}, mode ${(mode & 0o7777).toString(8)}). Make it the agent's own: chown ${process.geteuid?.() ?? 0} ${folder} && chmod 700 ${folder}`;
}

function describe(file: string): string {
  try {
    const { pid, host, since } = Holder.parse(JSON.parse(readFileSync(file, "utf8")));
    return `: process ${pid} on ${host}, since ${since}`;
  } catch {
    // The other agent has not written the file yet, or the disk is full.
    return "";
  }
}
