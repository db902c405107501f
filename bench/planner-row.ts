import { plan } from "../core/reconcile/plan.ts";
import { createMemoryDevice } from "../core/embedded/device.ts";
import { median, ms, type Row } from "./table.ts";
import { service, target } from "./target.ts";

const services = 100;
const changed = 10;

/** Deciding alone, without asking anybody: a device on target, and a new target in which ten services differ. */
export async function plannerRow({ safe = false } = {}): Promise<Row> {
  const config: Readonly<Record<string, string>> = safe ? { SUPERVISOR_SAFE_UPDATES: "on" } : {};
  const device = await createMemoryDevice({ pullMs: 0 });
  const put = (variable: string) =>
    device.fetch(
      new Request("http://device/v2/local/target-state", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(
          target(
            Array.from({ length: services }, (_, n) =>
              service(`s${n}`, n + 1, `image${n}:1`, n < changed ? { environment: { variable } } : {}),
            ),
            config,
          ),
        ),
      }),
    );
  await put("before");
  await device.settled();
  const { current } = device.supervisor.view();
  device.stop();
  await put("after");
  const wanted = device.supervisor.targets.current();

  const times: number[] = [];
  for (let round = 0; round < 100; round++) {
    // Time on the CPU: neighbours take no part in it.
    const begun = process.cpuUsage();
    const steps = [...plan(current, wanted).values()].flat();
    const { user, system } = process.cpuUsage(begun);
    times.push((user + system) / 1000);
    const kills = steps.filter(({ action }) => action === "takeLocks" || action === "kill").length;
    if (kills === 0) throw new Error(`Expected that services are replaced, but the plan is ${JSON.stringify(steps)}`);
  }
  return {
    what: `planner alone, ${services} services, ${changed} changed${safe ? ", with a release to go back to" : ""}`,
    baseline: "–",
    ours: ms(median(times)),
    ratio: median(times),
    shown: "–",
    aim: { atMost: 5 },
    aimShown: "≤ 5 ms",
  };
}
