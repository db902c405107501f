import { useSignal } from "@preact/signals";
import { whyOf } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

const lines = 200;

/** The last lines of the host's journal, read when they are wanted. */
export function JournalView({ lack }: { readonly lack: string | undefined }) {
  const { store } = useDevice();
  const text = useSignal<string | undefined>(undefined);
  const t = words.value.logs;
  const read = () =>
    void store.client.journalLogs({ body: { count: lines } }).then(
      (answer) => (text.value = String(answer)),
      (error: unknown) => (text.value = whyOf(error)),
    );
  return (
    <section>
      <div class="head">
        <h2>{t.journal}</h2>
        {lack === undefined && (
          <Button disabled={!store.isFresh.value} onClick={read}>
            {t.showJournal}
          </Button>
        )}
      </div>
      {lack !== undefined && <p class="faint">{lack}</p>}
      {text.value !== undefined && (
        <pre class="journal" tabIndex={0}>
          <code>{text.value}</code>
        </pre>
      )}
    </section>
  );
}
