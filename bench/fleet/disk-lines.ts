import * as z from "zod";
import { systemClock } from "../../core/ports/clock.ts";
import { wait } from "../../test/support/wait.ts";
import { startBuilt } from "../processes.ts";
import { ownerSecret, type Cloud } from "../relay/workerd.ts";
import { dayMs, newCommit, newFleet, pollsADay, progress, release, services, settle, type Line } from "./fleet.ts";

const nudges = 5;
const kib = (value: number): string => `${(value / 1024).toFixed(0)} KiB`;

/** What the built program sends to the disk: in a cloud, beside one that has none. */
export async function diskLines(cloud: Cloud, idleMinutes: number): Promise<readonly Line[]> {
  const fleet = await newFleet(cloud);
  const uuid = systemClock.token(16);
  const config = { uuid, apiEndpoint: cloud.url, apiKey: fleet.key, applicationId: fleet.id };
  const [alone, joined] = [await startBuilt("embedded"), await startBuilt("embedded", { config })];
  try {
    const Device = z.object({ release: z.string().nullable() });
    const update = async () => {
      const commit = newCommit();
      await release(cloud, fleet, commit);
      await wait("the built program's report", async () => {
        const device = await cloud.ask(Device, "GET", `/admin/v1/devices/${uuid}`).catch(() => undefined);
        return device?.release === commit;
      });
      await settle();
    };
    progress("the built program joins, and updates");
    await update();
    const before = joined.written();
    await update();
    const updated = joined.written() - before;

    const beforePolls = joined.written();
    for (let n = 0; n < nudges; n++) {
      const headers = { authorization: `Bearer ${ownerSecret}`, "content-type": "application/json" };
      const asked = { method: "POST", headers, body: JSON.stringify({ uuid }) };
      const { status } = await fetch(`${cloud.url}/supervisor/v1/update`, asked);
      if (status !== 204) throw new Error(`The built program answers a nudge with ${status}`);
      await systemClock.sleep(1000);
    }
    const polled = (joined.written() - beforePolls) / nudges;

    const idleMs = idleMinutes * 60_000;
    progress(`idle minutes: ${idleMinutes}`);
    const [aloneBefore, joinedBefore] = [alone.written(), joined.written()];
    await systemClock.sleep(idleMs);
    const idle = { alone: alone.written() - aloneBefore, joined: joined.written() - joinedBefore };
    return [
      { what: `disk: an update of ${services.length} services`, unit: kib, ours: updated },
      {
        what: "disk: an idle device a day (baseline: without a cloud)",
        unit: kib,
        baseline: (idle.alone * dayMs) / idleMs,
        ours: (idle.joined * dayMs) / idleMs + polled * pollsADay,
      },
    ];
  } finally {
    await Promise.all([alone.stop(), joined.stop()]);
  }
}
