import { describe, expect, expectTypeOf, test } from "vitest";
import * as z from "zod";
import { empty, endpoint, json, mixed, none, type Method } from "../../core/api/endpoint.ts";
import { createFetch } from "../../core/http/fetch.ts";
import { toResponse } from "../../core/http/reply.ts";
import {
  createRoutes,
  type BodiesOf,
  type Handlers,
  type ParamsOf,
  type RepliesOf,
  type Route,
  type Surface,
} from "../../core/http/route.ts";

/** A surface other than the device's: its own principals, context and errors, and a reply to anonymous requests. */
interface User {
  readonly user: string;
}
interface Notes {
  readonly saved: string[];
  readonly revoked: Set<string>;
}

const api = {
  list: endpoint({
    method: "GET",
    path: "/notes",
    summary: "List the notes",
    params: none,
    body: none,
    replies: { 200: json(z.array(z.string())) },
  }),
  save: endpoint({
    method: "POST",
    path: "/notes/:folder",
    summary: "Save a note",
    params: z.object({ folder: z.string() }),
    body: z.object({ text: z.string() }),
    replies: { 204: empty },
    bodyLimitBytes: 100,
  }),
};
type Api = typeof api;

const handlers: Handlers<Api, User, Notes> = {
  list: (_, { saved }) => ({ status: 200, body: saved }),
  save({ params, body, user }, { saved }) {
    if (body.text === "fail") throw new Error("no room");
    saved.push(`${params.folder}: ${body.text} (${user})`);
    return { status: 204 };
  },
};

const error = (status: number, message: string) => Response.json({ error: message }, { status });
const surface: Surface<User, Notes> = {
  refuse: (_, { user }, { revoked }) => (revoked.has(user) ? error(401, "revoked") : undefined),
  covers: () => true,
  error,
};

interface NamedRoute extends Route<User, Notes> {
  readonly anonymous: string;
}

function createNotes() {
  const context: Notes = { saved: [], revoked: new Set() };
  const routes = createRoutes<ParamsOf<Api>, BodiesOf<Api>, RepliesOf<Api>, User, Notes>(api, handlers, surface);
  const fetch = createFetch<User, Notes, NamedRoute>({
    routes: routes.map((route) => ({ ...route, anonymous: `${route.path} needs a name` })),
    context,
    authenticate: async ({ headers }, route, known) => {
      if (known) return known;
      if (!route) return error(404, "nothing here");
      const user = await Promise.resolve(headers.get("authorization"));
      return user === null ? error(401, route.anonymous) : { user };
    },
    notFound: () => error(404, "nothing here"),
    error,
  });
  const send = async (
    method: Method | "HEAD",
    path: string,
    body?: BodyInit,
    headers: HeadersInit = { authorization: "ann" },
  ) => {
    const init = {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body && { body, duplex: "half" }),
    };
    const response = await fetch(new Request(`http://cloud${path}`, init));
    return [response.status, await response.text()];
  };
  return { ...context, fetch, send };
}

describe("createFetch", () => {
  test("passes input, principal and context to the handler", async () => {
    const { send } = createNotes();
    expect(await send("POST", "/notes/a%20b", '{"text":"one"}')).toEqual([204, ""]);
    expect(await send("GET", "/notes")).toEqual([200, '["a b: one (ann)"]']);
    expect(await send("HEAD", "/notes")).toEqual([200, ""]);
  });

  test("uses the principal that the transport has authenticated", async () => {
    const { fetch, saved } = createNotes();
    const init = { method: "POST", body: '{"text":"two"}', headers: { "content-type": "application/json" } };
    await fetch(new Request("http://cloud/notes/x", init), { user: "bob" });
    expect(saved).toEqual(["x: two (bob)"]);
  });

  test.each([
    ["without a credential, with the answer of the route", "/notes/x", {}, "{}", 401, "/notes/:folder needs a name"],
    ["at a path that no route has", "/other", undefined, "{}", 404, "nothing here"],
    [
      "with a path that cannot be decoded",
      "/notes/%zz",
      undefined,
      "{}",
      400,
      "Failed to decode param, expected valid %-encoding: %zz",
    ],
    [
      "with a body over the endpoint's limit",
      "/notes/x",
      undefined,
      `{"text":"${"x".repeat(100)}"}`,
      413,
      "request entity too large, expected at most 100 bytes",
    ],
    ["with a body that does not fit", "/notes/x", undefined, '{"text":1}', 400, expect.stringMatching(/^text: /)],
  ])("refuses a request %s", async (_, path, headers, body, status, message) => {
    const [got, text] = await createNotes().send("POST", path, body, headers);
    expect([got, JSON.parse(String(text))]).toEqual([status, { error: message }]);
  });

  test("refuses a principal whose credential is revoked while the body arrives", async () => {
    const { send, revoked, saved } = createNotes();
    const body = new ReadableStream(
      {
        pull(controller) {
          revoked.add("ann");
          controller.enqueue(new TextEncoder().encode('{"text":"late"}'));
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    expect(await send("POST", "/notes/x", body)).toEqual([401, '{"error":"revoked"}']);
    expect(saved).toEqual([]);
  });

  test("rethrows a handler's error on a surface that has no reply for errors", async () => {
    await expect(createNotes().send("POST", "/notes/x", '{"text":"fail"}')).rejects.toThrow("no room");
  });
});

test("a list of endpoints does not compile if a handler is missing or a reply is wrong", () => {
  type Complete = Handlers<Api, User, Notes>;
  expectTypeOf<Pick<Complete, "list">>().not.toExtend<Complete>();
  expectTypeOf<Pick<Complete, "list"> & { save: () => { status: 200 } }>().not.toExtend<Complete>();
  expectTypeOf<Pick<Complete, "list"> & { save: () => { status: 204 } }>().toExtend<Complete>();
});

test.each([json(z.string().optional()), mixed(json(z.string().optional()), "taken")])(
  "a JSON reply whose body is optional can have none",
  async (wire) => {
    const response = toResponse({ 400: wire }, { status: 400 }, new Request("http://device/"));
    expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([400, null, ""]);
  },
);
