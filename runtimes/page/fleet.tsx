import { render } from "preact";
import { FleetsView } from "./fleet/fleets-view.tsx";
import { linkedToken, LinkQuestion, takeLinkedToken } from "./fleet/link-question.tsx";
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
    {session.value !== undefined ? (
      <FleetsView key={session.value} token={session.value} visibility={visibility} />
    ) : linkedToken.value !== undefined ? (
      <LinkQuestion token={linkedToken.value} />
    ) : (
      <SignIn />
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
takeLinkedToken();
startSession();
// Somebody who is signed in stays so, and the link is forgotten.
if (session.value !== undefined) linkedToken.value = undefined;
show();
