import { signal, useSignal } from "@preact/signals";
import { createCloudClient } from "../../../core/client/index.ts";
import { whyOf } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { useAnswer } from "../views/use-answer.ts";
import { words } from "../words.ts";
import { signIn } from "./session.ts";

/** The token behind `#` of the link by which the page was opened: of `fairlead cloud open`, or of somebody else. */
export const linkedToken = signal<string | undefined>(undefined);

/** Browsers do not send what is behind `#`. It is removed from the address at once. */
export function takeLinkedToken(): void {
  const [, token] = /^#token=([^&]+)$/.exec(location.hash) ?? [];
  if (token === undefined) return;
  history.replaceState(null, "", "#/");
  linkedToken.value = decodeURIComponent(token);
}

/** Asks before a link signs the tab in: what is done here would be done with its token. */
export function LinkQuestion({ token }: { readonly token: string }) {
  const t = words.value.linked;
  const isAsked = useSignal(false);
  const refused = useSignal<string | undefined>(undefined);
  const { value: who, fault } = useAnswer(
    () => createCloudClient({ baseUrl: location.origin, key: token }).admin.whoami(),
    [token],
  );
  const accept = async () => {
    isAsked.value = true;
    await signIn(token).catch((error: unknown) => (refused.value = whyOf(error)));
    isAsked.value = false;
  };
  const why = refused.value ?? fault;
  const may = (["secrets", "write", "manage", "shell"] as const)
    .filter((right) => who?.[right])
    .map((right) => t[right]);
  return (
    <main class="login">
      <section class="screen">
        <h1>{t.title}</h1>
        <p>{t.why}</p>
        <dl class="facts-list">
          <dt>{t.address}</dt>
          <dd>{location.origin}</dd>
          {who && (
            <>
              <dt>{t.token}</dt>
              <dd>
                <code>{who.tokenId}</code>
              </dd>
              <dt>{t.fleets}</dt>
              <dd>{who.fleets === "all" ? t.all : who.fleets.join(", ")}</dd>
              <dt>{t.may}</dt>
              <dd>{[t.read, ...may].join(", ")}</dd>
            </>
          )}
        </dl>
        {why !== undefined && (
          <p class="fault" role="alert">
            {why}
          </p>
        )}
        <div class="row">
          <Button kind="filled" disabled={!who || isAsked.value} onClick={() => void accept()}>
            {isAsked.value ? words.value.act.asked : t.accept}
          </Button>
          <Button onClick={() => (linkedToken.value = undefined)}>{words.value.act.cancel}</Button>
        </div>
      </section>
    </main>
  );
}
