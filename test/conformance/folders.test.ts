import { lstat, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MemoryFolders } from "../../core/embedded/ports.ts";
import type { Handover } from "../../core/ports/handover.ts";
import type { LeaseFiles } from "../../core/ports/lease-files.ts";
import type { ServiceFolders } from "../../core/ports/service-folders.ts";
import type { UpdateLocks } from "../../core/ports/update-locks.ts";
import { FileFolders } from "../../runtimes/node/store/file-folders.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of these four ports. What only files can show: test/node/file-folders.test.ts. */

type Folders = ServiceFolders & UpdateLocks & LeaseFiles & Handover;

interface Bench {
  readonly folders: Folders;
  /** The same folders in the next run of the agent. */
  readonly restart: () => Folders;
  /** What services do in their folders. `lock` tells whether the lock was free. */
  readonly lock: (appId: number, service: string) => Promise<boolean>;
  readonly unlock: (appId: number, service: string) => Promise<void>;
  /** Whether the service's own lock is there. */
  readonly isLocked: (appId: number, service: string) => Promise<boolean>;
  readonly takeOver: (appId: number, service: string) => Promise<void>;
  readonly confirm: (appId: number, service: string) => Promise<void>;
}

async function memory(): Promise<Bench> {
  const folders = new MemoryFolders();
  return {
    folders,
    restart: () => folders.restarted(),
    lock: async (appId, service) => folders.lock(appId, service),
    unlock: async (appId, service) => folders.unlock(appId, service),
    isLocked: async (appId, service) => folders.isLocked(appId, service),
    takeOver: async (appId, service) => folders.takeOver(appId, service),
    confirm: async (appId, service) => folders.confirm(appId, service),
  };
}

async function files(): Promise<Bench> {
  const root = await temporaryFolder();
  const folders = new FileFolders(root, "/");
  const pathOf = (appId: number, service: string, name: string) =>
    join(root, "tmp/balena-supervisor/services", String(appId), service, name);
  const put = async (appId: number, service: string, name: string) => {
    await folders.prepare(appId, service);
    await writeFile(pathOf(appId, service, name), "of the service", { flag: "wx" });
  };
  return {
    folders,
    restart: () => new FileFolders(root, "/"),
    lock: async (appId, service) => {
      await folders.prepare(appId, service);
      const ours = await lstat(pathOf(appId, service, "updates.lock")).catch(() => undefined);
      return ours === undefined && put(appId, service, "updates.lock").then(() => true);
    },
    unlock: (appId, service) => rm(pathOf(appId, service, "updates.lock")),
    isLocked: async (appId, service) =>
      (await readFile(pathOf(appId, service, "updates.lock"), "utf8").catch(() => "")) === "of the service",
    takeOver: (appId, service) => put(appId, service, "handover-complete"),
    confirm: (appId, service) => put(appId, service, "update-confirmed"),
  };
}

const gently = { force: false };
const taken = { taken: true };

describe.each([
  ["in memory", memory],
  ["on disk", files],
])("folders %s", (_, create) => {
  test("have a root that is an absolute path", async () => {
    expect((await create()).folders.root).toMatch(/^\//);
  });

  test("can be prepared repeatedly", async () => {
    const { folders, lock, isLocked } = await create();
    await folders.prepare(1, "one");
    await lock(1, "one");
    await folders.prepare(1, "one");
    expect(await isLocked(1, "one")).toBe(true);
  });

  describe("taking the locks", () => {
    test("takes those of all services, and no service can lock meanwhile", async () => {
      const { folders, lock } = await create();
      expect(await folders.take(1, ["one", "two"], gently)).toEqual(taken);
      expect(folders.held()).toEqual(new Map([[1, ["one", "two"]]]));
      expect(await Promise.all([lock(1, "one"), lock(1, "two"), lock(1, "three")])).toEqual([false, false, true]);
    });

    test("again succeeds, also for more services", async () => {
      const { folders, lock } = await create();
      await folders.take(1, ["one"], gently);
      expect(await folders.take(1, ["one", "two"], gently)).toEqual(taken);
      expect(folders.held()).toEqual(new Map([[1, ["one", "two"]]]));
      await folders.release(1);
      expect(await Promise.all([lock(1, "one"), lock(1, "two")])).toEqual([true, true]);
    });

    test("again for fewer services keeps the others", async () => {
      const { folders, lock } = await create();
      await folders.take(1, ["one", "two"], gently);
      expect(await folders.take(1, ["two"], gently)).toEqual(taken);
      expect(folders.held()).toEqual(new Map([[1, ["one", "two"]]]));
      expect(await lock(1, "one")).toBe(false);
    });

    test("of an application without services succeeds", async () => {
      const { folders } = await create();
      expect(await folders.take(1, [], gently)).toEqual(taken);
      expect(folders.held()).toEqual(new Map([[1, []]]));
    });

    test("affects one application only", async () => {
      const { folders, lock } = await create();
      await folders.take(1, ["one"], gently);
      await folders.take(2, ["one"], gently);
      expect([...folders.held().keys()]).toEqual([1, 2]);
      await folders.release(1);
      expect([...folders.held().keys()]).toEqual([2]);
      expect(await Promise.all([lock(1, "one"), lock(2, "one")])).toEqual([true, false]);
    });

    test("twenty times at once succeeds each time", async () => {
      const { folders, lock } = await create();
      const attempts = Array.from({ length: 20 }, () => folders.take(1, ["one", "two"], gently));
      expect(await Promise.all(attempts)).toEqual(attempts.map(() => taken));
      await folders.release(1);
      expect(folders.held()).toEqual(new Map());
      expect(await Promise.all([lock(1, "one"), lock(1, "two")])).toEqual([true, true]);
    });

    test("returns a copy of the held locks", async () => {
      const { folders } = await create();
      await folders.take(1, ["one"], gently);
      const before = folders.held();
      await folders.release(1);
      expect(before).toEqual(new Map([[1, ["one"]]]));
    });
  });

  describe("a service's lock", () => {
    test("prevents all locks of its application, and stays", async () => {
      const { folders, lock, isLocked } = await create();
      await lock(1, "two");
      expect(await folders.take(1, ["one", "two", "three"], gently)).toEqual({ taken: false, by: "two" });
      expect(folders.held()).toEqual(new Map());
      expect(await isLocked(1, "two")).toBe(true);
      expect(await Promise.all([lock(1, "one"), lock(1, "three")])).toEqual([true, true]);
    });

    test("of another service or application prevents nothing", async () => {
      const { folders, lock } = await create();
      await Promise.all([lock(1, "other"), lock(2, "one")]);
      expect(await folders.take(1, ["one"], gently)).toEqual(taken);
    });

    test("is named in the given order of the services", async () => {
      const { folders, lock } = await create();
      await Promise.all([lock(1, "one"), lock(1, "two")]);
      expect(await folders.take(1, ["two", "one"], gently)).toEqual({ taken: false, by: "two" });
    });

    test("that comes later does not change the held locks", async () => {
      const { folders, lock, isLocked } = await create();
      await folders.take(1, ["one"], gently);
      await lock(1, "two");
      expect(await folders.take(1, ["one", "two"], gently)).toEqual({ taken: false, by: "two" });
      expect(folders.held()).toEqual(new Map([[1, ["one"]]]));
      expect(await lock(1, "one")).toBe(false);
      await folders.release(1);
      expect(await isLocked(1, "two")).toBe(true);
    });

    test("is removed by force", async () => {
      const { folders, lock, isLocked } = await create();
      await lock(1, "one");
      expect(await folders.take(1, ["one", "two"], { force: true })).toEqual(taken);
      expect(await isLocked(1, "one")).toBe(false);
      await folders.release(1);
      expect(await isLocked(1, "one")).toBe(false);
      expect(await lock(1, "one")).toBe(true);
    });

    test("prevents the locks until the service removes it", async () => {
      const { folders, lock, unlock } = await create();
      await lock(1, "one");
      expect(await folders.take(1, ["one"], gently)).toEqual({ taken: false, by: "one" });
      await unlock(1, "one");
      expect(await folders.take(1, ["one"], gently)).toEqual(taken);
    });
  });

  test("releasing locks that are not held changes nothing", async () => {
    const { folders, lock, isLocked } = await create();
    await lock(1, "one");
    await folders.release(1);
    await folders.release(2);
    expect(await isLocked(1, "one")).toBe(true);
  });

  describe("in the next run of the agent", () => {
    test("no lock counts as held, although the files still exist", async () => {
      const { folders, restart, lock } = await create();
      await folders.take(1, ["one"], gently);
      expect(restart().held()).toEqual(new Map());
      expect(await lock(1, "one")).toBe(false);
    });

    test("the locks of the previous run are taken over", async () => {
      const { folders, restart, lock } = await create();
      await folders.take(1, ["one"], gently);
      const later = restart();
      expect(await later.take(1, ["one"], gently)).toEqual(taken);
      await later.release(1);
      expect(await lock(1, "one")).toBe(true);
    });

    test("leftover locks are cleared, and the locks and signals of services stay", async () => {
      const { folders, restart, lock, isLocked, takeOver } = await create();
      await folders.take(1, ["one", "two"], gently);
      await folders.take(2, ["one"], gently);
      await lock(3, "one");
      await takeOver(3, "two");
      const later = restart();
      await later.clearLeftovers();
      expect(await Promise.all([lock(1, "one"), lock(1, "two"), lock(2, "one")])).toEqual([true, true, true]);
      expect(await isLocked(3, "one")).toBe(true);
      expect(await later.hasTakenOver(3, "two")).toBe(true);
    });

    test("clearing leftover locks keeps the locks of this run", async () => {
      const { folders, restart, lock } = await create();
      await folders.take(1, ["one", "two"], gently);
      const later = restart();
      await later.take(1, ["one"], gently);
      await later.clearLeftovers();
      expect(later.held()).toEqual(new Map([[1, ["one"]]]));
      expect(await Promise.all([lock(1, "one"), lock(1, "two")])).toEqual([false, true]);
    });

    test("clearing succeeds without any folder", async () => {
      const { folders } = await create();
      await expect(folders.clearLeftovers()).resolves.toBeUndefined();
    });
  });

  describe("the lock file of a lease", () => {
    test("keeps services from locking until it is removed, and survives the end of the agent", async () => {
      const { folders, restart, lock } = await create();
      await folders.putLease(1, "one");
      await folders.putLease(1, "one");
      const later = restart();
      await later.clearLeftovers();
      expect(await Promise.all([lock(1, "one"), lock(1, "two")])).toEqual([false, true]);
      await later.removeLease(1, "one");
      expect(await lock(1, "one")).toBe(true);
    });

    test("does not replace the lock of a service, and is not removed for it", async () => {
      const { folders, lock, isLocked } = await create();
      await lock(1, "one");
      await folders.putLease(1, "one");
      await folders.removeLease(1, "one");
      expect(await isLocked(1, "one")).toBe(true);
    });

    test("does not replace the lock of the agent", async () => {
      const { folders, lock } = await create();
      await folders.take(1, ["one"], gently);
      await folders.putLease(1, "one");
      await folders.removeLease(1, "one");
      expect(await lock(1, "one")).toBe(false);
      await folders.release(1);
      expect(await lock(1, "one")).toBe(true);
    });

    test("gives way to the agent's lock, since whoever takes that has looked at the leases", async () => {
      const { folders, lock } = await create();
      await folders.putLease(1, "one");
      expect(await folders.take(1, ["one"], gently)).toEqual(taken);
      await folders.release(1);
      expect(await lock(1, "one")).toBe(true);
    });

    test("can be removed without being there", async () => {
      await expect((await create()).folders.removeLease(1, "one")).resolves.toBeUndefined();
    });
  });

  test("the services with locks of their own are listed, without the agent's locks and leases", async () => {
    const { folders, lock } = await create();
    expect(await folders.lockedServices()).toEqual([]);
    await folders.take(2, ["one"], gently);
    await folders.putLease(3, "one");
    await Promise.all([lock(1, "one"), lock(3, "two")]);
    expect((await folders.lockedServices()).toSorted((a, b) => a.appId - b.appId)).toEqual([
      { appId: 1, service: "one" },
      { appId: 3, service: "two" },
    ]);
  });

  describe("the signal that a service has taken over", () => {
    test("belongs to one service", async () => {
      const { folders, takeOver } = await create();
      await folders.prepare(1, "one");
      expect(await folders.hasTakenOver(1, "one")).toBe(false);
      await takeOver(1, "one");
      expect(await folders.hasTakenOver(1, "one")).toBe(true);
      expect(await folders.hasTakenOver(1, "two")).toBe(false);
      expect(await folders.hasTakenOver(2, "one")).toBe(false);
    });

    test("is removed without the service's lock, and its removal succeeds if there is none", async () => {
      const { folders, lock, isLocked, takeOver } = await create();
      await takeOver(1, "one");
      await lock(1, "one");
      await folders.clearTakeOver(1, "one");
      expect(await folders.hasTakenOver(1, "one")).toBe(false);
      expect(await isLocked(1, "one")).toBe(true);
      await expect(folders.clearTakeOver(1, "two")).resolves.toBeUndefined();
    });
  });

  test("the confirmation of an update belongs to one service, and is removed alone", async () => {
    const { folders, takeOver, confirm } = await create();
    await takeOver(1, "one");
    expect(await folders.hasConfirmed(1, "one")).toBe(false);
    await confirm(1, "one");
    expect(await folders.hasConfirmed(1, "one")).toBe(true);
    expect(await folders.hasConfirmed(1, "two")).toBe(false);
    await folders.clearConfirmation(1, "one");
    expect([await folders.hasConfirmed(1, "one"), await folders.hasTakenOver(1, "one")]).toEqual([false, true]);
    await expect(folders.clearConfirmation(2, "two")).resolves.toBeUndefined();
  });
});
