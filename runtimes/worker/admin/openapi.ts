import * as admin from "../../../core/api/admin/index.ts";
import * as cloud from "../../../core/api/cloud/index.ts";
import { commonRefusals } from "../../../core/api/fields.ts";
import { toOpenApi } from "../../../core/api/openapi.ts";

let document: ReturnType<typeof toOpenApi> | undefined;

/** The administration and the device ↔ cloud API as an OpenAPI 3.1 document; made when it is first asked for. */
export const openApi = () =>
  (document ??= toOpenApi(
    { ...admin.endpoints, ...cloud.endpoints },
    { title: "Fairlead cloud", version: "1" },
    { 401: commonRefusals[401], 503: commonRefusals[503] },
  ));
