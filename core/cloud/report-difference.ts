import { sameJson } from "../model/json.ts";

/** Which fields of a report are sent, and what the cloud's answer says of them. Pure. */

export type Value = string | number | boolean | null | undefined | { readonly [key: string]: Value };

export type Fields = Readonly<Record<string, Value>>;

/** What the cloud has accepted and rejected so far. */
export interface ReportState {
  /** The fields that the cloud has, with its values. */
  readonly accepted: Fields;
  /** The fields that the cloud rejects, with the rejected values: another value is sent. */
  readonly rejected: Fields;
  /** How many fields are sent at once: fewer while the rejected one of several is searched. */
  readonly maxFields: number;
  /** Unauthorized when sent alone: an empty report will show whether the field or the device is rejected. */
  readonly suspect: Fields | undefined;
  /** An empty report was accepted: the next `unauthorized` is about its field, not about the device. */
  readonly deviceConfirmed: boolean;
}

export const initialReportState: ReportState = {
  accepted: {},
  rejected: {},
  maxFields: Infinity,
  suspect: undefined,
  deviceConfirmed: false,
};

/**
 * The fields to send now; undefined when the cloud has them all. `apps` is sent whole, since the cloud takes every service
 * that is not named for deleted, and last, since it is the field that gets rejected.
 */
export function fieldsToSend(
  current: Fields,
  { accepted, rejected, maxFields, suspect }: ReportState,
): Fields | undefined {
  if (suspect !== undefined) return {};
  const differing = Object.entries(current)
    .filter(([name, value]) => !sameJson(value, accepted[name]) && !sameJson(value, rejected[name]))
    .sort(([a], [b]) => Number(a === "apps") - Number(b === "apps"));
  return differing.length === 0 ? undefined : Object.fromEntries(differing.slice(0, maxFields));
}

/** How the cloud answered a report. */
export type ReportOutcome =
  | "accepted"
  /** All of the report is lost for one bad field. */
  | "rejected"
  /** The cloud does not know the device, or something that a field names. */
  | "unauthorized";

export interface ReportResult {
  readonly state: ReportState;
  /** The field that the cloud rejects, once it is found. */
  readonly rejectedField?: string;
  /** The cloud rejects the device, not a field. */
  readonly deviceRejected?: true;
}

/**
 * The state after an answer. A rejected report is halved until the bad field is sent alone; that field is left out until it
 * changes. `unauthorized` is about the device, unless `apps` is in the report; if `apps` was alone, an empty report shows
 * which. If that is accepted, `apps` is sent once more, since the device may have become known only now.
 */
export function afterReport(sent: Fields, outcome: ReportOutcome, state: ReportState): ReportResult {
  const names = Object.keys(sent);
  const { suspect, deviceConfirmed, accepted, rejected } = state;
  const rejecting = (fields: Fields): ReportResult => ({
    state: {
      ...state,
      rejected: { ...rejected, ...fields },
      maxFields: Infinity,
      suspect: undefined,
      deviceConfirmed: false,
    },
    rejectedField: Object.keys(fields).join(", "),
  });
  const halved = { state: { ...state, maxFields: Math.ceil(names.length / 2) } };
  switch (outcome) {
    case "accepted":
      if (suspect) return { state: { ...state, suspect: undefined, deviceConfirmed: true } };
      return {
        state: {
          ...state,
          accepted: { ...accepted, ...sent },
          maxFields: state.maxFields * 2,
          deviceConfirmed: deviceConfirmed && !("apps" in sent),
        },
      };
    case "unauthorized":
      if (!("apps" in sent))
        return { state: { ...state, suspect: undefined, deviceConfirmed: false }, deviceRejected: true };
      if (names.length > 1) return halved;
      return deviceConfirmed ? rejecting(sent) : { state: { ...state, suspect: sent } };
    case "rejected":
      return names.length > 1 ? halved : rejecting(suspect ?? sent);
  }
}
