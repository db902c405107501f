import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { now } from "../live/clock.ts";
import type { History } from "../live/figures.ts";
import { useDevice } from "./context.ts";

const eachMs = 60_000;

/** The figures of the last day, read again each minute. Undefined: not read yet, or not for this key. */
export function useHistory(): History | undefined {
  const { store } = useDevice();
  const history = useSignal<History | undefined>(undefined);
  const minute = Math.floor(now.value / eachMs);
  useEffect(() => {
    if (!store.isFresh.value) return;
    let isLeft = false;
    void store.client.metricsHistory().then(
      (read) => !isLeft && (history.value = read),
      () => undefined,
    );
    return () => (isLeft = true);
  }, [minute, store, store.isFresh.value]);
  return history.value;
}
