import { useEffect, useMemo } from "preact/hooks";
import { Actions, type Address } from "../live/actions.ts";
import { deviceActions } from "../live/device-actions.ts";
import { DeviceStore, type Connect, type LastReport } from "../live/device-store.ts";
import { markOfDevice } from "../live/marks.ts";
import { route } from "../live/route.ts";
import { ViewState } from "../live/view-state.ts";
import type { Visibility } from "../live/visibility.ts";
import { Notices } from "../parts/notices.tsx";
import { QuestionDialog } from "../parts/question-dialog.tsx";
import { words } from "../words.ts";
import { Device } from "./context.ts";
import { DeviceHeader } from "./device-header.tsx";
import { Banners } from "./banners.tsx";
import { OverviewScreen } from "./overview-screen.tsx";
import { ScreenTabs, screenOf } from "./screen-tabs.tsx";
import { Skeleton } from "./skeleton.tsx";
import { Keys } from "./keys.tsx";

interface Props {
  readonly connect: Connect;
  readonly visibility: Visibility;
  readonly address: Address;
  readonly base: string;
  /** The device wants a key, or another one. */
  readonly onRefused: (why: string) => void;
  /** What is shown of a device that is offline. Only a cloud knows it. */
  readonly lastReport?: () => Promise<LastReport>;
  /** The key may change nothing. */
  readonly isReadOnly?: boolean;
}

/** Everything about one device. The shell around it says how requests reach the device. */
export function DeviceView({ connect, visibility, address, base, onRefused, lastReport, isReadOnly }: Props) {
  const store = useMemo(
    () => new DeviceStore(connect, visibility, { lastReport, isReadOnly }),
    [connect, visibility, lastReport, isReadOnly],
  );
  const actions = useMemo(() => new Actions(), [store]);
  const view = useMemo(() => new ViewState(), [store]);
  const can = useMemo(() => deviceActions(store, address), [store, address]);
  useEffect(() => {
    void store.start();
    return () => store.stop();
  }, [store]);
  const link = store.link.value;
  useEffect(() => {
    if (link.is === "refused") onRefused(link.why);
  }, [link]);
  const mark = markOfDevice(store.state.value, link.is);
  const name = store.about.value?.name ?? "";
  useEffect(() => {
    document.title = `${titleMarks[mark]} ${name || "Fairlead"}`;
  }, [mark, name]);

  const Screen = store.isOlder.value ? undefined : screenOf(route.value, base);
  return (
    <Device.Provider value={{ store, actions, can, view, base, address }}>
      <a class="skip" href="#main" onClick={skip}>
        {words.value.skip}
      </a>
      <DeviceHeader mark={mark} />
      <ScreenTabs />
      <main id="main" tabIndex={-1} class={link.is === "offline" ? "old" : undefined}>
        <Banners />
        {store.state.value ? Screen ? <Screen /> : <OverviewScreen /> : <Skeleton />}
      </main>
      <Notices actions={actions} />
      <QuestionDialog actions={actions} />
      <Keys />
    </Device.Provider>
  );
}

const titleMarks = { well: "●", working: "◐", waiting: "◆", failing: "▲", off: "○" } as const;

/** The fragment of the address is the route. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
