import type { DeviceEvent } from "../live/device-store.ts";
import { withShortImages } from "../format.ts";
import { Moment } from "../parts/since.tsx";
import { words } from "../words.ts";

/** What has happened, newest first. */
export function EventList({ events }: { readonly events: readonly DeviceEvent[] }) {
  const t = words.value.device;
  if (events.length === 0) return <p class="faint">{t.noEvents}</p>;
  return (
    <ol class="events">
      {events.map(({ id, at, level, text, by, why }) => (
        <li key={id} class={level}>
          <Moment at={Date.parse(at)} />
          <span>
            {withShortImages(text)}
            {why.length > 0 && !why.every((one) => text.includes(one)) && `: ${why.join(", ")}`}
            {by !== undefined && <small> {reasonOf(by)}</small>}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** A cause, or somebody. */
function reasonOf(by: string): string {
  const { causes, by: done } = words.value.device;
  const known = Object.entries(causes).find(([cause]) => cause === by);
  return known ? known[1] : done(by);
}
