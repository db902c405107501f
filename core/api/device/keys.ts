import { endpoint, none, text } from "../endpoint.ts";
import { Failed } from "../fields.ts";

export const regenerateApiKey = endpoint({
  method: "POST",
  path: "/v1/regenerate-api-key",
  manages: true,
  secretAnswer: true,
  summary: "Replace the caller's key by a new one; its service learns it when it is next applied",
  params: none,
  body: none,
  replies: { 200: text<string>(), 503: Failed },
});
