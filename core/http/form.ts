/** A name with more brackets is taken as it is; no field of the API has as many. */
const depthLimit = 10;

/** The values of one name, and of the names in brackets after it. */
interface Field {
  readonly values: string[];
  readonly inner: Map<string, Field>;
  isList: boolean;
}

const blank = (): Field => ({ values: [], inner: new Map(), isList: false });

/**
 * A form as the reference implementation reads it: `network[hostname]=x` nests, `list[]=a`, `list[0]=a` and a repeated name are lists.
 * All other values are text.
 */
export function parseForm(form: string): unknown {
  const root = blank();
  for (const [name, value] of new URLSearchParams(form)) {
    let field = root;
    for (const key of keysOf(name)) {
      if (key === "") field.isList = true;
      else field = innerOf(field, key);
    }
    field.values.push(value);
  }
  return Object.fromEntries([...root.inner].map(([name, field]) => [name, valueOf(field)]));
}

/** "a[b][]" → a, b, and "" for what is one of a list. */
function keysOf(name: string): string[] {
  const [, first = "", brackets = ""] = /^([^[\]]+)((?:\[[^[\]]*\])+)$/.exec(name) ?? [];
  const inner = brackets.slice(1, -1).split("][");
  if (!first || inner.length > depthLimit || inner.slice(0, -1).includes("")) return name === "" ? [] : [name];
  return [first, ...inner];
}

function innerOf(field: Field, key: string): Field {
  const known = field.inner.get(key);
  if (known) return known;
  const made = blank();
  field.inner.set(key, made);
  return made;
}

function valueOf({ values, inner, isList }: Field): unknown {
  if (inner.size === 0) return isList || values.length > 1 ? values : values[0];
  const entries = [...inner].map(([key, field]): [string, unknown] => [key, valueOf(field)]);
  return entries.every(([key], n) => key === String(n))
    ? entries.map(([, value]) => value)
    : Object.fromEntries(entries);
}
