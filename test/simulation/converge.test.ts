import { describe, test } from "vitest";
import { judge, range, seeds } from "./judge.ts";

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
