const words = new Set(["true", "on", "1"]);

/** Values that the reference implementation treats as true, for `force`, feature labels and config variables. */
export const isTruthy = (value: unknown): boolean =>
  value === true || value === 1 || (typeof value === "string" && words.has(value.toLowerCase()));
