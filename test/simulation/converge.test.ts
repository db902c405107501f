import { describe, expect, test } from "vitest";
import { Chance } from "./clock.ts";
import { live, settle, type Fate } from "./life.ts";
import { harmless, quirks, type Quirk } from "./quirks.ts";
import { secret } from "./wishes.ts";
import type { World } from "./world.ts";

/** `SEED=1234 npm run simulate` repeats one life and tells its story. */
const seeds = process.env["SEED"] ? [Number(process.env["SEED"])] : range(Number(process.env["SEEDS"] ?? 2000));
const told = process.env["SEED"] !== undefined;

const namesOf = (some: Partial<Record<Quirk, unknown>>) =>
  Object.keys(some).filter((name): name is Quirk => Object.hasOwn(quirks, name));

function range(length: number): number[] {
  return Array.from({ length }, (_, n) => n);
}

/** The promises of the end: on target, at rest, and so after a restart of the agent. */
async function endings(world: World): Promise<string[]> {
  const broken = [...world.broken];
  const left = await settle(world);
  if (left.length > 0) return [...broken, ...left.map((one) => `Converges: ${one}`)];
  const mixed = await world.promises.mixed(await world.heldUp());
  broken.push(...mixed.map((one) => `Mixes no releases in the end: ${one}`));

  const rested = await doings(world, () => world.clock.advance(3_600_000));
  broken.push(...rested.map((one) => `Rests: ${one}`));

  const heldUp = await world.heldUp();
  const { containers, images } = await world.engine.look();
  const theirs = containers.filter(({ appId, service }) => heldUp.has(`${appId}/${service}`));
  const theirImages = images
    .filter(({ id }) => theirs.some(({ spec }) => spec.image === id))
    .flatMap(({ tags }) => tags);
  const mayMove = new Set([...heldUp, ...theirImages]);
  world.crash();
  const restarted = await doings(world, async () => {
    await world.elapse(world.boot({ faults: 0, delays: 0 }));
    await world.clock.advance(60_000);
  });
  // What people had stopped starts again with the agent, what it held up comes with it, and nothing else happens.
  broken.push(...restarted.filter((one) => !mayMove.has(subjectOf(one))).map((one) => `Rests after a restart: ${one}`));
  return broken;
}

/** `12 stop 1/a`, `12 create a_3_1_c0` (service, image, application, commit) → `1/a`; `12 remove image a:v1` → `a:v1` */
function subjectOf(line: string): string {
  const subject = line.split(" ").at(-1) ?? "";
  const [, service, appId] = /^(?:old_)?([a-z]+)_\d+_(\d+)_/.exec(subject) ?? [];
  return service ? `${appId}/${service}` : subject;
}

async function doings(world: World, act: () => Promise<void>): Promise<string[]> {
  const before = world.story.length;
  await act();
  return world.story.slice(before).filter((line) => /^\d+ (create|remove|stop)/.test(line));
}

async function judge(fate: Fate): Promise<World> {
  const { world } = await live(fate);
  const broken = await endings(world);
  broken.push(...world.log.lines.filter((line) => line.includes(secret)).map((line) => `Keeps secrets: ${line}`));
  if (broken.length > 0 || told) {
    const story = told ? `\n${world.story.join("\n")}\n${world.log.lines.join("\n")}` : "";
    const again = `SEED=${fate.seed}${fate.crashAt === undefined ? "" : ` CRASH_AT=${fate.crashAt}`} npm run simulate`;
    expect(broken, `seed ${fate.seed}: repeat it with  ${again}${story}`).toEqual([]);
  }
  return world;
}

const batch = 250;
const batches = range(Math.ceil(seeds.length / batch)).map((n) => seeds.slice(n * batch, (n + 1) * batch));

describe("from anywhere to anywhere, through failures, delays, crashes and people", () => {
  test.each(batches.map((all) => [`${all[0]} to ${all.at(-1)}`, all] as const))(
    "seeds %s",
    { timeout: 600_000 },
    async (_, all) => {
      for (const seed of all) await judge({ seed, faults: 0.1, delays: 0.3, deeds: 8, troubled: seed % 8 === 7 });
    },
  );
});

test("updates that fail, and people who decide about them", { timeout: 600_000 }, async () => {
  for (const seed of told ? seeds : range(Math.min(60, seeds.length)))
    await judge({ seed, faults: 0.1, delays: 0.3, deeds: 8, troubled: true });
});

describe("an engine that reads back something else than it was told", () => {
  const fateOf = (seed: number, names: readonly Quirk[]): Fate => {
    const quirks = new Chance(seed).some(names, 0.3);
    return { seed, faults: 0.05, delays: 0.3, deeds: 8, quirks };
  };
  const some = told ? seeds : range(Math.min(100, seeds.length));

  test("in what makes no difference, is none", { timeout: 600_000 }, async () => {
    for (const seed of some) {
      const world = await judge(fateOf(seed, namesOf(harmless)));
      const again = world.log.lines.filter((line) => line.includes("due again"));
      expect(again, told ? [...world.story, ...world.log.lines].join("\n") : `seed ${seed}`).toEqual([]);
    }
  });

  test(
    "and so makes loops, is asked ever more seldom, and the services run meanwhile",
    { timeout: 600_000 },
    async () => {
      let loops = 0;
      for (const seed of some) {
        const fate = fateOf(seed, namesOf(quirks));
        const { world } = await live(fate);
        let left = ["not looked at yet"];
        for (let minutes = 0; minutes < 15 && left.length > 0; minutes++) {
          await world.clock.advance(60_000);
          left = await world.differences();
        }
        const later = await doings(world, () => world.clock.advance(1_200_000));
        const most = Math.max(0, ...Object.values(Object.groupBy(later, subjectOf)).map((lines) => lines?.length ?? 0));
        const looping = world.supervisor?.loop.hasFailures() ?? false;
        if (looping) loops++;
        // Each time it is stopped, removed and made: every 5 minutes, after some times that come faster, and once more when
        // that happens to the service in whose network it lives.
        const broken = [...world.broken, ...left, ...(most > 2 * 3 * (4 + 9) ? later : [])];
        const story = told ? `\n${world.story.join("\n")}\n${world.log.lines.join("\n")}` : "";
        expect(
          broken,
          `seed ${seed}, ${fate.quirks?.join(", ")}: repeat it with  SEED=${seed} npm run simulate${story}`,
        ).toEqual([]);
      }
      if (!told) expect(loops).toBeGreaterThan(some.length / 10);
    },
  );
});

describe("a crash at any call", () => {
  const lives = range(told ? 1 : Math.min(12, Math.ceil(seeds.length / 50))).map((n) =>
    told ? (seeds[0] ?? 0) : 10_000 + n,
  );
  test.each(lives)("seed %i", { timeout: 600_000 }, async (seed) => {
    const fate = { seed, faults: 0, delays: 0, deeds: 4 };
    const only = process.env["CRASH_AT"];
    const { calls } = await live(fate);
    for (const crashAt of only ? [Number(only)] : range(calls).map((n) => n + 1)) await judge({ ...fate, crashAt });
  });
});

test("one seed tells one story", async () => {
  for (const seed of [1, 2, 3]) {
    const fate = { seed, faults: 0.1, delays: 0.3, deeds: 8 };
    const [one, other] = [await judge(fate), await judge(fate)];
    expect(one.story).toEqual(other.story);
  }
});
