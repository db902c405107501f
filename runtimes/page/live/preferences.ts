import { effect, signal } from "@preact/signals";
import { isLanguage, language } from "../words.ts";

/** What the viewer has chosen for all pages of this origin: language and colours. Nothing else is stored. */

const themes = ["auto", "light", "dark"] as const;
export type Theme = (typeof themes)[number];
const isTheme = (text: string | null): text is Theme => themes.some((theme) => theme === text);
export const theme = signal<Theme>("auto");

export function startPreferences(): void {
  const chosen = read("fairlead.language");
  const offered = [chosen, ...navigator.languages.map((one) => one.slice(0, 2))];
  language.value = offered.find(isLanguage) ?? "en";
  const stored = read("fairlead.theme");
  if (isTheme(stored)) theme.value = stored;
  effect(() => {
    document.documentElement.lang = language.value;
  });
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}

export function chooseLanguage(text: string): void {
  if (!isLanguage(text)) return;
  language.value = text;
  write("fairlead.language", text);
}

export function chooseTheme(text: string): void {
  if (!isTheme(text)) return;
  theme.value = text;
  write("fairlead.theme", text);
}

/** A browser may forbid storage. */
function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice lasts as long as the page.
  }
}
