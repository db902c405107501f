import { duration } from "../format.ts";
import { now } from "../live/clock.ts";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

const tolerableMs = 60_000;

/**
 * Above the content while the connection is lost: what is shown stays, and is old. Also says that the token only reads, or that a
 * clock is wrong.
 */
export function LinkBar() {
  const { store } = useDevice();
  const t = words.value.link;
  const link = store.link.value;
  const ahead = store.clockAheadMs.value;
  if (link.is === "reconnecting")
    return (
      <p class="bar waiting" role="status">
        {t.reconnecting}: {t.lostFor(duration(now.value - link.since))}
      </p>
    );
  if (link.is === "offline")
    return (
      <p class="bar waiting" role="status">
        {link.heardAt === undefined ? t.silent : t.offline(duration(now.value - link.heardAt))}
      </p>
    );
  if (link.is === "failed")
    return (
      <p class="bar failing" role="alert">
        {t.failed}: {link.why}
      </p>
    );
  if (store.isReadOnly) return <p class="bar">{t.readOnly}</p>;
  if (Math.abs(ahead) > tolerableMs) return <p class="bar waiting">{t.clock(duration(Math.abs(ahead)))}</p>;
  return null;
}
