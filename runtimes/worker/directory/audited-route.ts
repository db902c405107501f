import { addressHeader, unknownHeader, type Route } from "../http.ts";
import { targetOf, writeAudit } from "./audit.ts";
import type { AuditTarget } from "./audit-entry.ts";
import { nameOf } from "./principal.ts";

/** A route whose operations are entered in the audit log. The Worker does so for unknown credentials, which are marked for it. */
export const audited = (route: Route): Route => ({
  ...route,
  answer: async (request, asked, context) => {
    const { operation, method, path } = route;
    const { principal } = asked.principal;
    if (principal.is === "nobody") {
      const refused = await route.answer(request, asked, context);
      refused.headers.set(unknownHeader, "1");
      return refused;
    }
    if (operation === undefined) return route.answer(request, asked, context);
    const { db, now } = context;
    let target = targetOf(path, asked.params, db);
    const note = (more: AuditTarget) => {
      target = { ...target, ...more };
    };
    const write = (status: number) => {
      const kind = principal.is === "person" ? "change" : "device";
      const address = request.headers.get(addressHeader) || undefined;
      const entry = { kind, at: now(), who: nameOf(principal), address, operation, method, path, status } as const;
      if (status === 401) return;
      writeAudit(db, [{ ...entry, ...target }]);
      context.changes.recordAudit([{ ...entry, ...target }]);
    };
    try {
      const response = await route.answer(request, { ...asked, principal: { principal, note } }, context);
      write(response.status);
      return response;
    } catch (error) {
      write(503);
      throw error;
    }
  },
});
