import { isHandingOver } from "../../core/model/names.ts";
import {
  applyUpdate,
  confirmUpdate,
  failUpdate,
  retryUpdate,
  rollBackUpdate,
} from "../../core/operations/update-decisions.ts";
import { powerDown } from "../../core/operations/power.ts";
import type { Chance } from "./clock.ts";
import type { Quirk } from "./quirks.ts";
import { World } from "./world.ts";
import { anyWish } from "./wishes.ts";

/** What people, programs and clouds do to a device, one thing at a time. */
const deeds: readonly ((world: World, chance: Chance) => Promise<unknown> | unknown)[] = [
  (world, chance) => world.setTarget(anyWish(chance, { words: world.troubled }), chance.happens(0.2)),
  (world, chance) => world.setTarget(anyWish(chance, { words: world.troubled }), chance.happens(0.2)),
  (world, chance) => world.setTarget(anyWish(chance, { words: world.troubled }), chance.happens(0.2)),
  (world, chance) => {
    const app = chance.pick([1, 2]);
    const service = chance.pick(["a", "b", "c"]);
    if (world.folders.lock(app, service)) world.tell(`lock ${app}/${service}`);
    if (chance.happens(0.7)) world.forced.delete(app);
  },
  (world) => {
    world.tell("unlock all");
    world.unlockAll();
  },
  (world, chance) =>
    world.takeLease(chance.pick([1, 2]), chance.pick([undefined, "a", "b", "c"]), 1 + chance.below(60)),
  (world, chance) => world.renewOrEndLease(chance.happens(0.5) ? 1 + chance.below(60) : undefined),
  async (world, chance) => {
    const container = await anyContainer(world, chance);
    if (!container) return;
    world.tell(`somebody removes ${container.name}`);
    await world.engine.stopContainer(container.id);
    await world.engine.removeContainer(container.id);
  },
  async (world, chance) => {
    const container = await anyContainer(world, chance);
    if (container?.state !== "running" || container.service === "job" || isHandingOver(container)) return;
    world.tell(`somebody stops ${container.name}`);
    world.leftAlone.add(container.id);
    await world.engine.stopContainer(container.id);
  },
  (world, chance) => {
    const name = `${chance.pick(["a", "b", "c"])}:v${1 + chance.below(3)}`;
    if (!world.supervisor) return;
    world.tell(`somebody builds ${name}`);
    world.fetched.delete(name);
    world.engine.addImage(name, { environment: { BUILD: String(chance.below(1000)) } });
  },
  (world, chance) => recreate(world, chance.pick([1, 2]), "stopped", chance.happens(0.3)),
  (world, chance) => recreate(world, chance.pick([1, 2]), "purged", chance.happens(0.3)),
  reboot,
  (world, chance) => {
    const force = chance.happens(0.3);
    world.tell(`update${force ? " forced" : ""}`);
    world.retry({ force, cancel: true });
  },
  forceUnderLock,
  forceUnderLock,
  (world) => world.useDisk(),
  (world, chance) => world.setClock(chance.pick([-tenYears, tenYears])),
];

const tenYears = 3653 * 86_400_000;

/** Somebody decides about an update, whether there is one or not. */
async function decide(world: World, chance: Chance): Promise<void> {
  const { supervisor } = world;
  if (!supervisor) return;
  const tried = [1, 2].filter((appId) => world.promises.isTried(appId));
  const subject = { appId: chance.pick([1, 2, ...tried, ...tried, ...tried]), by: "somebody" };
  const [what, act] = chance.pick([
    ["confirm", () => confirmUpdate(supervisor, subject, { service: chance.pick([undefined, "a", "b"]) })],
    ["confirm", () => confirmUpdate(supervisor, subject, {})],
    ["apply", () => applyUpdate(supervisor, subject, {})],
    ["apply", () => applyUpdate(supervisor, subject, {})],
    ["fail", () => failUpdate(supervisor, subject, { reason: "it hums" })],
    ["retry", () => retryUpdate(supervisor, subject)],
    ["rollback", () => rollBackUpdate(supervisor, subject, {})],
    ["rollback", () => rollBackUpdate(supervisor, subject, {})],
  ] as const);
  const decided = await act().catch((error: unknown) => ({ is: "refused", reason: String(error) }) as const);
  if (what === "retry") world.promises.retried(subject.appId);
  world.tell(`${what} the update of ${subject.appId}: ${decided.is === "refused" ? decided.reason : decided.is}`);
  if (decided.is === "refused" || (what !== "fail" && what !== "rollback") || chance.happens(0.5)) return;
  // Another target comes while the committed release is on its way back.
  await world.clock.sleep(chance.below(2000));
  await world.setTarget(anyWish(chance, { words: true }), false);
}

/** Somebody forces what a service has locked, while looks are under way that know nothing of it. */
async function forceUnderLock(world: World, chance: Chance): Promise<void> {
  const container = await anyContainer(world, chance);
  if (!container || !world.supervisor) return;
  const { appId, service } = container;
  if (world.folders.lock(appId, service)) world.tell(`lock ${appId}/${service}`);
  if (chance.happens(0.7)) world.supervisor.loop.nudge();
  await world.clock.sleep(chance.below(300));
  chance.pick([
    () => recreate(world, appId, "stopped", true),
    () => recreate(world, appId, "purged", true),
    () => world.setTarget(anyWish(chance, { words: world.troubled }), true),
  ])();
  if (chance.happens(0.5)) await world.clock.sleep(chance.below(300));
  if (chance.happens(0.3)) recreate(world, appId, "stopped", false);
}

async function anyContainer(world: World, chance: Chance) {
  const { containers } = await world.engine.look();
  return containers[chance.below(containers.length)];
}

function recreate(world: World, appId: number, kind: "stopped" | "purged", force: boolean): void {
  if (!world.supervisor || !world.target.apps.some((app) => app.appId === appId)) return;
  const what = `${kind === "stopped" ? "restart" : "purge"} ${appId}${force ? " forced" : ""}`;
  world.tell(what);
  world.deed();
  world.disturbed.add(appId);
  if (kind === "purged") {
    world.purging.add(appId);
    world.promises.purged(appId);
  }
  if (force) world.force(appId);
  world.recreations.push(appId);
  const { supervisor } = world;
  void supervisor.loop.recreate(appId, kind, { force }).then((reached) => {
    if (world.supervisor !== supervisor) return;
    world.recreations.splice(world.recreations.indexOf(appId), 1);
    world.tell(`${what}: ${reached.is}`);
    if (force && reached.is === "locked") world.breaks(`Obeys force: ${what} is refused: ${reached.message}`);
  });
}

/** The machine never goes down: it refuses, or it does nothing about it. Then the services come back. */
function reboot(world: World, chance: Chance): void {
  const { supervisor } = world;
  const force = chance.happens(0.3);
  if (!supervisor) return;
  world.power.refusal = chance.happens(0.7) ? "the machine refuses" : undefined;
  world.tell(`reboot${force ? " forced" : ""}`);
  for (const { appId } of world.target.apps) world.disturbed.add(appId);
  if (force) world.forceAll();
  powerDown(supervisor, "reboot", { force }).catch((error: unknown) => world.tell(String(error)));
}

/** How the world treats the agent in one life. */
export interface Fate {
  readonly seed: number;
  readonly faults: number;
  readonly delays: number;
  readonly deeds: number;
  /** The number of the call at which the agent dies for the first time. */
  readonly crashAt?: number;
  /** What the engine reads back in another way than it was told. */
  readonly quirks?: readonly Quirk[];
  /** Programs fail, and people decide about updates. */
  readonly troubled?: boolean;
}

export interface Life {
  readonly world: World;
  /** Calls of the agent's first run. */
  readonly calls: number;
}

const minute = 60_000;

/** A whole life of a device; what is promised at any time is watched by the world. Then the world becomes kind. */
export async function live({
  seed,
  faults,
  delays,
  deeds: count,
  crashAt,
  quirks,
  troubled = false,
}: Fate): Promise<Life> {
  const world = new World(seed, quirks, troubled);
  const { chance } = world;
  let booting: Promise<void> = Promise.resolve();
  const reboot = () => {
    world.crash();
    booting = world.boot({ faults, delays });
  };
  booting = world.boot({ faults, delays, crashAt, onCrash: reboot });
  const first = world.hostile;
  await world.elapse(booting);
  await world.elapse(world.setTarget(anyWish(chance, { words: world.troubled }), false));
  for (let n = 0; n < count; n++) {
    world.deed();
    await world.elapse(chance.pick([noDeed, ...deeds, ...(troubled ? [decide, decide] : [])])(world, chance));
    // An update takes its time to prove itself.
    await world.watch(chance.below(troubled ? 30_000 : 8000));
    if (chance.happens(0.08)) {
      world.deed();
      reboot();
    }
    // The release that is tried makes the machine restart.
    for (let times = troubled && chance.happens(0.06) ? 5 : 0; times > 0; times--) {
      world.deed();
      reboot();
      await world.elapse(booting);
      await world.watch(chance.below(4000));
    }
    await world.elapse(booting);
  }
  const calls = first?.calls ?? 0;

  world.becomeKind();
  await world.elapse(booting, 200_000);
  world.tell("the world becomes kind");
  world.disk.bytes *= 100;
  world.deed();
  world.unlockAll();
  world.retry({ force: false });
  return { world, calls };
}

const noDeed = () => undefined;

/** Lets time pass until the device has reached its target, at most an hour. */
export async function settle(world: World): Promise<string[]> {
  let left = await world.differences();
  for (let minutes = 0; minutes < 60 && (left.length > 0 || !world.supervisor?.loop.isSettled()); minutes++) {
    await world.clock.advance(minute);
    left = await world.differences();
  }
  return left;
}
