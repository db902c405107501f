import type { DeviceState } from "./context.ts";

/** What is typed above the list of devices: free text, and words such as `is:failing`. A device has to fit all of them. */

/** The worst first. */
export const states = ["failing", "waiting", "updating", "offline", "well"] as const satisfies readonly DeviceState[];

const filterWords = ["is", "release", "tag"] as const;
type FilterWord = (typeof filterWords)[number];

export interface DeviceFilter {
  readonly state?: DeviceState;
  /** The first characters of the commit that devices run. */
  readonly release?: string;
  /** `name` or `name=value`. */
  readonly tags: readonly string[];
  readonly text: string;
}

export type ParsedFilter =
  | { readonly is: "filter"; readonly filter: DeviceFilter }
  | { readonly is: "unknown word" }
  | { readonly is: "wrong value"; readonly of: FilterWord }
  /** A device has one state, and runs one release. */
  | { readonly is: "twice"; readonly of: FilterWord };

/** White space in double quotes does not separate, and a colon in them makes no word. */
const tokensOf = (typed: string): readonly string[] => typed.match(/(?:[^\s"]|"[^"]*(?:"|$))+/g) ?? [];
const unquoted = (token: string): string => token.replaceAll('"', "");
const wordOf = (token: string): readonly [name: string, value: string] | undefined => {
  const [, name, value] = /^([a-z]+):([^]*)$/i.exec(token) ?? [];
  return name === undefined || value === undefined ? undefined : [name.toLowerCase(), unquoted(value)];
};

export function parseFilter(typed: string): ParsedFilter {
  const values: Record<FilterWord, string[]> = { is: [], release: [], tag: [] };
  const texts: string[] = [];
  for (const token of tokensOf(typed)) {
    const [name, value = ""] = wordOf(token) ?? [];
    const word = filterWords.find((one) => one === name);
    if (name === undefined) texts.push(unquoted(token));
    else if (word === undefined) return { is: "unknown word" };
    else if (!forms[word].test(value)) return { is: "wrong value", of: word };
    else if (!values[word].includes(value)) values[word].push(value);
  }
  const twice = (["is", "release"] as const).find((word) => values[word].length > 1);
  if (twice) return { is: "twice", of: twice };
  const state = states.find((one) => one === values.is[0]);
  const [release] = values.release;
  const text = texts.join(" ");
  return {
    is: "filter",
    filter: { ...(state && { state }), ...(release !== undefined && { release }), tags: values.tag, text },
  };
}

const forms: Readonly<Record<FilterWord, RegExp>> = {
  is: new RegExp(`^(?:${states.join("|")})$`),
  release: /^[\w.-]{1,64}$/,
  tag: /^[^\s=]{1,100}(?:=|$)/,
};

/** The same text with `is:<state>` as its only word about the state, or without it if it had that already. */
export function toggleState(typed: string, state: DeviceState): string {
  const tokens = tokensOf(typed);
  const others = tokens.filter((token) => wordOf(token)?.[0] !== "is");
  return (tokens.includes(`is:${state}`) ? others : [`is:${state}`, ...others]).join(" ");
}

/** As the cloud takes them. */
export const tagParameter = (tags: readonly string[]): string =>
  tags.map((tag) => tag.replaceAll(",", "\\,")).join(",");
