import * as admin from "../../../core/api/admin/index.ts";
import { toOpenApi } from "../../../core/api/openapi.ts";

const { Refused, endpoints } = admin;

/** The administration as an OpenAPI 3.1 document. */
export const openApi = toOpenApi(endpoints, { title: "Fairlead cloud", version: "1" }, { 401: Refused, 503: Refused });
