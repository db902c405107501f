/** An issue of zod. */
interface Issue {
  readonly code?: string | undefined;
  readonly message: string;
  readonly expected?: string;
  readonly origin?: string;
  readonly minimum?: number | bigint;
  readonly maximum?: number | bigint;
  readonly values?: readonly unknown[];
  readonly keys?: readonly string[];
  readonly issues?: readonly Issue[];
}

/** What was expected, in words: zod's own messages name its types ("expected record"). Messages of schemas stay. */
export function issueMessage(issue: Issue): string {
  const { message, origin = "", minimum, maximum, values = [], keys = [], issues = [] } = issue;
  const isDefault = (prefix: string) => message.startsWith(prefix);
  switch (issue.code) {
    case "invalid_type":
      return isDefault("Invalid input: ") ? `expected ${nameOf(issue.expected ?? "")}` : message;
    case "too_small":
      return isDefault("Too small: ") ? `expected ${atLeast(origin, Number(minimum))}` : message;
    case "too_big":
      return isDefault("Too big: ") ? `expected ${atMost(origin, Number(maximum))}` : message;
    case "invalid_value":
      return isDefault("Invalid ") ? `expected ${values.map(String).join(" or ")}` : message;
    case "unrecognized_keys":
      return `not known: ${keys.join(", ")}`;
    case "invalid_key":
      return issues[0] ? issueMessage(issues[0]) : message;
    default:
      return message.replace(/^Invalid input: /, "").split(", received ", 1)[0] ?? "";
  }
}

const names: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

const nameOf = (type: string): string => names[type] ?? type;

const units: Readonly<Record<string, string>> = { string: "characters", array: "entries", record: "entries" };

function atLeast(origin: string, min: number): string {
  const unit = units[origin];
  if (unit === undefined) return `a number of ${min} or more`;
  return min === 1 ? `${origin === "string" ? "a string" : "a list"} that is not empty` : `at least ${min} ${unit}`;
}

function atMost(origin: string, max: number): string {
  const unit = units[origin];
  return unit === undefined ? `a number of ${max} or less` : `at most ${max} ${unit}`;
}
