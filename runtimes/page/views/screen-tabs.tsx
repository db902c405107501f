import type { FunctionComponent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { route } from "../live/route.ts";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { LogsScreen } from "./logs-screen.tsx";
import { UpdateScreen } from "./update-screen.tsx";
import { FiguresScreen } from "./figures-screen.tsx";
import { TargetScreen } from "./target-screen.tsx";
import { HostScreen } from "./host-screen.tsx";
import { OverviewScreen } from "./overview-screen.tsx";

/** By what follows the device's route. */
const screens = {
  "": { name: "device", component: OverviewScreen },
  logs: { name: "logs", component: LogsScreen },
  update: { name: "update", component: UpdateScreen },
  figures: { name: "figures", component: FiguresScreen },
  target: { name: "target", component: TargetScreen },
  host: { name: "host", component: HostScreen },
} as const satisfies Readonly<Record<string, { readonly name: string; readonly component: FunctionComponent }>>;

export const screenPaths = Object.keys(screens);

const pathBelow = (path: string, base: string): string =>
  path.startsWith(base) ? (path.slice(base.length).split("/")[0] ?? "") : "";

export function screenOf(path: string, base: string): FunctionComponent | undefined {
  const below = pathBelow(path, base);
  return Object.entries(screens).find(([one]) => one === below)?.[1].component;
}

export function ScreenTabs() {
  const { base, store } = useDevice();
  const t = words.value.nav;
  const current = pathBelow(route.value, base);
  const root = useRef<HTMLElement>(null);
  useEffect(
    () => root.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }),
    [current],
  );
  if (store.isOlder.value) return null;
  return (
    <nav ref={root} class="tabs" aria-label={t.label}>
      {Object.entries(screens).map(([path, { name }]) => (
        <a key={path} href={`#${base}${path}`} aria-current={path === current ? "page" : undefined}>
          {t[name]}
        </a>
      ))}
    </nav>
  );
}
