import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import * as z from "zod";
import { accessInCloud, accessOnDevice } from "../../core/api/access.ts";
import { endpoints as adminEndpoints } from "../../core/api/admin/index.ts";
import { fillPath } from "../../core/api/path.ts";
import { endpoints as cloudEndpoints } from "../../core/api/cloud/index.ts";
import { none, type Endpoint, type Replies, type Wire } from "../../core/api/endpoint.ts";
import { adminAnswers, cloudAnswers } from "../../core/api/examples/cloud-answers.ts";
import { endpoints } from "../../core/api/index.ts";
import type { Example } from "../../core/api/openapi.ts";
import { refusalType } from "../../core/api/refusal.ts";
import { exchangeWith } from "./exchanges.ts";
import { notesOf, shapeOf } from "./shape.ts";

/** docs/endpoints.md is generated: `npx vitest -u --config test/vitest.config.ts endpoints-page` writes it. */

type Described = Pick<
  Endpoint<unknown, unknown, Replies>,
  "method" | "path" | "summary" | "open" | "writes" | "manages" | "params" | "body" | "replies" | "bodyLimitBytes"
>;

const limit = (bytes: number) => `${bytes / 1024 / 1024} MiB`;

interface Server {
  readonly base: string;
  readonly header: string;
}
const onDevice: Server = { base: "http://127.0.0.1:48484", header: "" };
/** The request replaces the key that it carries. */
const withKey: Server = { ...onDevice, header: ' -H "Authorization: Bearer <key>"' };
const inCloud: Server = {
  base: "https://fairlead.<you>.workers.dev",
  header: ' -H "Authorization: Bearer <token or key>"',
};

function toCurl(
  { method, path }: Pick<Described, "method" | "path">,
  { params, body }: Pick<Example, "params" | "body">,
  { base, header }: Server,
): string {
  const way = method === "GET" ? "" : ` -X ${method}`;
  const url = `${base}${fillPath(path, params)}`;
  const sent = body === undefined ? "" : ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;
  return `curl${way}${header} ${/[?&]/.test(url) ? `'${url}'` : url}${sent}`;
}

const inputsOf = ({ params, body, bodyLimitBytes }: Described): string[] => [
  ...(params === none ? [] : [`- Parameters: ${formOf(params, "input")}`]),
  ...(body === none
    ? []
    : [`- Body: ${formOf(body, "input", bodyLimitBytes === undefined ? "" : `, at most ${limit(bodyLimitBytes)}`)}`]),
];

/** Statuses with the same body share a line. */
function repliesOf({ replies }: Described): string[] {
  const all = Object.entries(replies);
  const byBody = Object.groupBy(
    all.filter(([, { contentType }]) => contentType !== refusalType),
    ([, wire]) => wireText(wire),
  );
  const errors = all.flatMap(([status, { contentType, schema }]) =>
    schema && contentType === refusalType ? [`${status} ${refusalNames(schema)}`] : [],
  );
  return [
    ...Object.entries(byBody).map(
      ([body, entries = []]) => `- ${entries.map(([status]) => status).join(", ")}: ${body}`,
    ),
    ...(errors.length > 0 ? [`- Errors: ${errors.join("; ")}`] : []),
  ];
}

const refusalNames = (schema: z.ZodType): string =>
  [...shapeOf(schema, "output").matchAll(/"\/docs\/errors#([\w-]+)"/g)]
    .map(([, name = ""]) => `[\`${name}\`](errors.md#${name})`)
    .join(", ");

function wireText({ streamType, ...wire }: Wire<unknown>): string {
  const { type, contentType, contentTypes, schema } = wire;
  if (streamType !== undefined) return `${wireText(wire)}; or \`${streamType}\`, as it arrives`;
  if (contentTypes) return `text: ${contentTypes.map((one) => `\`${one}\``).join(" or ")}`;
  if (type === "empty") return "no body";
  if (type === "stream")
    return `\`${contentType ?? ""}\`, as it arrives${schema ? `; each line is ${formOf(schema, "output")}` : ""}`;
  if (!schema) return "a body";
  const shape = shapeOf(schema, "output");
  if (type !== "text") return formOf(schema, "output");
  return shape === "string" ? "text" : `text: ${shape.replace(/"/g, "`")}`;
}

function formOf(schema: z.ZodType, io: "input" | "output", more = ""): string {
  const notes = notesOf(schema, io).map((note) => `\n  - ${note}`);
  return `\`${shapeOf(schema, io)}\`${more}${notes.join("")}`;
}

/** The status of an answer, and its body. */
function textOf({ status, type, body }: NonNullable<Example["answer"]>): string {
  const text = type === "application/json" ? JSON.stringify(body) : String(body ?? "");
  return `${status}${text === "" ? "" : `\n${text.trimEnd()}`}`;
}

function deviceSection(endpoint: Described, { answer = { status: 0 }, ...example }: Example): string {
  return [
    `### ${endpoint.method} ${endpoint.path}`,
    `${endpoint.summary}.`,
    [`- ${accessOnDevice(endpoint)}`, ...inputsOf(endpoint), ...repliesOf(endpoint)].join("\n"),
    code(
      `$ ${decodeURIComponent(toCurl(endpoint, example, endpoint.manages ? withKey : onDevice))}\n${textOf(answer)}`,
    ),
  ].join("\n\n");
}

const code = (text: string): string => `\`\`\`console\n${text}\n\`\`\``;

const composition = { services: { web: { image: "nginx:1", ports: ["80:80"] } } };
const uuid = "0123456789abcdef0123456789abcdef";

/** Bodies of requests to the cloud. */
const bodies: Readonly<Record<string, unknown>> = {
  register: { application: 1, uuid, device_type: "raspberrypi4-64" },
  report: { [uuid]: { os_version: "12.0.0", cpu_usage: 12 } },
  setTags: { [uuid]: { room: "kitchen" } },
  sendLogs: [{ message: "web is ready", timestamp: 1764410400123, serviceId: 1 }],
  supervisorProxy: { uuid, data: { appId: 1 } },
  createFleet: { name: "cameras", deviceType: "raspberrypi4-64" },
  changeFleet: { forbidden: ["privileged"] },
  createProvisioningKey: { lifetimeDays: 30, uses: 20 },
  createRelease: { composition, dryRun: true },
  setFleetVariables: { variables: { MODE: "night" } },
  setDeviceVariables: { variables: { MODE: "night" } },
  changeDevice: { release: "latest" },
  createWebhook: { url: "https://example.com/hooks", kinds: ["device.offline"] },
  changeWebhook: { enabled: true },
  createToken: { name: "alice", fleets: "all", write: true, lifetimeDays: 90 },
} satisfies Partial<Record<keyof typeof cloudEndpoints | keyof typeof adminEndpoints, unknown>>;

/** Parameters of paths in the cloud. */
const values: Readonly<Record<string, string>> = {
  ...{
    uuid,
    fleetUuid: uuid,
    fleetId: "1",
    keyId: "1",
    name: "MODE",
    tokenId: "<token id>",
    webhookId: "<webhook id>",
    commandId: "<command id>",
  },
  path: "v1/restart",
  commit: "e607cafd5e0e",
};

/** A request to an endpoint of the cloud. */
function requestTo(name: string, { path, params, body }: Described): Example {
  const named = {
    ...Object.fromEntries([...path.matchAll(/:(\w+)/g)].map(([, param = ""]) => [param, values[param] ?? param])),
    ...(name === "audit" && { limit: "2" }),
  };
  const sent = bodies[name];
  expect([name, params.safeParse(named).error, body.safeParse(sent ?? {}).error]).toEqual([name, undefined, undefined]);
  return {
    ...(Object.keys(named).length > 0 && { params: typed(params, named) }),
    ...(sent !== undefined && { body: sent }),
  };
}

const requestsTo = (list: Readonly<Record<string, Described>>): Readonly<Record<string, Example>> =>
  Object.fromEntries(entriesOf(list).map(([name, endpoint]) => [name, requestTo(name, endpoint)]));

function cloudSection(name: string, endpoint: Described, example: Example, answer: Example["answer"]): string {
  const curl = toCurl(endpoint, example, inCloud);
  return [
    `### ${endpoint.method} ${endpoint.path}`,
    `${endpoint.summary}.`,
    [`- ${accessInCloud(name, endpoint)}`, ...inputsOf(endpoint), ...repliesOf(endpoint)].join("\n"),
    code(`${answer ? "$ " : ""}${decodeURIComponent(curl)}${answer ? `\n${textOf(answer)}` : ""}`),
  ].join("\n\n");
}

const answersOf = (list: Readonly<Record<string, Example["answer"]>>) => list;

const entriesOf = (list: Readonly<Record<string, Described>>) => Object.entries(list);

const intro = `# Endpoints

Every HTTP endpoint of the device and of the cloud. This page is generated from their descriptions in \`core/api\`; the answers of
the device are those of a device in memory. Long ids are shortened to \`5f2d…\`. In the forms of bodies, \`?\` means that a field may
be absent, \`[name]\` stands for any name, and \`any\` for any value: of \`force\`, \`cancel\`, \`follow\` and \`all\`, the values \`true\`, 1,
\`"1"\`, \`"true"\` and \`"on"\` mean yes, every other one no. \`{ … }\` is an object that is described elsewhere:
[compose.md](compose.md) for compositions, and \`examples/target.json\` for a target state.`;

const deviceIntro = `In local mode no key is needed. A device with a cloud wants its key: \`-H "Authorization: Bearer <key>"\`, or \`?apikey=<key>\`.
[security.md](security.md#keys-on-the-device) says which keys there are. Through the cloud, the same request is
\`POST /supervisor/<path>\`, with the path after the first slash: see [cloud.md](cloud.md#requests-to-devices). "May" names who may
send it on the device, and what a token of the cloud needs.

Where a body has \`force\`, \`true\` ignores [update locks](update-locks.md). Every endpoint also answers

- 400 for a body or a path that cannot be read, 413 for one that is too large, 415 for a form of a web page;
- 401 \`Unauthorized\` without a valid key, 403 to a web page of another origin, 421 for a foreign \`Host\`;
- 503 after an error that was not foreseen.

Their body is \`{ "status": "failed", "message": "…" }\`, where nothing else is said. Another path answers 404. Under \`/v3\`, all of
these are [problem details](errors.md).`;

const cloudIntro = `Devices send these requests, and \`POST /supervisor/…\` sends one to them. The credential is a header:
\`Authorization: Bearer <token or key>\`. A refusal has the body \`{ "error": "…" }\`, or none.`;

const adminIntro = `What \`fairlead cloud\` uses. The credential is a token, or the admin secret, which may everything. "May" names the permission
that a token needs: [security.md](security.md#tokens). A fleet or device that the token is not for is answered as if it did not exist.
Errors are [problem details](errors.md): besides those listed, 413 \`too-large\`, 429 \`too-many-failures\` and 503 \`unavailable\`.
\`/openapi.json\` of the cloud describes the same for programs, without a token. For balena's SDK, the cloud also answers a part of balena's public API
(\`/v7/…\`).`;

/** In the document, a number is one where the endpoint takes numbers. */
const typed = (schema: z.ZodType, params: Readonly<Record<string, unknown>> = {}) =>
  Object.fromEntries(
    Object.entries(params).map(([name, value]) => {
      const number = Number(value);
      const isNumber = /^\d+$/.test(String(value)) && accepts(schema, { ...params, [name]: number });
      return [name, isNumber ? number : value];
    }),
  );
const accepts = (schema: z.ZodType, value: unknown): boolean => schema.safeParse(value).success;

/** The file `core/api/examples/<name>.ts`. */
async function expectExamples(
  name: string,
  api: string,
  lists: Readonly<Record<string, Readonly<Record<string, Example>>>>,
): Promise<void> {
  const file = join(import.meta.dirname, `../../core/api/examples/${name}.ts`);
  const source = [
    "// Generated by test/docs/endpoints-page.test.ts.",
    api,
    `import type { Example } from "../openapi.ts";\n`,
    ...Object.entries(lists).map(
      ([list, examples]) => `export const ${list}: ${listTypes[list]} = ${JSON.stringify(examples)};\n`,
    ),
  ].join("\n");
  const style = await resolveConfig(file);
  await expect(await format(source, { ...style, parser: "typescript" })).toMatchFileSnapshot(file);
}

const listTypes: Readonly<Record<string, string>> = {
  deviceExamples: "Readonly<Record<keyof typeof endpoints, Example>>",
  adminExamples: "Readonly<Record<keyof typeof adminEndpoints, Example>>",
  cloudExamples: "Readonly<Record<keyof typeof cloudEndpoints, Example>>",
};

// A device is started for each endpoint.
const exchanges = async (): Promise<Readonly<Record<string, Example>>> => {
  const made: Record<string, Example> = {};
  for (const [name, endpoint] of entriesOf(endpoints)) {
    const exchange = await exchangeWith(name, endpoint);
    made[name] = { ...exchange, ...(exchange.params && { params: typed(endpoint.params, exchange.params) }) };
  }
  return made;
};

test(
  "the OpenAPI document of the device has an exchange with each endpoint, and docs/endpoints.md, too",
  { timeout: 120_000 },
  async () => {
    const examples = await exchanges();
    await expectExamples("device", `import type { endpoints } from "../index.ts";`, { deviceExamples: examples });
    const device = entriesOf(endpoints).map(([name, endpoint]) => deviceSection(endpoint, examples[name] ?? {}));
    const cloud = { adminExamples: requestsTo(adminEndpoints), cloudExamples: requestsTo(cloudEndpoints) };
    await expectExamples(
      "cloud",
      `import type { endpoints as adminEndpoints } from "../admin/index.ts";\nimport type { endpoints as cloudEndpoints } from "../cloud/index.ts";`,
      cloud,
    );
    const between = entriesOf(cloudEndpoints).map(([name, endpoint]) =>
      cloudSection(name, endpoint, cloud.cloudExamples[name] ?? {}, answersOf(cloudAnswers)[name]),
    );
    const admin = entriesOf(adminEndpoints).map(([name, endpoint]) =>
      cloudSection(name, endpoint, cloud.adminExamples[name] ?? {}, answersOf(adminAnswers)[name]),
    );
    const page = `${intro}

## The device: port 48484

${deviceIntro}

${device.join("\n\n")}

## Between devices and cloud

${cloudIntro}

${between.join("\n\n")}

## Administration of the cloud

${adminIntro}

${admin.join("\n\n")}
`;
    const file = join(import.meta.dirname, "../../docs/endpoints.md");
    const style = await resolveConfig(file);
    await expect(await format(page, { ...style, parser: "markdown" })).toMatchFileSnapshot(file);
  },
);
