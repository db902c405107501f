import { useEffect, useRef } from "preact/hooks";
import type { Mark as Kind } from "../live/marks.ts";
import { Button } from "../parts/button.tsx";
import { Mark } from "../parts/mark.tsx";
import { words } from "../words.ts";
import { openOf, type DeviceResult } from "./bulk-operation.ts";
import { useFleets, type Fleet } from "./context.ts";
import { fleetWords } from "./words.ts";

const markOf: Readonly<Record<DeviceResult["is"], Kind>> = {
  ...{ queued: "off", asked: "working", done: "well", offline: "off" },
  ...{ "not asked": "off", refused: "failing", unknown: "waiting" },
};

/** What has come of a request to several devices, on each of them. */
export function BulkResults({ fleet }: { readonly fleet: Fleet }) {
  const { bulk } = useFleets();
  const run = bulk.run.value;
  const root = useRef<HTMLElement>(null);
  // Who has selected devices far below would not see them.
  useEffect(() => root.current?.scrollIntoView({ block: "nearest" }), [run?.title]);
  if (run?.fleetId !== fleet.id) return null;
  const t = fleetWords.value.bulk;
  const open = openOf(run);
  const isWaiting = run.devices.some(({ result }) => result.is === "queued");
  const counts = (["done", "refused", "unknown", "offline", "not asked"] as const)
    .map((is) => [is, run.devices.filter(({ result }) => result.is === is).length] as const)
    .filter(([, count]) => count > 0)
    .map(([is, count]) => `${count} ${t.results[is]}`);
  return (
    <section ref={root} class="results" aria-label={run.title}>
      <div class="head">
        <h2>{run.title}</h2>
        <p class="row">
          <span role="status">{[...(open > 0 ? [`${open} ${t.open}`] : []), ...counts].join(", ")}</span>
          {open === 0 ? (
            <Button onClick={() => bulk.close()}>{words.value.act.close}</Button>
          ) : (
            <Button disabled={!isWaiting} onClick={() => bulk.cancel()}>
              {words.value.act.cancel}
            </Button>
          )}
        </p>
      </div>
      <ul>
        {run.devices.map(({ uuid, name, result }) => (
          <li key={uuid}>
            <Mark is={markOf[result.is]} />
            <p>
              <a href={`#/d/${uuid}/`}>{name}</a>{" "}
              <span>
                {t.results[result.is]}
                {"why" in result && `: ${result.why}`}
              </span>
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
