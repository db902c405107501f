import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { whyOf } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

const eachLines = 200;

/** The last lines of the host's journal, and those before them when they are wanted. */
export function JournalView() {
  const { store } = useDevice();
  const asked = useSignal({ count: eachLines });
  const text = useSignal<string | undefined>(undefined);
  const panel = useRef<HTMLPreElement>(null);
  const { count } = asked.value;
  const t = words.value.logs;
  useEffect(() => {
    let isLeft = false;
    const show = (read: string) => {
      if (isLeft) return;
      const fromEnd = panel.current ? panel.current.scrollHeight - panel.current.scrollTop : 0;
      text.value = read;
      // Somebody who has asked for earlier lines stays where he was; else the last line is shown.
      requestAnimationFrame(() => {
        if (panel.current) panel.current.scrollTop = panel.current.scrollHeight - (count > eachLines ? fromEnd : 0);
      });
    };
    void store.client.journalLogs({ body: { count } }).then(
      (answer) => show(String(answer)),
      (error: unknown) => show(whyOf(error)),
    );
    return () => (isLeft = true);
  }, [asked.value]);
  return (
    <>
      <div class="row">
        <Button disabled={!store.isFresh.value} onClick={() => (asked.value = { count: count + 5 * eachLines })}>
          {t.earlier}
        </Button>
        <Button disabled={!store.isFresh.value} onClick={() => (asked.value = { count: eachLines })}>
          {t.again}
        </Button>
      </div>
      {text.value === undefined ? (
        <p class="faint">{words.value.reading}</p>
      ) : (
        <pre ref={panel} class="journal" tabIndex={0} aria-label={t.journal}>
          <code>{text.value}</code>
        </pre>
      )}
    </>
  );
}
