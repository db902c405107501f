import { empty, endpoint, none, text } from "../endpoint.ts";

export const ping = endpoint({
  method: "GET",
  path: "/ping",
  summary: "Say that the agent is alive",
  open: true,
  params: none,
  body: none,
  replies: { 200: text("OK") },
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
