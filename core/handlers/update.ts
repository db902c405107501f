import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/update.ts";
import { refuse } from "../api/refusal.ts";
import type { Principal } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import * as operations from "../operations/update-decisions.ts";
import { stateOfUpdate, type UpdateContext } from "../operations/update-state.ts";
import type { Keys } from "../state/keys.ts";

export function updateState(
  { params: { appId } }: Input<typeof api.updateState>,
  context: UpdateContext,
): Reply<typeof api.updateState> {
  const state = stateOfUpdate(context, appId);
  return state ? reply(200, state) : unknown(appId);
}

export interface DecideContext extends operations.DecisionContext, Pick<UpdateContext, "view"> {
  readonly keys: Pick<Keys, "ownerOf">;
}

export async function confirmUpdate(
  { params, body: { service, commit }, ...principal }: Input<typeof api.confirmUpdate>,
  context: DecideContext,
): Promise<Reply<typeof api.confirmUpdate>> {
  const subject = subjectOf(params, principal, context);
  const own = subject.service ?? service;
  const outcome = await operations.confirmUpdate(context, subject, { service: own, commit });
  return outcome.is === "decided" ? { status: 204 } : refused(outcome, params, context);
}

export async function failUpdate(
  { params, body: { service, reason }, ...principal }: Input<typeof api.failUpdate>,
  context: DecideContext,
): Promise<Reply<typeof api.failUpdate>> {
  const subject = subjectOf(params, principal, context);
  const own = subject.service ?? service;
  const outcome = await operations.failUpdate(context, subject, { service: own, reason });
  return outcome.is === "decided" ? { status: 202 } : refused(outcome, params, context);
}

export async function applyUpdate(
  { params, body, ...principal }: Input<typeof api.applyUpdate>,
  context: DecideContext,
): Promise<Reply<typeof api.applyUpdate>> {
  const outcome = await operations.applyUpdate(context, subjectOf(params, principal, context), body);
  return outcome.is === "decided" ? { status: 202 } : refused(outcome, params, context);
}

export async function retryUpdate(
  { params, ...principal }: Input<typeof api.retryUpdate>,
  context: DecideContext,
): Promise<Reply<typeof api.retryUpdate>> {
  const outcome = await operations.retryUpdate(context, subjectOf(params, principal, context));
  return outcome.is === "decided" ? { status: 202 } : refused(outcome, params, context);
}

export async function rollBackUpdate(
  { params, body, ...principal }: Input<typeof api.rollBackUpdate>,
  context: DecideContext,
): Promise<Reply<typeof api.rollBackUpdate>> {
  const outcome = await operations.rollBackUpdate(context, subjectOf(params, principal, context), body);
  return outcome.is === "decided" ? { status: 202 } : refused(outcome, params, context);
}

/** The application, and who decides. A service is known by its key: it cannot speak for another one. */
function subjectOf(
  { appId }: { readonly appId: number },
  { key, isRelayed }: Principal,
  { keys }: Pick<DecideContext, "keys">,
) {
  const owner = key === undefined ? undefined : keys.ownerOf(key);
  const { service } = owner ?? {};
  return { appId, service, by: service ?? (isRelayed ? "cloud" : owner ? "device key" : "caller without a key") };
}

const unknown = (appId: number) => refuse("unknown-application", `This device has no application ${appId}`);

function refused(
  { reason }: Extract<operations.Decided, { readonly is: "refused" }>,
  { appId }: { readonly appId: number },
  { targets, view }: Pick<DecideContext, "targets" | "view">,
) {
  const isKnown =
    findApp(targets.current(), appId) !== undefined ||
    view().current.containers.some((container) => container.appId === appId);
  return isKnown ? refuse("update-state", reason) : unknown(appId);
}
