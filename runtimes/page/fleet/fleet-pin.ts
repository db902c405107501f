import { administration as wires } from "../../../core/client/wires.ts";
import { toCurl, type Question } from "../live/actions.ts";
import type { Fleet, FleetContext } from "./context.ts";

interface Given extends Pick<FleetContext, "admin"> {
  readonly fleet: Fleet;
  /** A commit, or "latest": the fleet follows new releases. */
  readonly release: string;
  readonly title: string;
  readonly text: string;
  readonly line: string;
  readonly onDone: () => void;
}

/** The devices of a fleet change to a release: who asks for that has typed the fleet's name. */
export function askFleetPin({ admin, fleet, release, title, text, line, onDone }: Given): Question {
  const sent = { params: { fleetId: fleet.id }, body: { release } };
  return {
    ...{ title, text, verb: title, word: fleet.name, lines: [line] },
    action: {
      key: `pin ${release}`,
      label: title,
      send: async () => {
        await admin.changeFleet(sent);
        onDone();
      },
      curl: toCurl(wires.changeFleet, { ...sent, origin: location.origin, hasKey: true }),
    },
  };
}
