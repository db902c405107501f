import type { Fault } from "../../core/api/endpoint.ts";
import { hasRefusals } from "../../core/api/fields.ts";
import { refuse, refuseWith } from "../../core/api/refusal.ts";
import type { RefusalName } from "../../core/api/refusal-types.ts";
import type { Answer } from "../support/device.ts";

/** The parts of an answer that a client sees. The functions below write expected answers. */
export interface Seen {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

export function seen({ status, headers, text, json }: Answer): Seen {
  const type = headers.get("content-type");
  return { status, type, body: type !== null && /^application\/(problem\+)?json/.test(type) ? json : text };
}

export const json = (status: number, body: unknown): Seen => ({
  status,
  type: "application/json; charset=utf-8",
  body,
});
export const text = (status: number, body: string): Seen => ({ status, type: "text/plain; charset=utf-8", body });
export const empty = (status: number): Seen => ({ status, type: null, body: "" });
export const failed = (status: number, message: string): Seen => json(status, { status: "failed", message });
/** A refusal of v3. */
export const refused = (name: RefusalName, detail: string, errors?: readonly Fault[]): Seen => ({
  ...refuse(name, detail, errors),
  type: "application/problem+json; charset=utf-8",
});

export const ok = text(200, "OK");
/** An error that every endpoint may answer, in the form of its version. */
export const errorAt = (path: string, status: number, message: string): Seen =>
  hasRefusals(path)
    ? { ...refuseWith(status, message), type: "application/problem+json; charset=utf-8" }
    : failed(status, message);

/** Without a valid key: v3 and newer paths say so as problem details. */
export const unauthorizedAt = (path: string): Seen =>
  hasRefusals(path)
    ? refused("unauthorized", "The request has no valid key, and the device is not in local mode")
    : unauthorized;
export const unauthorized = text(401, "Unauthorized");
export const locked = (appId: number, service: string): Seen => failed(423, lockfile(appId, service));
export const lockfile = (appId: number, service: string): string =>
  `Lockfile exists for { appId: ${appId}, service: ${service} }`;
