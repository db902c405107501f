/** Which screen an address shows. */

export const fleetScreens = ["devices", "releases", "variables", "add", "tokens", "audit"] as const;
export type FleetScreen = (typeof fleetScreens)[number];

export type Place =
  | { readonly is: "start" }
  | { readonly is: "device"; readonly uuid: string }
  | { readonly is: "fleet"; readonly id: number; readonly screen: FleetScreen; readonly rest: string };

export function placeOf(path: string): Place {
  const [, kind, name = "", below = "", rest = ""] = path.split("/");
  if (kind === "d" && name !== "") return { is: "device", uuid: name };
  const id = Number(name);
  if (kind !== "f" || !Number.isSafeInteger(id)) return { is: "start" };
  const screen = fleetScreens.find((one) => one === below) ?? "devices";
  return { is: "fleet", id, screen, rest };
}

export const pathOf = (id: number, screen: FleetScreen = "devices", rest = ""): string =>
  `#/f/${id}/${screen === "devices" ? "" : screen}${rest === "" ? "" : `/${rest}`}`;
