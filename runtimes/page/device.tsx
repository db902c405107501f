import { render } from "preact";
import { useMemo, useState } from "preact/hooks";
import { createClient } from "../../core/client/index.ts";
import { startClock } from "./live/clock.ts";
import type { Connect } from "./live/device-store.ts";
import { startPreferences } from "./live/preferences.ts";
import { startRoute } from "./live/route.ts";
import { Visibility } from "./live/visibility.ts";
import { DeviceView } from "./views/device-view.tsx";
import { Login } from "./views/login.tsx";
import { PageFooter } from "./views/page-footer.tsx";

/** The shell of the device's own page: requests go to the agent that has served it. */

const visibility = new Visibility();

function DevicePage({ given }: { readonly given: string | undefined }) {
  const [key, setKey] = useState(given);
  const [refusal, setRefusal] = useState<string | undefined>(undefined);
  const connect = useMemo<Connect>(
    () => (fetch) => createClient({ baseUrl: location.origin, fetch, ...(key !== undefined && { key }) }),
    [key],
  );
  const address = useMemo(() => ({ origin: location.origin, hasKey: key !== undefined }), [key]);
  if (refusal !== undefined)
    return (
      <Login
        why={key === undefined ? undefined : refusal}
        onKey={(typed) => {
          setKey(typed);
          setRefusal(undefined);
        }}
      />
    );
  return (
    <>
      <DeviceView {...{ connect, visibility, address }} base="/" onRefused={setRefusal} />
      <PageFooter />
    </>
  );
}

/** `fairlead open` passes the key behind `#`, which browsers do not send. It is removed from the address at once. */
function takeKey(): string | undefined {
  const [, key] = /^#key=([^&]+)$/.exec(location.hash) ?? [];
  if (key === undefined) return undefined;
  history.replaceState(null, "", "#/");
  return decodeURIComponent(key);
}

const given = takeKey();
startPreferences();
startRoute();
startClock();
const root = document.getElementById("page");
if (root) {
  root.replaceChildren();
  render(<DevicePage given={given} />, root);
}
