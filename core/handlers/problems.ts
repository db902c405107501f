import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/problems.ts";
import type { Problem } from "../model/problem.ts";
import { covers } from "../model/scope.ts";

export interface ProblemsContext {
  readonly problems: { readonly list: () => readonly Problem[] };
}

export function problems({ scope }: Input<typeof api.problems>, context: ProblemsContext): Reply<typeof api.problems> {
  const isCovered = ({ appId }: Problem) => (appId === undefined ? scope.device : covers(scope, appId));
  return reply(200, { problems: context.problems.list().filter(isCovered) });
}
