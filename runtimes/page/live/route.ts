import { signal } from "@preact/signals";

/** The part of the address after `#`: which screen is shown. */
export const route = signal("/");

const read = () => (route.value = location.hash.replace(/^#/, "") || "/");

export function startRoute(): void {
  addEventListener("hashchange", read);
  read();
}
