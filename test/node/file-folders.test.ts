import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { FileFolders, seenByEngine } from "../../runtimes/node/store/file-folders.ts";
import { isRoot, temporaryFolder } from "./temporary-folder.ts";

/** Tests of the file system only. test/conformance/folders.test.ts tests every implementation of the port. */

const services = "tmp/balena-supervisor/services";

/** The folders of a device, each on a new host. */
async function world() {
  const root = await temporaryFolder();
  const folderOf = (appId: number, service: string) => join(root, services, String(appId), service);
  return {
    root,
    folders: new FileFolders(root, "/"),
    /** The same folders after a restart of the agent. */
    restarted: () => new FileFolders(root, "/"),
    pathOf: (appId: number, service: string, name: string) => join(folderOf(appId, service), name),
    filesOf: async (appId: number, service: string) => (await readdir(folderOf(appId, service))).sort(),
  };
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );

const both = ["resin-updates.lock", "updates.lock"];

/** The applications whose locks we hold. */
const heldBy = (folders: FileFolders) => [...folders.held().keys()];

describe("a service's folder", () => {
  test("is where the engine finds it under the host's root", () => {
    expect(new FileFolders("/mnt/root", "/").root).toBe("/tmp/balena-supervisor/services");
    expect(new FileFolders("/mnt/root", "/mnt/root").root).toBe("/mnt/root/tmp/balena-supervisor/services");
  });

  test("is writable for all users, but a user may remove only own files", async () => {
    const { root, folders } = await world();
    await folders.prepare(1, "one");
    expect((await stat(join(root, services, "1", "one"))).mode & 0o7777).toBe(0o1777);
  });

  test("is made writable for all users if the engine created it", async () => {
    const { root, folders, pathOf } = await world();
    const folder = join(root, services, "1", "one");
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
    await writeFile(pathOf(1, "one", "kept"), "x");
    await folders.prepare(1, "one");
    expect((await stat(folder)).mode & 0o7777).toBe(0o1777);
    expect(await exists(pathOf(1, "one", "kept"))).toBe(true);
  });
});

describe("taking the locks", () => {
  test("creates a lock file under the current and the old name in every service's folder", async () => {
    const { folders, filesOf } = await world();
    expect(await folders.take(1, ["one", "two"], { force: false })).toEqual({ taken: true });
    expect(await filesOf(1, "one")).toEqual(both);
    expect(await filesOf(1, "two")).toEqual(both);
    expect(folders.held()).toEqual(new Map([[1, ["one", "two"]]]));
  });

  test("prevents others from taking them", async () => {
    const { folders, pathOf } = await world();
    await folders.take(1, ["one"], { force: false });
    for (const name of both) await expect(open(pathOf(1, "one", name), "wx")).rejects.toThrow("EEXIST");
  });

  test("and releasing them leaves no files", async () => {
    const { root, folders, filesOf } = await world();
    await folders.take(1, ["one"], { force: false });
    await folders.release(1);
    expect(await filesOf(1, "one")).toEqual([]);
    expect(await readdir(join(root, services))).toEqual(["1"]);
    expect(heldBy(folders)).toEqual([]);
  });

  test.runIf(isRoot)("sets owner nobody and read-only mode, as the reference implementation does", async () => {
    const { folders, pathOf } = await world();
    await folders.take(1, ["one"], { force: false });
    for (const name of both) {
      const { uid, mode } = await stat(pathOf(1, "one", name));
      expect([uid, mode & 0o777]).toEqual([65534, 0o444]);
    }
  });
});

describe("the lock file of a lease", () => {
  const text = "fairlead lease\n";

  test("belongs to the agent's user, can be read by everybody, and has a text of its own", async () => {
    const { folders, pathOf, filesOf, root } = await world();
    await folders.putLease(1, "one");
    expect(await filesOf(1, "one")).toEqual(["updates.lock"]);
    expect(await readFile(pathOf(1, "one", "updates.lock"), "utf8")).toBe(text);
    const { uid, mode } = await stat(pathOf(1, "one", "updates.lock"));
    expect([uid, mode & 0o777]).toEqual([process.getuid?.(), 0o444]);
    expect(await readdir(join(root, services))).toEqual(["1"]);
  });

  test("is kept when leftover locks are cleared", async () => {
    const { folders, restarted, filesOf } = await world();
    await folders.putLease(1, "one");
    await folders.take(1, ["two"], { force: false });
    await restarted().clearLeftovers();
    expect([await filesOf(1, "one"), await filesOf(1, "two")]).toEqual([["updates.lock"], []]);
  });

  test.each([
    ["a longer file", (path: string) => writeFile(path, `${text}more`)],
    ["an empty folder", (path: string) => mkdir(path)],
    [
      "a link to a file with the text",
      async (path: string) => {
        await writeFile(`${path}.target`, text);
        await symlink(`${path}.target`, path);
      },
    ],
  ])("is not removed if it has become %s", async (_, put) => {
    const { folders, pathOf } = await world();
    await folders.putLease(1, "one");
    const path = pathOf(1, "one", "updates.lock");
    await rm(path);
    await put(path);
    await folders.removeLease(1, "one");
    expect(await exists(path)).toBe(true);
    expect(await folders.lockedServices()).toEqual([{ appId: 1, service: "one" }]);
  });
});

/** The systemd unit sets a umask that makes files private to their owner. */
test("with any umask, all users in the container can use folders and read locks", async () => {
  const before = process.umask(0o077);
  onTestFinished(() => void process.umask(before));
  const { root, folders, pathOf } = await world();
  await folders.take(1, ["one"], { force: false });
  expect((await stat(join(root, services, "1", "one"))).mode & 0o7777).toBe(0o1777);
  for (const name of both) expect((await stat(pathOf(1, "one", name))).mode & 0o777).toBe(0o444);
});

/** Any file type at the lock's path counts as a lock. */
const inTheWay: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
  ["a file", (path) => writeFile(path, "")],
  ["a file with content", (path) => writeFile(path, "4711\n")],
  ["an unreadable file", (path) => writeFile(path, "", { mode: 0 })],
  ["an empty folder", (path) => mkdir(path)],
  ["a broken link", (path) => symlink("/nowhere", path)],
  ["a link to a file", (path) => symlink("/etc/hostname", path)],
  ["a pipe", async (path) => void execFileSync("mkfifo", [path])],
];

describe.each(both)("a user's %s", (name) => {
  test.each(inTheWay)("that is %s counts as a lock and is not removed", async (_, put) => {
    const { folders, pathOf, filesOf } = await world();
    await folders.prepare(1, "two");
    await put(pathOf(1, "two", name));
    expect(await folders.take(1, ["one", "two", "three"], { force: false })).toEqual({ taken: false, by: "two" });
    expect(await exists(pathOf(1, "two", name))).toBe(true);
    expect(await filesOf(1, "two")).toEqual([name]);
    expect(await filesOf(1, "one")).toEqual([]);
    expect(heldBy(folders)).toEqual([]);
  });

  test.each(inTheWay)("that is %s is removed with force", async (_, put) => {
    const { folders, pathOf, filesOf } = await world();
    await folders.prepare(1, "one");
    await put(pathOf(1, "one", name));
    expect(await folders.take(1, ["one"], { force: true })).toEqual({ taken: true });
    expect((await lstat(pathOf(1, "one", name))).isFile()).toBe(true);
    await folders.release(1);
    expect(await filesOf(1, "one")).toEqual([]);
  });
});

test("force removes a symbolic link, not its target", async () => {
  const { root, folders, pathOf } = await world();
  await folders.prepare(1, "one");
  await writeFile(join(root, "precious"), "x");
  await symlink(join(root, "precious"), pathOf(1, "one", "updates.lock"));
  await folders.take(1, ["one"], { force: true });
  expect(await readFile(join(root, "precious"), "utf8")).toBe("x");
});

test("a folder that is not empty is never removed, and then the other locks are released", async () => {
  const { folders, pathOf, filesOf } = await world();
  await folders.prepare(1, "two");
  await mkdir(pathOf(1, "two", "updates.lock"));
  await writeFile(join(pathOf(1, "two", "updates.lock"), "precious"), "x");
  const outcome = await folders.take(1, ["one", "two"], { force: true }).catch(() => "refused");
  expect(outcome).not.toEqual({ taken: true });
  expect(await exists(join(pathOf(1, "two", "updates.lock"), "precious"))).toBe(true);
  expect(await filesOf(1, "one")).toEqual([]);
  expect(heldBy(folders)).toEqual([]);
});

test("a lock that a service has created in place of ours is not removed", async () => {
  const { folders, pathOf } = await world();
  await folders.take(1, ["one"], { force: false });
  await rm(pathOf(1, "one", "updates.lock"));
  await writeFile(pathOf(1, "one", "updates.lock"), "mine");
  await folders.release(1);
  expect(await readFile(pathOf(1, "one", "updates.lock"), "utf8")).toBe("mine");
});

test("releasing a lock that somebody has already removed succeeds", async () => {
  const { root, folders } = await world();
  await folders.take(1, ["one"], { force: false });
  await rm(join(root, services), { recursive: true });
  await folders.release(1);
  expect(heldBy(folders)).toEqual([]);
});

describe("after the agent has ended without releasing its locks", () => {
  test("its own locks are removed, and the users' locks stay", async () => {
    const { folders, restarted, pathOf, filesOf } = await world();
    await folders.take(1, ["one", "two"], { force: false });
    await folders.take(2, ["one"], { force: false });
    await folders.prepare(3, "one");
    await writeFile(pathOf(3, "one", "updates.lock"), "");
    await writeFile(pathOf(3, "one", "handover-complete"), "");
    await folders.prepare(3, "two");
    await mkdir(pathOf(3, "two", "resin-updates.lock"));
    await restarted().clearLeftovers();
    expect(await filesOf(1, "one")).toEqual([]);
    expect(await filesOf(1, "two")).toEqual([]);
    expect(await filesOf(2, "one")).toEqual([]);
    expect(await filesOf(3, "one")).toEqual(["handover-complete", "updates.lock"]);
    expect(await filesOf(3, "two")).toEqual(["resin-updates.lock"]);
  });

  test.runIf(isRoot)("locks of the reference implementation are removed too, recognized by their owner", async () => {
    const { folders, pathOf, filesOf } = await world();
    await folders.prepare(1, "one");
    await writeFile(pathOf(1, "one", "updates.lock"), "0");
    await chown(pathOf(1, "one", "updates.lock"), 65534, 65534);
    await folders.clearLeftovers();
    expect(await filesOf(1, "one")).toEqual([]);
  });

  test("folders that the engine has created meanwhile are made writable for all users", async () => {
    const { root, folders } = await world();
    const folder = join(root, services, "1", "one");
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
    await folders.clearLeftovers();
    expect((await stat(folder)).mode & 0o7777).toBe(0o1777);
    expect((await stat(join(folder, ".."))).mode & 0o7777).toBe(0o755);
  });

  test("its temporary lock files are removed too", async () => {
    const { root, folders, restarted } = await world();
    await folders.take(1, ["one"], { force: false });
    await folders.release(1);
    await writeFile(join(root, services, ".lock-9b2c1e4a-7f6d-4a53-9d0f-0123456789ab"), "fairlead\n");
    await restarted().clearLeftovers();
    expect(await readdir(join(root, services))).toEqual(["1"]);
  });
});

test("if twenty callers ask for a lock at once, exactly one gets it", async () => {
  const { folders, pathOf } = await world();
  for (let round = 0; round < 30; round++) {
    const service = `s${round}`;
    await folders.prepare(1, service);
    const path = pathOf(1, service, "updates.lock");
    const users = Array.from({ length: 19 }, async () => {
      try {
        await (await open(path, "wx")).close();
        return true;
      } catch {
        return false;
      }
    });
    if (round % 2 === 0) await Promise.race(users);
    const agent = folders.take(1, [service], { force: false }).then(({ taken }) => taken);
    const winners = (await Promise.all([agent, ...users])).filter(Boolean);
    expect(winners).toHaveLength(1);
    await folders.release(1);
  }
});

describe("a hand-over", () => {
  test.each(["handover-complete", "resin-kill-me"])("is over when the service creates %s", async (name) => {
    const { folders, pathOf } = await world();
    await folders.prepare(1, "one");
    expect(await folders.hasTakenOver(1, "one")).toBe(false);
    await writeFile(pathOf(1, "one", name), "");
    expect(await folders.hasTakenOver(1, "one")).toBe(true);
  });

  test("begins without the files of the last one", async () => {
    const { folders, pathOf, filesOf } = await world();
    await folders.prepare(1, "one");
    await writeFile(pathOf(1, "one", "handover-complete"), "");
    await mkdir(pathOf(1, "one", "resin-kill-me"));
    await writeFile(pathOf(1, "one", "updates.lock"), "");
    await folders.clearTakeOver(1, "one");
    expect(await folders.hasTakenOver(1, "one")).toBe(false);
    expect(await filesOf(1, "one")).toEqual(["updates.lock"]);
  });
});

/** Any user of the host may have created these paths in `/tmp` before the agent started. */
describe("if another user has taken the path of a folder", () => {
  /** From the host's `/tmp` to the folder of service "one". */
  const places = ["", "balena-supervisor", "balena-supervisor/services", "balena-supervisor/services/1"];

  async function plantedWorld(place: string, plant: (path: string, victim: string) => Promise<unknown>) {
    const { root, folders } = await world();
    const path = join(root, "tmp", place);
    const victim = join(root, "victim");
    await mkdir(join(victim, "one"), { recursive: true });
    await chmod(join(victim, "one"), 0o700);
    await writeFile(join(victim, "one", "handover-complete"), "");
    await mkdir(join(path, ".."), { recursive: true });
    if (place !== "") await chmod(join(root, "tmp"), 0o1777);
    await plant(path, victim);
    const untouched = async () => {
      expect((await stat(join(victim, "one"))).mode & 0o7777).toBe(0o700);
      expect([await readdir(victim), await readdir(join(victim, "one"))]).toEqual([["one"], ["handover-complete"]]);
    };
    return { folders, path, untouched };
  }

  async function expectRefusal(place: string, plant: Parameters<typeof plantedWorld>[1], what: string) {
    const { folders, path, untouched } = await plantedWorld(place, plant);
    const advice = `the agent expected a folder of ${isRoot ? "root" : `root or user ${process.getuid?.()}`} to which no other user can write. Find out who made it (ls -ld ${path}), and remove it: the agent makes it again`;
    const refusal = `${path} ${what}, but ${advice}`;
    await expect(folders.prepare(1, "one")).rejects.toThrow(refusal);
    await expect(folders.take(1, ["one"], { force: true })).rejects.toThrow(refusal);
    expect(heldBy(folders)).toEqual([]);
    expect(await folders.hasTakenOver(1, "one")).toBe(false);
    await folders.clearTakeOver(1, "one");
    await folders.clearLeftovers();
    await untouched();
  }

  test.each([...places, "balena-supervisor/services/1/one"])("with a link at tmp/%s, the agent refuses", (place) =>
    expectRefusal(place, (path, victim) => symlink(victim, path), "is a symbolic link"),
  );

  test.each(places)("with a file at tmp/%s, the agent refuses", (place) =>
    expectRefusal(place, (path) => writeFile(path, ""), "is no folder"),
  );

  test.each(places)("with a pipe at tmp/%s, the agent refuses and does not block", (place) =>
    expectRefusal(place, async (path) => void execFileSync("mkfifo", [path]), "is no folder"),
  );

  test.runIf(isRoot).each(places)("with a folder of that user at tmp/%s, the agent refuses", (place) =>
    expectRefusal(
      place,
      async (path) => {
        await mkdir(path);
        await chown(path, 1234, 1234);
      },
      "belongs to user 1234",
    ),
  );

  test.each(places.flatMap((place) => [777, 775].map((mode) => [place, mode] as const)))(
    "with a writable folder at tmp/%s with mode %i, the agent refuses",
    (place, mode) =>
      expectRefusal(
        place,
        async (path) => {
          await mkdir(path);
          await chmod(path, `0${mode}`);
        },
        `can be written to by other users (its mode is ${mode})`,
      ),
  );

  test("with a sticky folder elsewhere than at tmp, the agent refuses", () =>
    expectRefusal(
      "balena-supervisor",
      async (path) => {
        await mkdir(path);
        await chmod(path, 0o1777);
      },
      "can be written to by other users (its mode is 1777)",
    ));

  test("the agent refuses, even if that user changes it all the time", async () => {
    const { root, folders } = await world();
    await folders.prepare(1, "one");
    const victim = join(root, "victim");
    await mkdir(join(victim, "services/1/one"), { recursive: true });
    await chmod(join(victim, "services/1/one"), 0o700);
    const place = join(root, "tmp/balena-supervisor");
    const swap = async () => {
      await rename(place, `${place}.real`);
      // In each gap, the agent may make the folder anew, which goes then.
      for (let isLinked = false; !isLinked;) {
        await rm(place, { recursive: true, force: true });
        isLinked = await symlink(victim, place).then(
          () => true,
          () => false,
        );
      }
      for (let isBack = false; !isBack;) {
        await rm(place, { recursive: true, force: true });
        isBack = await rename(`${place}.real`, place).then(
          () => true,
          () => false,
        );
      }
    };
    const outcomes = { done: 0, refused: 0 };
    for (let round = 0; round < 200; round++) {
      const prepared = folders.prepare(1, "one").then(
        () => outcomes.done++,
        () => outcomes.refused++,
      );
      await Promise.all([prepared, swap()]);
      await rm(join(root, "tmp/balena-supervisor.real"), { recursive: true, force: true });
    }
    expect(outcomes.done + outcomes.refused).toBe(200);
    expect((await stat(join(victim, "services/1/one"))).mode & 0o7777).toBe(0o700);
  });
});

describe("a user of the host", () => {
  const touch = (path: string) => spawnSync("touch", [path], { uid: 1234, gid: 1234, encoding: "utf8" });

  test.runIf(isRoot)("cannot enter a service's folder and so cannot hold a lock", async () => {
    const { root, folders, pathOf } = await world();
    await mkdir(join(root, "tmp"));
    await chmod(join(root, "tmp"), 0o1777);
    await chmod(root, 0o755);
    await folders.prepare(1, "one");
    expect(touch(join(root, "tmp/anything")).status).toBe(0);
    expect(touch(pathOf(1, "one", "updates.lock")).stderr).toContain("Permission denied");
    expect(await folders.take(1, ["one"], { force: false })).toEqual({ taken: true });
  });

  test("keeps the folders that others have created unchanged", async () => {
    const { root, folders } = await world();
    await mkdir(join(root, services), { recursive: true, mode: 0o755 });
    await folders.prepare(1, "one");
    const modeOf = async (path: string) => (await stat(join(root, path))).mode & 0o7777;
    expect(await Promise.all(["tmp/balena-supervisor", services, `${services}/1`].map(modeOf))).toEqual([
      0o755, 0o755, 0o700,
    ]);
  });
});

/** A service may be root in its container. */
describe("a service that puts something else into its folder", () => {
  test("keeps its own folders and their content", async () => {
    const { folders, pathOf } = await world();
    await folders.prepare(1, "one");
    await mkdir(pathOf(1, "one", "handover-complete"));
    await writeFile(join(pathOf(1, "one", "handover-complete"), "kept"), "");
    await folders.clearTakeOver(1, "one");
    expect(await readdir(pathOf(1, "one", "handover-complete"))).toEqual(["kept"]);
    expect(await folders.hasTakenOver(1, "one")).toBe(true);
  });

  test("cannot make the agent remove other files by links at the hand-over's paths", async () => {
    const { root, folders, pathOf } = await world();
    await folders.prepare(1, "one");
    await mkdir(join(root, "victim"));
    await writeFile(join(root, "victim/precious"), "");
    await symlink(join(root, "victim"), pathOf(1, "one", "handover-complete"));
    await symlink(join(root, "victim/precious"), pathOf(1, "one", "resin-kill-me"));
    expect(await folders.hasTakenOver(1, "one")).toBe(true);
    await folders.clearTakeOver(1, "one");
    expect(await folders.hasTakenOver(1, "one")).toBe(false);
    expect(await readdir(join(root, "victim"))).toEqual(["precious"]);
  });

  test("may change its mode, and the agent makes it writable again", async () => {
    const { folders, pathOf } = await world();
    await folders.prepare(1, "one");
    const folder = join(pathOf(1, "one", "x"), "..");
    if (isRoot) await chown(folder, 1234, 1234);
    await chmod(folder, 0o700);
    await folders.prepare(1, "one");
    expect((await stat(folder)).mode & 0o7777).toBe(0o1777);
  });

  /** Replaces the file at a path as fast as a shell can, until the test ends. */
  const keepSwapping = (folder: string, script: string) => {
    const child = spawn("sh", ["-c", `cd "$0"; while :; do ${script}; done`, folder], { stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    return new Promise<void>((resolve) => child.once("spawn", resolve));
  };

  test("cannot block the agent by a pipe in place of a file at any moment", async () => {
    const { root, folders, pathOf } = await world();
    await folders.prepare(1, "one");
    const folder = join(pathOf(1, "one", "x"), "..");
    await writeFile(join(folder, "file"), "not ours\n");
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await keepSwapping(folder, "ln -f file updates.lock; ln -f pipe updates.lock");
    for (let round = 0; round < 100; round++) await folders.clearLeftovers();
    expect(await readdir(join(root, services, "1"))).toEqual(["one"]);
    expect(await readFile(join(folder, "file"), "utf8")).toBe("not ours\n");
  });
});

describe("the host's root, in the engine's view,", () => {
  test("is the same for an agent outside a container", async () => {
    const root = await temporaryFolder();
    expect(await seenByEngine(root)).toBe(root);
    expect(await seenByEngine("/")).toBe("/");
  });

  test.runIf(process.platform === "linux")("is / when it is mounted somewhere", async () => {
    expect(await seenByEngine("/proc")).toBe("/");
  });
});
