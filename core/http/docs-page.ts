import { html, reply } from "../api/endpoint.ts";
import { refusalTypes } from "../api/refusal-types.ts";
import { toResponse } from "./reply.ts";

/**
 * The pages of the API, for device and cloud. One file each, without anything from elsewhere: the policy allows only this
 * script and this style by their hashes, and requests to the same origin. The key stays in the field of the page. Everything
 * that the document says is inserted as text.
 */
export const docsPage = (): Promise<string> => toPage("API", style, script, `<main>Loading …</main>`);

/** What the `type` of a refusal refers to. */
export const errorsPage = (): Promise<string> =>
  toPage(
    "Errors",
    style,
    "",
    `<main><h1>Errors</h1>${Object.entries(refusalTypes)
      .map(
        ([name, { status, title, about }]) =>
          `<h2 id="${name}">${name}</h2><p>${status}: ${escape(title)}. ${escape(about)}</p>`,
      )
      .join("")}</main>`,
  );

/** The same for a server that has no handlers for them. */
export const answerDocs = async (request: Request, path: "/docs" | "/docs/errors"): Promise<Response> =>
  toResponse({ 200: html }, reply(200, await (path === "/docs" ? docsPage() : errorsPage())), request);

async function toPage(title: string, css: string, code: string, content: string): Promise<string> {
  const policy = [
    "default-src 'none'",
    `style-src '${await hashOf(css)}'`,
    ...(code === "" ? [] : [`script-src '${await hashOf(code)}'`, "connect-src 'self'"]),
    ...["base-uri 'none'", "form-action 'none'"],
  ].join("; ");
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width"><title>Fairlead: ${title}</title><style>${css}</style></head>
<body>${content}${code === "" ? "" : `<script>${code}</script>`}</body></html>
`;
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
}

const escape = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

const style = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; color-scheme: light dark; }
summary { cursor: pointer; padding: .25rem 0; } code, pre, textarea, input { font: 14px/1.4 ui-monospace, monospace; }
pre, textarea { max-height: 24rem; overflow: auto; white-space: pre-wrap; } textarea { width: 100%; min-height: 6rem; box-sizing: border-box; }
label { display: block; margin: .25rem 0; } details details { margin-left: 1rem; }
`;

// As text: it runs in the browser. No innerHTML, no storage.
const script = `
"use strict";
const main = document.querySelector("main");
const make = (name, given = {}, ...children) => {
  const element = Object.assign(document.createElement(name), given);
  element.append(...children);
  return element;
};
const key = make("input", { type: "password", autocomplete: "off", placeholder: "key or token" });
const withKey = (headers = {}) => (key.value ? { ...headers, authorization: "Bearer " + key.value } : headers);
const json = (value) => JSON.stringify(value, null, 2);

const exampleOf = (schema = {}) => {
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return exampleOf(schema.anyOf[0]);
  if (schema.type === "object")
    return Object.fromEntries((schema.required || []).map((name) => [name, exampleOf((schema.properties || {})[name])]));
  return { array: [], boolean: false, integer: 1, number: 1 }[schema.type] ?? "";
};

const inlined = (value, schemas) => {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => inlined(one, schemas));
  if (value.$ref) return inlined(schemas[value.$ref.split("/").pop()], schemas);
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inlined(one, schemas)]));
};

const formOf = (method, path, { parameters = [], requestBody }) => {
  const fields = parameters.map((parameter) => ({ parameter, input: make("input", { placeholder: parameter.example ?? "" }) }));
  const { schema, example } = requestBody ? Object.values(requestBody.content)[0] : {};
  const body = make("textarea", { value: schema ? json(example ?? exampleOf(schema)) : "" });
  const answer = make("pre");
  let left;
  const send = async () => {
    left?.abort();
    left = new AbortController();
    let url = path;
    const query = new URLSearchParams();
    const headers = withKey(schema ? { "content-type": "application/json" } : {});
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") url = url.replace("{" + parameter.name + "}", encodeURIComponent(input.value));
      else if (input.value && parameter.in === "query") query.set(parameter.name, input.value);
      else if (input.value) headers[parameter.name] = input.value;
    }
    answer.textContent = "…";
    try {
      const response = await fetch(url + (query.size ? "?" + query : ""), {
        method, headers, signal: left.signal, credentials: "omit", ...(schema && { body: body.value }),
      });
      answer.textContent = response.status + " " + (response.headers.get("content-type") || "") + "\\n";
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let part; reader && !(part = await reader.read()).done; )
        answer.textContent = (answer.textContent + part.value).slice(-65536);
    } catch (error) {
      answer.append("\\n" + error);
    }
  };
  return make("div", {},
    ...fields.map(({ parameter, input }) =>
      make("label", {}, parameter.name + (parameter.required ? " " : " (optional) "), input, " ", parameter.schema.description || "")),
    ...(schema ? [make("label", {}, "Body", body), make("details", {}, make("summary", {}, "Form of the body"), make("pre", {}, json(schema)))] : []),
    make("button", { onclick: send }, "Send"), " ", make("button", { onclick: () => left?.abort() }, "Stop"), answer);
};

const operationOf = (path, method, operation) =>
  make("details", { id: operation.operationId },
    make("summary", {}, make("code", {}, method.toUpperCase() + " " + path), " " + operation.summary),
    formOf(method.toUpperCase(), path, operation),
    ...Object.entries(operation.responses).map(([status, { description, content = {} }]) =>
      make("details", {}, make("summary", {}, status + ": " + description), make("pre", {}, json(content)))));

const load = async () => {
  const response = await fetch("/openapi.json", { headers: withKey(), credentials: "omit" });
  const ask = make("label", {}, "Key ", key, " ", make("button", { onclick: load }, "Use"));
  if (!response.ok) return main.replaceChildren(make("h1", {}, "Fairlead"), ask, "Status " + response.status + ": a key is needed");
  const { info, tags, components, ...described } = await response.json();
  const paths = inlined(described.paths, components.schemas);
  main.replaceChildren(make("h1", {}, info.title), make("p", {}, info.description), ask,
    ...tags.flatMap(({ name, description }) => [make("h2", {}, description),
      ...Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods)
        .filter(([, operation]) => operation.tags.includes(name))
        .map(([method, operation]) => operationOf(path, method, operation)))]));
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
};
load();
`;
