import { chooseLanguage, chooseTheme, theme } from "../live/preferences.ts";
import { language, languages, words } from "../words.ts";
import { Button } from "../parts/button.tsx";
import { isKeyListOpen } from "./keys.tsx";

/** What the viewer chooses, and where the API is described. */
export function PageFooter({
  version,
  hasKeys = true,
}: {
  readonly version?: string | undefined;
  readonly hasKeys?: boolean;
}) {
  const t = words.value.settings;
  return (
    <footer class="row">
      <span>Fairlead{version && ` · API ${version}`}</span>
      <a href="/docs">{t.api}</a>
      {hasKeys && (
        <Button kind="quiet" onClick={() => (isKeyListOpen.value = true)}>
          {t.keys} <kbd>?</kbd>
        </Button>
      )}
      <label>
        <span class="hidden">{t.language}</span>
        <select value={language.value} onChange={(event) => chooseLanguage(event.currentTarget.value)}>
          {Object.entries(languages).map(([code, { language: name }]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="hidden">{t.theme}</span>
        <select value={theme.value} onChange={(event) => chooseTheme(event.currentTarget.value)}>
          {(["auto", "light", "dark"] as const).map((one) => (
            <option key={one} value={one}>
              {t.theme}: {t[one]}
            </option>
          ))}
        </select>
      </label>
    </footer>
  );
}
