import { duration, moment, wholeMoment } from "../format.ts";
import { now } from "../live/clock.ts";

/** How long ago, and the exact time for who points at it. */
export const Age = ({ at }: { readonly at: number }) => (
  <time dateTime={new Date(at).toISOString()} title={wholeMoment(at)}>
    {duration(now.value - at)}
  </time>
);

/** The time of day, or after a day the date. */
export const Moment = ({ at }: { readonly at: number }) => (
  <time dateTime={new Date(at).toISOString()} title={wholeMoment(at)}>
    {moment(at)}
  </time>
);
