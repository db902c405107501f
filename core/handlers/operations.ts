import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/operations.ts";
import { refuse } from "../api/refusal.ts";
import { showOperation } from "../http/shown-operation.ts";
import type { RunningOperations } from "../operations/running.ts";
import type { Keys } from "../state/keys.ts";

export interface OperationsContext {
  readonly operations: Pick<RunningOperations, "find" | "list" | "cancel">;
  readonly keys: Pick<Keys, "callerOf">;
}

export async function operations(
  principal: Input<typeof api.operations>,
  { operations, keys }: OperationsContext,
): Promise<Reply<typeof api.operations>> {
  return reply(200, { operations: (await operations.list(keys.callerOf(principal))).map(showOperation) });
}

export async function operation(
  { params: { id, wait }, ...principal }: Input<typeof api.operation>,
  { operations, keys }: OperationsContext,
): Promise<Reply<typeof api.operation>> {
  const found = await operations.find(keys.callerOf(principal), id, wait * 1000);
  return found ? reply(200, showOperation(found)) : unknown();
}

export async function cancelOperation(
  { params: { id }, ...principal }: Input<typeof api.cancelOperation>,
  { operations, keys }: OperationsContext,
): Promise<Reply<typeof api.cancelOperation>> {
  switch (await operations.cancel(keys.callerOf(principal), id)) {
    case "cancelled":
      return { status: 204 };
    case "acting":
      return refuse("already-acting", "The operation has begun to act, and is not undone; it ends by itself");
    case "ended":
      return refuse("operation-ended", `The operation has ended: GET /v3/operations/${id} has its answer`);
    case "unknown":
      return unknown();
  }
}

const unknown = () => refuse("unknown-operation", "This key has begun no such operation, or it is no longer kept");
