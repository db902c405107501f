/** Settings of a board's boot loader: the ordered values of each key. */
export type BootSettings = Readonly<Record<string, readonly string[]>>;

/** The boot loader's state, or why this machine has no boot loader that can be set. */
export type BootConfigState =
  | {
      readonly is: "here";
      /** The prefix of the config variables for this boot loader. */
      readonly prefix: string;
      /** The settings that the agent has written. */
      readonly settings: BootSettings;
      /** Keys that only the operating system may set. */
      readonly forbidden: readonly string[];
    }
  | { readonly is: "absent"; readonly why: string };

/** Variables of the boot loaders of all boards. Source: balena's documentation of configuration variables. */
const bootVariable = /^HOST_(CONFIG|CONFIGFS|EXTLINUX|ODMDATA|SPLASH)_/;

/** The settings that a target's config requires, and the refusals of unsupported ones, as sentences. */
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
  if (!name.startsWith(state.prefix)) return `this board supports only ${state.prefix}…`;
  const key = name.slice(state.prefix.length);
  if (state.forbidden.includes(key)) return "only the operating system may set it";
  const values = toValues(text);
  if (!/^[\w:]+$/.test(key) || values.some((value) => /\p{Cc}/u.test(value)))
    return "expected a key, and a value on one line";
  return { key, values };
}

/** `"i2c_arm=on","spi=on"` is two values. An unquoted text is one value. */
function toValues(text: string): readonly string[] {
  if (!text.startsWith('"')) return [text];
  try {
    const list: unknown = JSON.parse(`[${text}]`);
    return Array.isArray(list) && list.every((one) => typeof one === "string") ? list : [text];
  } catch {
    return [text];
  }
}
