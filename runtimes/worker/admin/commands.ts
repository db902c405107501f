import type * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { parseJson } from "../../../core/model/json.ts";
import { isOwner, type Grant } from "../auth/grant.ts";
import { isoTime } from "../database.ts";
import type { Command } from "../relay/device-session-rpc.ts";
import type { Route } from "../http.ts";
import { findDevice } from "./devices.ts";
import { adminRoute, noDevice } from "./route.ts";

/** An answer may hold what another token may not see. */
const isOf = (grant: Grant, { tokenId }: Command): boolean => isOwner(grant) || tokenId === grant.tokenId;

const commands = adminRoute("commands", async ({ params: { uuid }, grant }, context) => {
  if (!findDevice(context, grant, uuid)) return noDevice;
  const all = await context.sessionOf(uuid).commands();
  return reply(200, all.filter((one) => isOf(grant, one)).map(show));
});

const command = adminRoute("command", async ({ params: { uuid, commandId, wait }, grant }, context) => {
  if (!findDevice(context, grant, uuid)) return noDevice;
  const found = await context.sessionOf(uuid).command(commandId, wait * 1000);
  return found && isOf(grant, found) ? reply(200, show(found)) : noCommand;
});

const cancelCommand = adminRoute("cancelCommand", async ({ params: { uuid, commandId }, grant, note }, context) => {
  if (!findDevice(context, grant, uuid)) return noDevice;
  const session = context.sessionOf(uuid);
  const found = await session.command(commandId, 0);
  if (!found || !isOf(grant, found)) return noCommand;
  note({ about: found.request });
  switch (await session.cancelCommand(commandId)) {
    case "cancelled":
      return reply(204, undefined);
    case "acting":
      return refuse("already-acting", "The command was sent to the device, and is not undone");
    case "ended":
      return refuse("operation-ended", "The command has ended");
    case "unknown":
      return noCommand;
  }
});

const noCommand = refuse("unknown-command", "This token has queued no such command, or it is no longer kept");

function show({ tokenId: _, createdAt, expiresAt, endedAt, answer, ...command }: Command): api.Command {
  const isJson = /^application\/(problem\+)?json/.test(answer?.contentType ?? "");
  const body = isJson ? parseJson(answer?.body ?? "") : answer?.body;
  return {
    ...command,
    ...{ createdAt: isoTime(createdAt), expiresAt: isoTime(expiresAt) },
    ...(endedAt !== undefined && { endedAt: isoTime(endedAt) }),
    ...(answer && { answer: { ...answer, ...(body !== undefined && { body }) } }),
  };
}

export const commandRoutes: readonly Route[] = [commands, command, cancelCommand];
