import { endpoint, html, none } from "../endpoint.ts";

export const docs = endpoint({
  method: "GET",
  path: "/docs",
  open: true,
  summary: "A page that shows this API and sends requests to it; it asks for the key, where one is needed",
  params: none,
  body: none,
  replies: { 200: html },
});

export const errorDocs = endpoint({
  method: "GET",
  path: "/docs/errors",
  open: true,
  summary: "The page that the `type` of an error refers to",
  params: none,
  body: none,
  replies: { 200: html },
});
