import type { ComponentChildren } from "preact";
import type { Action } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useFleets } from "./context.ts";
import { fleetWords } from "./words.ts";

/** Says "asked …" from the click until the cloud has answered. */
export function FleetButton({
  action,
  children,
  kind,
  disabled = false,
}: {
  readonly action: Action;
  readonly children: ComponentChildren;
  readonly kind?: "filled" | "quiet";
  readonly disabled?: boolean;
}) {
  const { actions } = useFleets();
  const isPending = actions.pending.value.has(action.key);
  return (
    <Button {...(kind && { kind })} disabled={disabled || isPending} onClick={() => void actions.run(action)}>
      {isPending ? words.value.act.asked : children}
    </Button>
  );
}

/** A secret that is shown once. */
export function Once({ text, note }: { readonly text: string; readonly note: string }) {
  const { actions } = useFleets();
  const copy = async () => {
    // Plain HTTP has no clipboard: the text is selected with one click.
    await navigator.clipboard?.writeText(text);
    actions.say(fleetWords.value.copied);
  };
  return (
    <div class="once">
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <div class="row">
        {isSecureContext && <Button onClick={() => void copy()}>{fleetWords.value.copy}</Button>}
        <small>{note}</small>
      </div>
    </div>
  );
}
