import { empty, endpoint, none, text } from "../endpoint.ts";

/** A client repeats a request that changes something only to a server that answers `/ping` with this header. */
export const knowsKeys = { "accept-idempotency-key": "?1" } as const;

export const ping = endpoint({
  method: "GET",
  path: "/ping",
  summary: "Say that the agent is alive",
  open: true,
  params: none,
  body: none,
  replies: { 200: { ...text("OK"), headers: knowsKeys } },
});

export const healthy = endpoint({
  method: "GET",
  path: "/v1/healthy",
  summary: "Say whether the agent gets on with its work",
  open: true,
  params: none,
  body: none,
  replies: { 200: empty, 500: text("Unhealthy") },
});
