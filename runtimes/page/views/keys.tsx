import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { screenPaths } from "./screen-tabs.tsx";

export const isKeyListOpen = signal(false);

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Single keys, off while somebody types or a dialog is open. */
export function Keys() {
  const { base } = useDevice();
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const path = screenPaths[Number(event.key) - 1];
      if (event.key === "/") document.querySelector<HTMLElement>(".log-filter")?.focus();
      else if (event.key === "f") document.dispatchEvent(new CustomEvent("fairlead-follow"));
      else if (event.key === "?") isKeyListOpen.value = true;
      else if (path !== undefined) location.hash = `#${base}${path}`;
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [base]);
  return isKeyListOpen.value ? <KeyList /> : null;
}

function KeyList() {
  const root = useRef<HTMLDialogElement>(null);
  const t = words.value;
  useEffect(() => root.current?.showModal(), []);
  return (
    <dialog ref={root} onClose={() => (isKeyListOpen.value = false)} aria-labelledby="keys">
      <h2 id="keys">{t.keys.title}</h2>
      <dl class="keys">
        {Object.entries(t.keys.list).map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <div class="row end">
        <Button onClick={() => root.current?.close()}>{t.act.close}</Button>
      </div>
    </dialog>
  );
}
