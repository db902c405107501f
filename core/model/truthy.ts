const words = new Set(["true", "on", "1"]);

/** What the reference implementation takes for "yes", for `force`, feature labels and config variables: true, 1, "1", "true", "on". */
export const isTruthy = (value: unknown): boolean =>
  value === true || value === 1 || (typeof value === "string" && words.has(value.toLowerCase()));
