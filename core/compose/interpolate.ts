/**
 * Variables in a compose file: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME?message}`,
 * `${NAME:+replacement}`, `${NAME+replacement}`, and `$$` for a dollar sign. A colon makes an empty variable count as unset.
 * Source: docs.docker.com/reference/compose-file/interpolation. Compose replaces an unset variable by an empty text, with a
 * warning. Here, an unset variable is a fault, since a release with an empty text would reach a whole fleet.
 */
export type Interpolated =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly fault: string };

type Variables = Readonly<Record<string, string | undefined>>;

/** Not what every object has: a file may name the variable `constructor`. */
export const ownValue = (variables: Variables, name: string): string | undefined =>
  Object.hasOwn(variables, name) ? variables[name] : undefined;

class Fault extends Error {}

/** What to do about an unset variable, where the file is on the machine of the command. */
const usualAdvice = "set it, put it into .env, or";

/** Replaces the variables in one text. `advice`: what to do about one that is not set. */
export function interpolate(text: string, variables: Variables, advice = usualAdvice): Interpolated {
  try {
    return { ok: true, text: read(text, { variables, advice, level: 0 }) };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, fault: error.message };
    throw error;
  }
}

/** Replaces the variables in every text of a value, but not in field names. Faults begin with the path. */
export function interpolateAll(
  value: unknown,
  variables: Variables,
  advice = usualAdvice,
): { value: unknown; faults: readonly string[] } {
  const faults: string[] = [];
  const walk = (one: unknown, path: string): unknown => {
    if (typeof one === "string") {
      const result = interpolate(one, variables, advice);
      if (result.ok) return result.text;
      faults.push(path === "" ? result.fault : `${path}: ${result.fault}`);
      return one;
    }
    if (Array.isArray(one)) return one.map((item, index) => walk(item, `${path}.${index}`));
    if (typeof one !== "object" || one === null) return one;
    return Object.fromEntries(
      Object.entries(one).map(([name, field]) => [name, walk(field, path === "" ? name : `${path}.${name}`)]),
    );
  };
  return { value: walk(value, ""), faults };
}

interface Reader {
  readonly text: string;
  at: number;
}

interface Known {
  readonly variables: Variables;
  readonly advice: string;
  /** How many variables are around this text. */
  readonly level: number;
}

const mostLevels = 20;

const nameAt = /[A-Za-z_]\w*/y;
const operatorAt = /:?[-?+]/y;

const match = (pattern: RegExp, reader: Reader): string | undefined => {
  pattern.lastIndex = reader.at;
  const found = pattern.exec(reader.text)?.[0];
  reader.at += found?.length ?? 0;
  return found;
};

function read(text: string, known: Known): string {
  const reader = { text, at: 0 };
  let result = "";
  while (reader.at < text.length) {
    const character = text[reader.at++];
    result += character === "$" ? readVariable(reader, known) : character;
  }
  return result;
}

/** Reads a variable; the dollar sign has been read. */
function readVariable(reader: Reader, known: Known): string {
  const next = reader.text[reader.at];
  if (next === "$") {
    reader.at++;
    return "$";
  }
  if (next !== "{") {
    const name = match(nameAt, reader);
    if (name === undefined) throw new Fault('expected the name of a variable after "$"; write $$ for a dollar sign');
    return valueOf(name, known);
  }
  reader.at++;
  const name = match(nameAt, reader);
  if (name === undefined) throw new Fault('expected the name of a variable after "${"; write $$ for a dollar sign');
  const operator = match(operatorAt, reader);
  const operand = readOperand(reader);
  if (operator === undefined) {
    if (operand !== "") throw new Fault(`expected "}" after "\${${name}"`);
    return valueOf(name, known);
  }
  const value = ownValue(known.variables, name);
  const isSet = value !== undefined && (value !== "" || !operator.startsWith(":"));
  // Read only if it is used: the default of a set variable may contain unset variables.
  const operandText = () => {
    if (known.level >= mostLevels) throw new Fault(`expected at most ${mostLevels} variables in each other`);
    return read(operand, { ...known, level: known.level + 1 });
  };
  switch (operator.at(-1)) {
    case "-":
      return isSet ? value : operandText();
    case "+":
      return isSet ? operandText() : "";
    default:
      if (isSet) return value;
      throw new Fault(`the variable ${name} is needed${operand === "" ? "" : `: ${operandText()}`}`);
  }
}

/** The text up to the brace that closes the variable. The variables in it are not replaced. */
function readOperand(reader: Reader): string {
  const begin = reader.at;
  for (let depth = 0; ; reader.at++) {
    const character = reader.text[reader.at];
    if (character === undefined) throw new Fault('expected "}" after "${"; write $$ for a dollar sign');
    if (character === "$" && reader.text[reader.at + 1] === "{") depth++;
    else if (character === "}" && depth-- === 0) return reader.text.slice(begin, reader.at++);
  }
}

function valueOf(name: string, { variables, advice }: Known): string {
  const value = ownValue(variables, name);
  if (value !== undefined) return value;
  throw new Fault(`the variable ${name} is not set: ${advice} write \${${name}:-default}`);
}
