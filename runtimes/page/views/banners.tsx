import { duration, withShortImages } from "../format.ts";
import { now } from "../live/clock.ts";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

const tolerableMs = 60_000;

/**
 * Above the content: that the connection is lost and what is shown is old, that the engine does not answer or is none, that the
 * token only reads, or that a clock is wrong.
 */
export function Banners() {
  const { store } = useDevice();
  const t = words.value.link;
  const ahead = store.clockAheadMs.value;
  const trouble = store.state.value?.engine;
  return (
    <>
      <LinkBar />
      {store.hello.value?.simulated && <p class="bar">{t.simulated}</p>}
      {store.isOlder.value && <p class="bar">{t.older}</p>}
      {trouble && store.isFresh.value && (
        <p class="bar failing" role="status">
          {t.engine(duration(now.value + ahead - Date.parse(trouble.unreachableSince)))}: {withShortImages(trouble.why)}
        </p>
      )}
      {store.isReadOnly && <p class="bar">{t.readOnly}</p>}
      {Math.abs(ahead) > tolerableMs && <p class="bar waiting">{t.clock(duration(Math.abs(ahead)))}</p>}
    </>
  );
}

function LinkBar() {
  const { store } = useDevice();
  const t = words.value.link;
  const link = store.link.value;
  switch (link.is) {
    case "reconnecting":
      return (
        <p class="bar waiting" role="status">
          {t.reconnecting}: {t.lostFor(duration(now.value - link.since))}
        </p>
      );
    case "offline":
      return (
        <p class="bar waiting" role="status">
          {link.heardAt === undefined ? t.silent : t.offline(duration(now.value - link.heardAt))}
        </p>
      );
    case "failed":
      return (
        <p class="bar failing" role="alert">
          {t.failed}: {link.why}
        </p>
      );
    case "loading":
    case "live":
    case "refused":
      return null;
  }
}
