import { useState } from "preact/hooks";
import { words } from "../words.ts";

/** Over the content when the device wants a key. The key is not stored. */
export function Login({ why, onKey }: { readonly why: string | undefined; readonly onKey: (key: string) => void }) {
  const [key, setKey] = useState("");
  const t = words.value.login;
  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (key !== "") onKey(key.trim());
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
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        {why !== undefined && (
          <p class="fault" role="alert">
            {t.wrong}
          </p>
        )}
        <button type="submit" class="filled">
          {t.enter}
        </button>
        <p class="faint">{t.kept}</p>
      </form>
    </main>
  );
}
