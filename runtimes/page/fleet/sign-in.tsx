import { useSignal } from "@preact/signals";
import { whyOf } from "../live/actions.ts";
import { words } from "../words.ts";
import { refusal, signIn } from "./session.ts";
import { fleetWords } from "./words.ts";

/** One field. What is typed is exchanged for a session, and not kept. */
export function SignIn() {
  const key = useSignal("");
  const isAsked = useSignal(false);
  const t = fleetWords.value.login;
  const send = async () => {
    if (key.value === "" || isAsked.value) return;
    isAsked.value = true;
    await signIn(key.value.trim()).catch((error: unknown) => (refusal.value = whyOf(error)));
    isAsked.value = false;
  };
  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <h1>{t.title}</h1>
        <p>{t.why}</p>
        <label>
          {t.field}
          <input
            type="password"
            autocomplete="current-password"
            autoFocus
            value={key.value}
            onInput={(event) => (key.value = event.currentTarget.value)}
          />
        </label>
        {refusal.value !== undefined && (
          <p class="fault" role="alert">
            {refusal.value}
          </p>
        )}
        <button type="submit" class="filled" disabled={isAsked.value}>
          {isAsked.value ? words.value.act.asked : t.enter}
        </button>
        <p class="faint">{t.kept}</p>
      </form>
    </main>
  );
}
