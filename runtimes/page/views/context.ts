import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Actions, Address } from "../live/actions.ts";
import type { DeviceActions } from "../live/device-actions.ts";
import type { DeviceStore } from "../live/device-store.ts";
import type { ViewState } from "../live/view-state.ts";

/** What every part of the view of one device needs. */
export interface DeviceContext {
  readonly store: DeviceStore;
  readonly actions: Actions;
  readonly can: DeviceActions;
  readonly view: ViewState;
  /** The route of the device: "/" on its own page, "/d/<uuid>/" in a fleet. Screens are below it. */
  readonly base: string;
  /** For the command line of what is asked. */
  readonly address: Address;
}

export const Device = createContext<DeviceContext | undefined>(undefined);

export function useDevice(): DeviceContext {
  const context = useContext(Device);
  if (!context) throw new Error("There is no device around this component");
  return context;
}
