import { sameJson } from "../model/json.ts";

/** What of a report the cloud is sent, and what becomes of what it was sent. All of this is plain values. */

export type Value = string | number | boolean | null | { readonly [key: string]: Value };

type Fields = Readonly<Record<string, Value>>;

/** How the device stands with the cloud. */
export interface Standing {
  /** The fields that the cloud has, as it has them. */
  readonly known: Fields;
  /** The fields that the cloud does not take, as it did not take them. They may be right another time. */
  readonly refused: Fields;
  /** How many fields are sent at once: fewer, while one that is refused with all the others is looked for. */
  readonly atOnce: number;
  /** What may have been refused for itself; or it was the device that was. An empty report will tell. */
  readonly suspect: Fields | undefined;
  /** An empty report was taken: whatever is unauthorized from now on, the device is not. */
  readonly vouched: boolean;
}

export const stranger: Standing = { known: {}, refused: {}, atOnce: Infinity, suspect: undefined, vouched: false };

/**
 * The fields to send now; undefined when the cloud has them all. `apps` is sent whole, since the cloud takes every
 * service that it does not name for gone, and last, since it is what gets refused.
 */
export function toSend(current: Fields, { known, refused, atOnce, suspect }: Standing): Fields | undefined {
  if (suspect !== undefined) return {};
  const differing = Object.entries(current)
    .filter(([name, value]) => !sameJson(value, known[name]) && !sameJson(value, refused[name]))
    .sort(([a], [b]) => Number(a === "apps") - Number(b === "apps"));
  return differing.length === 0 ? undefined : Object.fromEntries(differing.slice(0, atOnce));
}

/** How the cloud answered a report. */
export type Answered =
  | "taken"
  /** Something in it was not to its liking: all of it is lost. */
  | "refused"
  /** It does not know the device, or something in it is about what it does not know. */
  | "unauthorized";

export interface Judged {
  readonly standing: Standing;
  /** The field that turned out to be the one that is refused. */
  readonly culprit?: string;
  /** It is the device that is refused. */
  readonly outcast?: true;
}

/**
 * One bad field loses a whole report. So what was refused is halved until the bad one stands alone; that one is left out
 * until it changes. `unauthorized` is about the device, unless `apps` is among the fields; if `apps` was alone, an empty
 * report tells which. When that one is taken, the device may have become known only just now, so `apps` has another try.
 */
export function judgeReport(sent: Fields, answered: Answered, standing: Standing): Judged {
  const names = Object.keys(sent);
  const { suspect, vouched, known, refused } = standing;
  const isRefused = (fields: Fields): Judged => ({
    standing: { ...standing, refused: { ...refused, ...fields }, atOnce: Infinity, suspect: undefined, vouched: false },
    culprit: Object.keys(fields).join(", "),
  });
  const halved = { standing: { ...standing, atOnce: Math.ceil(names.length / 2) } };
  switch (answered) {
    case "taken":
      if (suspect) return { standing: { ...standing, suspect: undefined, vouched: true } };
      return {
        standing: {
          ...standing,
          known: { ...known, ...sent },
          atOnce: standing.atOnce * 2,
          vouched: vouched && !("apps" in sent),
        },
      };
    case "unauthorized":
      if (!("apps" in sent)) return { standing: { ...standing, suspect: undefined, vouched: false }, outcast: true };
      if (names.length > 1) return halved;
      return vouched ? isRefused(sent) : { standing: { ...standing, suspect: sent } };
    case "refused":
      return names.length > 1 ? halved : isRefused(suspect ?? sent);
  }
}
