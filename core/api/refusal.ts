import * as z from "zod";
import { reply, type Fault, type Wire } from "./endpoint.ts";
import { refusalTypes, type RefusalName } from "./refusal-types.ts";

/**
 * Refusals of `/v3` and of the administration, as problem details (RFC 9457). "Problem" has another meaning here: see
 * `GET /v3/problems`.
 */

type StatusOf<N extends RefusalName> = (typeof refusalTypes)[N]["status"];

/** The body of a refusal, as `application/problem+json`. */
export interface Refusal<N extends RefusalName = RefusalName> {
  readonly type: RefusalUri<N>;
  /** The same for every refusal of the type. */
  readonly title: string;
  /** That of the answer. */
  readonly status: number;
  /** What was expected, and what was got. */
  readonly detail: string;
  /** Of an invalid request: each invalid field. */
  readonly errors?: readonly Fault[] | undefined;
}
type RefusalUri<N extends RefusalName> = `/docs/errors#${N}`;

/** A reference to the page that device and cloud answer `/docs/errors` with. */
const uriOf = <N extends RefusalName>(name: N) => `/docs/errors#${name}` as const;

export const refusalType = "application/problem+json; charset=utf-8";

/** The wire of a status: one of these refusals. The schema is made when it is first used. */
export function refusal<const N extends RefusalName>(...names: readonly [N, ...N[]]): Wire<Refusal<N>> {
  let made: z.ZodType<Refusal<N>> | undefined;
  return {
    type: "json",
    contentType: refusalType,
    refusals: names,
    get schema() {
      return (made ??= z.object({
        type: z.enum(names.map(uriOf)),
        title: z.string(),
        status: z.int(),
        detail: z.string(),
        errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
      }));
    },
  };
}

/** A reply that refuses, with the status of its type. `errors`: the invalid fields. */
export function refuse<const N extends RefusalName>(
  name: N,
  detail: string,
  errors?: readonly Fault[],
): { readonly status: StatusOf<N>; readonly body: Refusal<N> } {
  const { status, title }: { readonly status: StatusOf<N>; readonly title: string } = refusalTypes[name];
  return reply(status, { type: uriOf(name), title, status, detail, ...(errors && { errors }) });
}

/** The types that a status has without a more specific one. */
const general = {
  400: "invalid-request",
  401: "unauthorized",
  403: "foreign-origin",
  404: "unknown-endpoint",
  413: "too-large",
  415: "unsupported-media-type",
  421: "foreign-host",
  429: "too-many-failures",
  503: "unavailable",
} as const satisfies Readonly<Record<number, RefusalName>>;

/** A refusal of which only the status is known. */
export const refuseWith = (status: number, detail: string, errors?: readonly Fault[]) =>
  refuse(isGeneral(status) ? general[status] : "unavailable", detail, errors);

const isGeneral = (status: number): status is keyof typeof general => status in general;
