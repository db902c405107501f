import { signal } from "@preact/signals";

/** The time, once a second while the page is visible. */
export const now = signal(Date.now());

let timer: ReturnType<typeof setInterval> | undefined;

const tick = () => (now.value = Date.now());

function update(): void {
  clearInterval(timer);
  if (document.visibilityState !== "visible") return;
  tick();
  timer = setInterval(tick, 1000);
}

export function startClock(): void {
  document.addEventListener("visibilitychange", update);
  update();
}
