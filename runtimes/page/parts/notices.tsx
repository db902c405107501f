import type { Actions } from "../live/actions.ts";
import { words } from "../words.ts";
import { Button } from "./button.tsx";

/** What has come of actions. Failures stay until they are closed. */
export const Notices = ({ actions }: { readonly actions: Actions }) => (
  <div class="notices" role="status">
    {actions.notices.value.map(({ id, text, isFailure }) => (
      <p key={id} class={isFailure ? "notice failing" : "notice"}>
        <span>{text}</span>
        <Button kind="quiet" label={words.value.act.close} onClick={() => actions.dismiss(id)}>
          ✕
        </Button>
      </p>
    ))}
  </div>
);
