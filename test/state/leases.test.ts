import { describe, expect, test } from "vitest";
import { MemoryFolders, MemoryLog, MemoryStore } from "../../core/embedded/ports.ts";
import { Documents } from "../../core/state/documents.ts";
import { Leases } from "../../core/state/leases.ts";
import { eventsTo } from "../support/events.ts";
import { HandClock, turn } from "./world.ts";

const minute = 60_000;
const decade = 10 * 365 * 24 * 60 * minute;
const upload = { appId: 1, service: "web", services: ["web"], owner: "web", reason: "upload", ttlMs: 30 * minute };
const gently = { force: false };

/** What survives a restart of the agent: the store and, unless the machine reboots, the folders. */
class Machine {
  readonly store = new MemoryStore();
  readonly log = new MemoryLog();
  folders = new MemoryFolders();
  writes = 0;
  full = false;
  readonly ended: number[] = [];

  async start(clock = new HandClock()) {
    const store = {
      read: (name: string) => this.store.read(name),
      write: async (documents: Readonly<Record<string, unknown>>) => {
        if (this.full) throw new Error("the disk is full");
        this.writes++;
        await this.store.write(documents);
      },
    };
    const leases = new Leases({
      documents: new Documents(store),
      clock,
      locks: this.folders,
      files: this.folders,
      events: eventsTo(this.log),
      onEnd: (appId) => this.ended.push(appId),
    });
    await leases.load();
    await leases.start();
    return { clock, leases };
  }
}

async function lease(leases: Leases, more: object = {}): Promise<string> {
  const taken = await leases.create({ ...upload, ...more });
  if (taken.is !== "leased") throw new Error(taken.is);
  return taken.lease.id;
}

const pass = async (clock: HandClock, ms: number) => {
  clock.pass(ms);
  await turn();
};

describe("a lease", () => {
  test("prevents the agent's locks of its application, and names owner, reason and end", async () => {
    const { leases } = await new Machine().start(new HandClock(Date.UTC(2026, 0, 1, 12)));
    await lease(leases);
    expect(await leases.take(1, ["db", "web"], gently)).toEqual({
      ...{ taken: false, by: "web", why: "locked by web: upload, until 12:30 UTC" },
    });
    expect(await leases.take(2, ["web"], gently)).toEqual({ taken: true });
  });

  test("ends after its time, and says so once", async () => {
    const machine = new Machine();
    const { clock, leases } = await machine.start();
    const id = await lease(leases);
    await pass(clock, 30 * minute - 1);
    expect([leases.find(id)?.id, machine.ended]).toEqual([id, []]);
    await pass(clock, 1);
    expect([leases.find(id), machine.ended, machine.folders.isLeased(1, "web")]).toEqual([undefined, [1], false]);
    expect(await leases.take(1, ["web"], gently)).toEqual({ taken: true });
  });

  test("that was renewed ends after the new time from then", async () => {
    const { clock, leases } = await new Machine().start();
    const id = await lease(leases);
    await pass(clock, 29 * minute);
    await leases.renew(id, 10 * minute);
    await pass(clock, 9 * minute);
    expect(leases.find(id)).toMatchObject({ expiresAt: clock.now() + minute });
    await pass(clock, minute);
    expect([leases.find(id), await leases.renew(id, minute)]).toEqual([undefined, undefined]);
  });

  test.each([-decade, decade])("lasts as long when the time of the machine jumps by %i ms", async (ms) => {
    const { clock, leases } = await new Machine().start(new HandClock(Date.UTC(2026, 0, 1)));
    const id = await lease(leases);
    await pass(clock, 10 * minute);
    clock.jump(ms);
    await pass(clock, 20 * minute - 1);
    expect(leases.find(id)).toMatchObject({ expiresAt: clock.now() + 1 });
    await pass(clock, 1);
    expect(leases.find(id)).toBeUndefined();
  });
});

describe("several leases", () => {
  test("keep one lock file until the last of them ends", async () => {
    const machine = new Machine();
    const { folders } = machine;
    const { leases } = await machine.start();
    const [one, other] = [await lease(leases), await lease(leases, { service: undefined, services: ["db", "web"] })];
    await leases.end(one);
    expect([folders.isLeased(1, "web"), folders.isLeased(1, "db")]).toEqual([true, true]);
    await leases.end(other);
    expect([folders.isLeased(1, "web"), folders.isLeased(1, "db")]).toEqual([false, false]);
  });

  test("are at most 100", async () => {
    const { leases } = await new Machine().start();
    for (let n = 0; n < 100; n++) await lease(leases, { appId: n + 1 });
    expect(await leases.create({ ...upload, appId: 200 })).toEqual({ is: "tooMany" });
  });
});

describe("across a restart of the agent", () => {
  test.each([0, -decade, decade])("a lease has the time that it had left, if the clock jumps by %i ms", async (ms) => {
    const machine = new Machine();
    const first = await machine.start(new HandClock(Date.UTC(2026, 0, 1)));
    const id = await lease(first.leases);
    await pass(first.clock, 20 * minute);
    await first.leases.stop();
    // A reboot empties /tmp.
    machine.folders = new MemoryFolders();
    const { clock, leases } = await machine.start(new HandClock(Date.UTC(2026, 0, 1) + ms));
    expect(machine.folders.isLeased(1, "web")).toBe(true);
    expect(leases.find(id)).toMatchObject({ owner: "web", reason: "upload", expiresAt: clock.now() + 10 * minute });
    await pass(clock, 10 * minute - 1);
    expect(await leases.take(1, ["web"], gently)).toMatchObject({ taken: false });
    await pass(clock, 1);
    expect(await leases.take(1, ["web"], gently)).toEqual({ taken: true });
  });

  test("after a power cut, it has the time that was stored last", async () => {
    const machine = new Machine();
    const first = await machine.start();
    const id = await lease(first.leases);
    await pass(first.clock, 20 * minute);
    const { clock, leases } = await machine.start();
    expect(leases.find(id)).toMatchObject({ expiresAt: clock.now() + 30 * minute });
  });

  test("without leases, nothing is written", async () => {
    const machine = new Machine();
    const { clock, leases } = await machine.start();
    await leases.stop();
    expect(machine.writes).toBe(0);
    const next = await machine.start(clock);
    await next.leases.end(await lease(next.leases));
    expect(await machine.store.read("leases")).toBeUndefined();
  });

  test("a lease that nobody renews or asks for is written once", async () => {
    const machine = new Machine();
    const { clock, leases } = await machine.start();
    await lease(leases);
    for (let n = 0; n < 29; n++) await pass(clock, minute);
    expect(machine.writes).toBe(1);
  });
});

describe("the agent's locks", () => {
  test("prevent leases of the application while they are held", async () => {
    const { leases } = await new Machine().start();
    await leases.take(1, ["web"], gently);
    expect(await leases.create(upload)).toEqual({ is: "swapping" });
    await lease(leases, { appId: 2 });
    await leases.release(1);
    await lease(leases);
  });

  test("and a lease are never both taken at the same time", async () => {
    const { leases } = await new Machine().start();
    const results = await Promise.all([leases.create(upload), leases.take(1, ["web"], gently)]);
    expect(results).toMatchObject([{ is: "leased" }, { taken: false }]);
    const [taken, refused] = await Promise.all([leases.take(2, ["a"], gently), leases.create({ ...upload, appId: 2 })]);
    expect([taken, refused]).toEqual([{ taken: true }, { is: "swapping" }]);
  });

  test("taken by force end the leases of the application, with an event for each", async () => {
    const machine = new Machine();
    const { leases } = await machine.start();
    const id = await lease(leases);
    const other = await lease(leases, { appId: 2 });
    expect(await leases.take(1, ["web"], { force: true })).toEqual({ taken: true });
    expect([leases.find(id), await leases.renew(id, minute), leases.find(other)?.id]).toEqual([
      ...[undefined, undefined, other],
    ]);
    expect(machine.log.lines).toEqual(["warning: The lease of web for service 'web' was ended by force: upload"]);
    await leases.release(1);
    expect(machine.folders.isLeased(1, "web")).toBe(false);
    const next = await machine.start();
    expect([next.leases.find(id), next.leases.find(other)?.id]).toEqual([undefined, other]);
  });
});

describe("with a full disk", () => {
  test("no lease is given", async () => {
    const machine = new Machine();
    const { leases } = await machine.start();
    machine.full = true;
    await expect(leases.create(upload)).rejects.toThrow("the disk is full");
    expect([leases.list(), machine.folders.isLeased(1, "web")]).toEqual([[], false]);
    expect(await leases.take(1, ["web"], gently)).toEqual({ taken: true });
  });

  test("a lease ends nevertheless, and a renewal that cannot be stored changes nothing", async () => {
    const machine = new Machine();
    const { clock, leases } = await machine.start();
    const id = await lease(leases);
    machine.full = true;
    await expect(leases.renew(id, 60 * minute)).rejects.toThrow("the disk is full");
    await pass(clock, 30 * minute);
    expect([leases.list(), machine.folders.isLeased(1, "web")]).toEqual([[], false]);
    expect(machine.log.lines).toEqual([expect.stringContaining("the disk is full")]);
  });
});

test("the lock file of a service stays when a lease ends", async () => {
  const machine = new Machine();
  const { leases } = await machine.start();
  machine.folders.lock(1, "web");
  await leases.end(await lease(leases));
  expect(machine.folders.isLocked(1, "web")).toBe(true);
  expect(await leases.take(1, ["web"], gently)).toEqual({ taken: false, by: "web" });
});
