import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { EmptyDevice } from "./empty-device.tsx";
import { EventList } from "./event-list.tsx";
import { FiguresStrip } from "./figures-strip.tsx";
import { LogView } from "./log-view.tsx";
import { ProblemList } from "./problem-list.tsx";
import { ServicesTable } from "./services-table.tsx";

const fewEvents = 5;

/** The device at a glance: what is wrong, what runs, figures, what has happened, and the log. */
export function OverviewScreen() {
  const { store, view } = useDevice();
  const showsAll = view.showsAllEvents;
  const t = words.value.device;
  const apps = store.state.value?.apps ?? [];
  const events = store.events.value.toReversed();
  const services = apps.length === 0 ? <EmptyDevice /> : apps.map((app) => <ServicesTable key={app.appId} app={app} />);
  if (store.isOlder.value) return <div class="overview">{services}</div>;
  return (
    <div class="overview">
      <ProblemList />
      {services}
      <FiguresStrip />
      <section class="timeline">
        <h2>{t.events}</h2>
        <EventList events={showsAll.value ? events : events.slice(0, fewEvents)} />
        {events.length > fewEvents && !showsAll.value && (
          <button type="button" class="quiet" onClick={() => (showsAll.value = true)}>
            {t.moreEvents}
          </button>
        )}
      </section>
      <LogView />
    </div>
  );
}
