import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";

export const openApi = endpoint({
  method: "GET",
  path: "/openapi.json",
  summary: "This API as an OpenAPI 3.1 document, for programs that make clients and pages",
  params: none,
  body: none,
  replies: { 200: json(z.looseObject({ openapi: z.literal("3.1.0"), paths: z.record(z.string(), z.unknown()) })) },
});
