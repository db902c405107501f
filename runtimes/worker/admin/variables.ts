import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { uuidsOfFleet } from "../directory/devices.ts";
import { listVariables, removeVariable, setVariables, type VariableOwner } from "../directory/variables.ts";
import type { AuditNote, Route } from "../http.ts";
import { findDevice, type DeviceRow } from "./devices.ts";
import { findFleet } from "./fleets.ts";
import { adminRoute, noDevice, noFleet } from "./route.ts";

const noVariable = refuse("unknown-variable", "There is no such variable");

const fleetOwner = (id: number): VariableOwner => ({ is: "fleet", id, fleetId: id });
const deviceOwner = ({ id, fleetId }: DeviceRow): VariableOwner => ({ is: "device", id, fleetId });

/** Sets variables of an owner, and asks the devices that have them to update. */
const set = (
  context: DirectoryContext,
  owner: VariableOwner,
  { service, variables }: NewVariables,
  uuids: readonly string[],
  note: AuditNote,
) => {
  const fault = context.db.transaction(() => {
    const found = setVariables(context, owner, service, variables);
    if (found === undefined) context.requestUpdates(uuids);
    return found;
  });
  if (fault !== undefined) return refuse("invalid-request", fault);
  note({ about: Object.keys(variables).join(", ") });
  return reply(204, undefined);
};
interface NewVariables {
  readonly service?: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
}

const unset = (
  context: DirectoryContext,
  owner: VariableOwner,
  { name, service }: { readonly name: string; readonly service?: string | undefined },
  uuids: readonly string[],
  note: AuditNote,
) => {
  const removed = context.db.transaction(() => {
    const done = removeVariable(context.db, owner, service, name);
    if (done === true) context.requestUpdates(uuids);
    return done;
  });
  if (typeof removed === "string") return refuse("unknown-service", removed);
  if (!removed) return noVariable;
  note({ about: name });
  return reply(204, undefined);
};

const fleetVariables = adminRoute("fleetVariables", ({ params: { fleetId }, grant }, context) =>
  findFleet(context, grant, fleetId) ? reply(200, [...listVariables(context.db, fleetOwner(fleetId))]) : noFleet,
);

const setFleetVariables = adminRoute("setFleetVariables", ({ params: { fleetId }, body, grant, note }, context) =>
  findFleet(context, grant, fleetId)
    ? set(context, fleetOwner(fleetId), body, uuidsOfFleet(context.db, fleetId), note)
    : noFleet,
);

const deleteFleetVariable = adminRoute(
  "deleteFleetVariable",
  ({ params: { fleetId, ...variable }, grant, note }, context) =>
    findFleet(context, grant, fleetId)
      ? unset(context, fleetOwner(fleetId), variable, uuidsOfFleet(context.db, fleetId), note)
      : noFleet,
);

const deviceVariables = adminRoute("deviceVariables", ({ params: { uuid }, grant }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? reply(200, [...listVariables(context.db, deviceOwner(found))]) : noDevice;
});

const setDeviceVariables = adminRoute("setDeviceVariables", ({ params: { uuid }, body, grant, note }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? set(context, deviceOwner(found), body, [uuid], note) : noDevice;
});

const deleteDeviceVariable = adminRoute(
  "deleteDeviceVariable",
  ({ params: { uuid, ...variable }, grant, note }, context) => {
    const found = findDevice(context, grant, uuid);
    return found ? unset(context, deviceOwner(found), variable, [uuid], note) : noDevice;
  },
);

export const variableRoutes: readonly Route[] = [
  fleetVariables,
  setFleetVariables,
  deleteFleetVariable,
  deviceVariables,
  setDeviceVariables,
  deleteDeviceVariable,
];
