import { sameJson } from "../model/json.ts";

/** Decides which fields of a report are sent, and which field a rejection is about. */

export type Value = string | number | boolean | null | undefined | readonly Value[] | { readonly [key: string]: Value };

export type Fields = Readonly<Record<string, Value>>;

/** What the cloud has accepted and rejected so far. */
export interface ReportState {
  /** The fields that the cloud has accepted, with their values. */
  readonly accepted: Fields;
  /** The fields that the cloud has rejected, with their values. Another value is sent again. */
  readonly rejected: Fields;
  /** The maximum number of fields in a report. It is lower during the search for a rejected field. */
  readonly maxFields: number;
  /** The cloud answered `unauthorized` to these fields. An empty report will show whether they are the reason. */
  readonly suspect: Fields | undefined;
  /** An empty report was accepted, so the next `unauthorized` is about a field and not about the device. */
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
 * The fields to send now; undefined if the cloud has all of them. `apps` is always complete, since the cloud marks services
 * that it does not contain as deleted. It comes last, since it is the field that is most often rejected.
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
  /** The cloud has stored no field, because of one bad field. */
  | "rejected"
  /** The cloud does not know the device, or a release or image that a field names. */
  | "unauthorized";

export interface ReportResult {
  readonly state: ReportState;
  /** The field that the cloud rejects, if it has been found. */
  readonly rejectedField?: string;
  /** The cloud rejects the device, not a field. */
  readonly deviceRejected?: true;
}

/**
 * The state after an answer. A rejected report is halved until only the bad field is left; that field is not sent again
 * until it changes. `unauthorized` without `apps` in the report is about the device. If `apps` was the only field, an empty
 * report follows. If that is accepted, `apps` is sent once more, since the cloud may have learned of the device meanwhile.
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
