import { render } from "preact";
import { FleetsView } from "./fleet/fleets-view.tsx";
import { placeOf } from "./fleet/routes.ts";
import { session, startSession } from "./fleet/session.ts";
import { SignIn } from "./fleet/sign-in.tsx";
import { startClock } from "./live/clock.ts";
import { startPreferences } from "./live/preferences.ts";
import { route, startRoute } from "./live/route.ts";
import { Visibility } from "./live/visibility.ts";
import { PageFooter } from "./views/page-footer.tsx";

/** The shell of a cloud's page: fleets, and the view of a device through the relay. */

const visibility = new Visibility();

const FleetPage = () => (
  <>
    {session.value === undefined ? (
      <SignIn />
    ) : (
      <FleetsView key={session.value} token={session.value} visibility={visibility} />
    )}
    <PageFooter hasKeys={session.value !== undefined && placeOf(route.value).is === "device"} />
  </>
);

function show(): void {
  startRoute();
  startClock();
  const root = document.getElementById("page");
  if (!root) return;
  root.replaceChildren();
  render(<FleetPage />, root);
}

startPreferences();
void startSession().then(show);
