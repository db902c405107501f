/** What a board's boot loader is told: by key, each with its values in their order. */
export type BootSettings = Readonly<Record<string, readonly string[]>>;

/** How this machine can be told, or why it cannot. */
export type BootConfigState =
  | {
      readonly is: "here";
      /** Config variables that begin like this are for the boot loader. */
      readonly prefix: string;
      /** What it has been told by us. */
      readonly settings: BootSettings;
      /** Keys that are the operating system's business. */
      readonly forbidden: readonly string[];
    }
  | { readonly is: "absent"; readonly why: string };

/** Variables of the boot loaders of all boards. Source: balena's documentation of configuration variables. */
const bootVariable = /^HOST_(CONFIG|CONFIGFS|EXTLINUX|ODMDATA|SPLASH)_/;

/** What a target's config asks for, and what of it this machine does not do, as sentences. */
export function wantedBootSettings(
  config: Readonly<Record<string, string>>,
  state: BootConfigState,
): { readonly settings: BootSettings; readonly refused: readonly string[] } {
  const settings: Record<string, readonly string[]> = {};
  const refused: string[] = [];
  for (const [name, text] of Object.entries(config).filter(([name]) => bootVariable.test(name))) {
    const wish = parseWish(name, text, state);
    if (typeof wish === "string") refused.push(`${name} is not set: ${wish}`);
    else settings[wish.key] = wish.values;
  }
  return { settings, refused };
}

function parseWish(
  name: string,
  text: string,
  state: BootConfigState,
): { readonly key: string; readonly values: readonly string[] } | string {
  if (state.is === "absent") return state.why;
  if (!name.startsWith(state.prefix)) return `this board takes ${state.prefix}… only`;
  const key = name.slice(state.prefix.length);
  if (state.forbidden.includes(key)) return "the operating system takes care of it";
  const values = toValues(text);
  if (!/^[\w:]+$/.test(key) || values.some((value) => /\p{Cc}/u.test(value)))
    return "expected a key, and a value on one line";
  return { key, values };
}

/** `"i2c_arm=on","spi=on"` is two values; what is not quoted is one. */
function toValues(text: string): readonly string[] {
  if (!text.startsWith('"')) return [text];
  try {
    const list: unknown = JSON.parse(`[${text}]`);
    return Array.isArray(list) && list.every((one) => typeof one === "string") ? list : [text];
  } catch {
    return [text];
  }
}
