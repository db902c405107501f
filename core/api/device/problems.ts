import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";
import { Problem } from "../problem.ts";

export const problems = endpoint({
  method: "GET",
  path: "/v3/problems",
  summary:
    "What is wrong now with the applications in the key's scope, and why; no problem remains when its cause is gone",
  params: none,
  body: none,
  replies: { 200: json(z.object({ problems: z.array(Problem) })) },
});
