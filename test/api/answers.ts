import type { Answer } from "../support/device.ts";

/** The parts of an answer that a client sees. The functions below write expected answers. */
export interface Seen {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

export function seen({ status, headers, text, json }: Answer): Seen {
  const type = headers.get("content-type");
  return { status, type, body: type?.startsWith("application/json") ? json : text };
}

export const json = (status: number, body: unknown): Seen => ({
  status,
  type: "application/json; charset=utf-8",
  body,
});
export const text = (status: number, body: string): Seen => ({ status, type: "text/plain; charset=utf-8", body });
export const empty = (status: number): Seen => ({ status, type: null, body: "" });
export const failed = (status: number, message: string): Seen => json(status, { status: "failed", message });

export const ok = text(200, "OK");
export const unauthorized = text(401, "Unauthorized");
export const locked = (appId: number, service: string): Seen => failed(423, lockfile(appId, service));
export const lockfile = (appId: number, service: string): string =>
  `Lockfile exists for { appId: ${appId}, service: ${service} }`;
