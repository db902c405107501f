import * as z from "zod";
import { accessInCloud } from "../../../core/api/access.ts";
import * as admin from "../../../core/api/admin/index.ts";
import * as cloud from "../../../core/api/cloud/index.ts";
import { adminAnswers, cloudAnswers } from "../../../core/api/examples/cloud-answers.ts";
import { adminExamples, cloudExamples } from "../../../core/api/examples/cloud.ts";
import { hasRefusals } from "../../../core/api/fields.ts";
import { actsOnce, json } from "../../../core/api/endpoint.ts";
import { headersOf, onceReplies } from "../../../core/api/once.ts";
import { refusal } from "../../../core/api/refusal.ts";
import { toOpenApi, type Example } from "../../../core/api/openapi.ts";

const description =
  "The administration of the cloud, the API between devices and cloud, and requests to devices. The credential is a token, or the key of a device.";

/** What the endpoints answer besides their own replies. */
const ofAdministration = {
  400: refusal("invalid-request"),
  401: refusal("unauthorized"),
  413: refusal("too-large"),
  415: refusal("unsupported-media-type"),
  429: refusal("too-many-failures"),
  503: refusal("unavailable"),
};
const Error = json(z.object({ error: z.string() }));
const ofDevices = { 400: Error, 401: cloud.Refused, 404: Error, 413: Error, 415: Error, 429: Error, 503: Error };

const withAnswers = (
  examples: Readonly<Record<string, Example>>,
  answers: Readonly<Record<string, Example["answer"]>>,
): Readonly<Record<string, Example>> =>
  Object.fromEntries(Object.entries(examples).map(([name, one]) => [name, { ...one, answer: answers[name] }]));

let document: ReturnType<typeof toOpenApi> | undefined;

/** The administration and the device ↔ cloud API as an OpenAPI 3.1 document; made when it is first asked for. */
export const openApi = () =>
  (document ??= toOpenApi(
    { ...admin.endpoints, ...cloud.endpoints },
    { title: "Fairlead cloud API", version: "1", description },
    {
      shared: {
        repliesOf: (endpoint) =>
          hasRefusals(endpoint.path) ? { ...ofAdministration, ...(actsOnce(endpoint) && onceReplies) } : ofDevices,
        headersOf: (endpoint) => (hasRefusals(endpoint.path) ? headersOf(endpoint, { isAsync: false }) : {}),
      },
      accessOf: (endpoint, name) => accessInCloud(name, endpoint),
      examples: { ...withAnswers(adminExamples, adminAnswers), ...withAnswers(cloudExamples, cloudAnswers) },
    },
  ));
