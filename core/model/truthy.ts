const words = new Set(["true", "on", "1"]);

/** True values of `force`, feature labels and config variables in the reference implementation: true, 1, "1", "true", "on". */
export const isTruthy = (value: unknown): boolean =>
  value === true || value === 1 || (typeof value === "string" && words.has(value.toLowerCase()));
