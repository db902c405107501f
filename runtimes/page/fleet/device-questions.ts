import { administration, device as wires } from "../../../core/client/wires.ts";
import { shortCommit } from "../format.ts";
import { toCurl, type Action, type Question } from "../live/actions.ts";
import { counted, words } from "../words.ts";
import type { BulkRequest, ChosenDevice } from "./bulk-operation.ts";
import type { FleetContext, Release } from "./context.ts";
import { fleetWords } from "./words.ts";

/** What can be asked of one device or several: a question comes before each. */

const here = { origin: location.origin, hasKey: true };

/** The names that a dialog shows. */
const mostLines = 8;

interface Asked {
  readonly key: string;
  readonly verb: string;
  readonly send: (uuid: string) => Promise<unknown>;
  readonly curl: (uuid: string) => string;
}

interface Given extends Pick<FleetContext, "once"> {
  readonly fleetId: number;
  readonly devices: readonly ChosenDevice[];
  /** Sends the request to each of the devices. */
  readonly perform: (request: BulkRequest) => Promise<unknown>;
  /** What is said then; absent: that it is done. */
  readonly done?: string;
}

export function deviceQuestions({ once, fleetId, devices, perform, done }: Given) {
  const t = () => fleetWords.value.bulk;
  const [first, ...others] = devices;
  const whom = first && others.length === 0 ? first.name : counted(devices.length, t().count);

  const actionOf = ({ key, verb, send, curl }: Asked): Action => {
    const title = `${verb}: ${whom}`;
    return {
      ...{ key: `devices ${key}`, label: title, curl: curlFor(devices, curl) },
      send: () => perform({ fleetId, title, devices, send }),
      ...(done !== undefined && { done }),
    };
  };
  const questionOf = (verb: string, text: string, action: Action): Question => ({
    ...{ title: `${verb}: ${whom}`, text, lines: others.length > 0 ? namesOf(devices) : [], verb, action },
  });
  const pinTo = (release: string, verb: string): Action => {
    const body = { release };
    return actionOf({
      ...{ key: "pin", verb },
      send: (uuid) => once.admin.changeDevice({ params: { uuid }, body }),
      curl: (uuid) => toCurl(administration.changeDevice, { params: { uuid }, body, ...here }),
    });
  };

  return {
    restart: (): Question => {
      const sent = { params: { appId: fleetId }, body: { force: false } };
      const action = actionOf({
        ...{ key: "restart", verb: t().restart },
        send: (uuid) => once.device(uuid).restartV2(sent),
        curl: (uuid) => toCurl(wires.restartV2, { ...sent, ...here, uuid }),
      });
      return questionOf(t().restart, words.value.confirm.restartApp, action);
    },
    reboot: (): Question => {
      const sent = { body: { force: false } };
      const action = actionOf({
        ...{ key: "reboot", verb: words.value.act.reboot },
        send: (uuid) => once.device(uuid).reboot(sent),
        curl: (uuid) => toCurl(wires.reboot, { ...sent, ...here, uuid }),
      });
      return questionOf(words.value.act.reboot, t().rebootText, action);
    },
    pin: (releases: readonly Release[]): Question => {
      const actionFor = (commit: string) => pinTo(commit, t().pinTo(shortCommit(commit)));
      return {
        ...questionOf(t().pin, t().pinText, actionFor(releases[0]?.commit ?? "")),
        choice: {
          label: t().release,
          options: releases.map(({ commit, target }) => ({
            value: commit,
            label: target ? `${shortCommit(commit)} (${fleetWords.value.releases.target})` : shortCommit(commit),
          })),
          actionOf: actionFor,
        },
      };
    },
    unpin: (): Question => questionOf(t().unpin, t().unpinText, pinTo("latest", t().unpin)),
  };
}

function namesOf(devices: readonly ChosenDevice[]): readonly string[] {
  const names = devices.slice(0, mostLines).map(({ name }) => name);
  const left = devices.length - names.length;
  return left > 0 ? [...names, counted(left, fleetWords.value.bulk.more)] : names;
}

const placeholder = "DEVICE_UUID";

/** One command line for all of them. The uuid is put between the single quotes of the others. */
function curlFor(devices: readonly ChosenDevice[], curl: (uuid: string) => string): string {
  const uuids = devices.map(({ uuid }) => uuid);
  return uuids.length === 1
    ? curl(uuids.join())
    : `for uuid in ${uuids.join(" ")}; do ${curl(placeholder).replaceAll(placeholder, `'"$uuid"'`)}; done`;
}
