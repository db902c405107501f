import type { Signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { CloudClient } from "../../../core/client/index.ts";
import type { Actions } from "../live/actions.ts";
import type { Visibility } from "../live/visibility.ts";
import type { BulkOperation } from "./bulk-operation.ts";

type Admin = CloudClient["admin"];
export type Fleet = Awaited<ReturnType<Admin["fleets"]>>[number];
export type CloudDevice = Awaited<ReturnType<Admin["devices"]>>[number];
export type DeviceState = CloudDevice["state"];
export type Summary = Awaited<ReturnType<Admin["fleetSummary"]>>;
export type Release = Awaited<ReturnType<Admin["releases"]>>[number];
export type Progress = Awaited<ReturnType<Admin["releaseProgress"]>>;
export type Variable = Awaited<ReturnType<Admin["fleetVariables"]>>[number];
export type Who = Awaited<ReturnType<Admin["whoami"]>>;

/** What the screens of the fleets need. */
export interface FleetContext {
  readonly cloud: CloudClient;
  readonly admin: Admin;
  /** The same for streams: they end while the page is hidden. */
  readonly live: Pick<CloudClient, "follow">;
  /** The same, which sends each request once: for many devices. */
  readonly once: CloudClient;
  readonly visibility: Visibility;
  readonly actions: Actions;
  /** It goes on while another screen is shown. */
  readonly bulk: BulkOperation;
  /** What is typed above the list of devices. It stays while a device of the list is looked at. */
  readonly typedFilter: Signal<string>;
  readonly who: Who;
  readonly fleets: readonly Fleet[];
  /** Reads who and fleets again. */
  readonly renew: () => void;
}

export const Fleets = createContext<FleetContext | undefined>(undefined);

export function useFleets(): FleetContext {
  const context = useContext(Fleets);
  if (!context) throw new Error("There is no cloud around this component");
  return context;
}
