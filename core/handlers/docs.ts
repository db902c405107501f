import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/docs.ts";
import { docsPage, errorsPage } from "../http/docs-page.ts";

export const docs = async (_: Input<typeof api.docs>, _context: object): Promise<Reply<typeof api.docs>> =>
  reply(200, await docsPage());

export const errorDocs = async (
  _: Input<typeof api.errorDocs>,
  _context: object,
): Promise<Reply<typeof api.errorDocs>> => reply(200, await errorsPage());
