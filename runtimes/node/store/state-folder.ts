import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";

/** Who uses a folder of state, for whoever wants to use it too. In a container, the process id alone says little. */
const Holder = z.object({ pid: z.int(), host: z.string(), since: z.string() });

/** A lock that nothing refers to would be given back by the garbage collector. */
const held = new Set<DatabaseSync>();

/** SQLITE_BUSY; source: sqlite.org/rescode.html. */
const busy = 5;

/**
 * Makes the folder of the agent's state if it is not there, and claims it for this agent alone. Throws when another
 * agent has claimed it, or another user can write to it: with the target state, who can write it is as good as root.
 *
 * The claim is the lock that SQLite takes on a file, a POSIX lock of the kernel: it ends with its process, however that
 * ends, and holds between containers that share a volume. A file with a process id would outlive a SIGKILL, and the id
 * means nothing in another container; an abstract socket is one per network namespace; Node has no flock(2).
 */
export function claimStateFolder(folder: string): { readonly release: () => void } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const objection = objectionTo(folder);
  if (objection !== undefined) throw new Error(objection);
  const lock = join(folder, "agent.lock");
  const holder = join(folder, "agent.holder");
  // Whoever can read the file of the lock could lock it. Only SQLite may open one that exists, and nothing is written into
  // it: when a process closes a file, it loses its POSIX locks on it.
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

/** Root and we may write, and our own group, which many systems give to each user alone. */
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
    // It has claimed the folder just now, or has no space left for this.
    return "";
  }
}
