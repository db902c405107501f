import * as z from "zod";
import type { Cloud } from "../relay/workerd.ts";
import { median, ms } from "../table.ts";
import { newCommit, newFleet, progress, release, services, settle, type Line } from "./fleet.ts";
import { join, twinOf, untilRunning } from "./members.ts";

/** From a release until it runs, against the same agents that have its target state put into them. */
export async function releaseLines(cloud: Cloud, rounds: number): Promise<readonly Line[]> {
  const fleets = [];
  for (const size of [1, 10, 100]) {
    progress(`agents join: ${size}`);
    const fleet = await newFleet(cloud);
    const members = await Promise.all(Array.from({ length: size }, () => join(fleet)));
    const twins = await Promise.all(members.map((one) => twinOf(one, cloud.url)));
    fleets.push({ fleet, members, twins, ours: new Array<number>(), baseline: new Array<number>() });
  }
  // The first round installs, and warms up; those that count are updates.
  for (let round = 0; round <= rounds; round++) {
    for (const { fleet, members, twins, ours, baseline } of fleets) {
      const commit = newCommit();
      const released = await untilRunning(members, commit, () => release(cloud, fleet, commit));
      const bodies = await Promise.all(
        members.map(({ uuid, key }) => cloud.ask(z.looseObject({}), "GET", `/device/v3/${uuid}/state`, undefined, key)),
      );
      const direct = await untilRunning(twins, commit, () =>
        Promise.all(
          twins.map(async ({ supervisor: { targets, loop } }, n) => {
            await targets.setCloud(bodies[n] ?? {});
            loop.retry({ force: false });
          }),
        ),
      );
      if (round === 0) continue;
      ours.push(released);
      baseline.push(direct);
    }
    await settle();
    progress(`releases, round ${round} of ${rounds}`);
  }
  for (const one of fleets.flatMap(({ members, twins }) => [...members, ...twins])) await one.stop();
  return fleets.map(({ members, ours, baseline }) => ({
    what: `release → ${services.length} services running on ${members.length === 1 ? "1 agent" : `each of ${members.length} agents`}`,
    unit: ms,
    baseline: median(baseline),
    ours: median(ours),
  }));
}
