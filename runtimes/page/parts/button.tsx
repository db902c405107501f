import type { ComponentChildren } from "preact";
import type { Action } from "../live/actions.ts";
import { useDevice } from "../views/context.ts";
import { words } from "../words.ts";

interface Props {
  readonly onClick: () => void;
  readonly children: ComponentChildren;
  readonly kind?: "filled" | "quiet" | "danger";
  readonly disabled?: boolean;
  readonly label?: string;
  readonly title?: string | undefined;
}

export const Button = ({ onClick, children, kind, disabled, label, title }: Props) => (
  <button type="button" class={kind} onClick={onClick} disabled={disabled} aria-label={label} title={title}>
    {children}
  </button>
);

/** Says "asked …" from the click until the state shows the effect, and cannot be pressed while what is shown may be old. */
export function ActionButton({
  action,
  children,
  kind,
  disabled = false,
}: Omit<Props, "onClick"> & { readonly action: Action }) {
  const { actions, store } = useDevice();
  const isPending = actions.pending.value.has(action.key);
  return (
    <Button
      {...(kind && { kind })}
      label={action.label}
      disabled={disabled || isPending || !store.mayAct.value}
      onClick={() => void actions.run(action)}
    >
      {isPending ? words.value.act.asked : children}
    </Button>
  );
}
