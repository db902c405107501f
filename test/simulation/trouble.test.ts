import { describe, expect, test } from "vitest";
import { Chance } from "./clock.ts";
import { doings, judge, range, seeds, subjectOf, told } from "./judge.ts";
import { live, type Fate } from "./life.ts";
import { harmless, quirks, type Quirk } from "./quirks.ts";

/** Lives of a kind of their own, in a file of their own: the files run at the same time. */

const namesOf = (some: Partial<Record<Quirk, unknown>>) =>
  Object.keys(some).filter((name): name is Quirk => Object.hasOwn(quirks, name));

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
