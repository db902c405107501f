import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** Less frequent actions behind "…": below its button, and on a phone at the bottom of the screen. */
export function Menu({ label, children }: { readonly label: string; readonly children: ComponentChildren }) {
  const root = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const menu = root.current;
      if (!menu?.open) return;
      const isOutside = event.target instanceof Node && !menu.contains(event.target);
      const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
      if (event instanceof KeyboardEvent ? !isEscape : !isOutside) return;
      menu.open = false;
      if (isEscape) menu.querySelector("summary")?.focus();
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("keydown", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("keydown", close);
    };
  }, []);
  const closeAfterChoice = (event: Event) => {
    const isChoice = event.target instanceof Element && event.target.closest("button, a");
    if (isChoice && root.current) root.current.open = false;
  };
  return (
    <details class="menu" ref={root}>
      <summary aria-label={label} title={label}>
        …
      </summary>
      <div class="menu-items" onClick={closeAfterChoice}>
        {children}
      </div>
    </details>
  );
}
