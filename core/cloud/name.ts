import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Log } from "../ports/log.ts";
import type { Documents } from "../state/documents.ts";
import { isPassing, setback, type Setback } from "./answers.ts";
import type { RetryPause } from "./reachability.ts";
import { waitMs } from "./pace.ts";
import { messageOf } from "../model/show.ts";

interface Parts {
  readonly clock: Clock;
  readonly ask: Cloud;
  /** Between an attempt that failed and the next one. */
  readonly pause: RetryPause;
  readonly log: Log;
  readonly documents: Documents;
  readonly key: string;
}

const patience = { firstMs: 15_000, limitMs: 15 * 60_000 };
const timeoutMs = 59_000;

/** Gives a device that has just registered the name that it is to have; later, its name is the cloud's. */
export async function tellName({ clock, ask, pause, log, documents, key }: Parts, signal: AbortSignal): Promise<void> {
  for (let failures = 1; !signal.aborted; failures++) {
    const device = await documents.read("cloud-device");
    if (device?.unsentName === undefined || device.id === undefined) return;
    const { unsentName, ...told } = device;
    const trouble = await tell(unsentName, device.id);
    if (!trouble) return documents.write({ "cloud-device": told });
    await pause(waitMs(failures, trouble, patience, clock.random()), trouble, signal);
  }

  async function tell(name: string, id: number): Promise<Setback | undefined> {
    const body = JSON.stringify({ device_name: name });
    const headers = { "content-type": "application/json" };
    try {
      const answer = await ask({ method: "PATCH", path: `/v7/device(${id})`, key, headers, body, timeoutMs }, signal);
      if (answer.status === 401 || isPassing(answer.status)) return setback(answer);
      if (answer.status >= 300)
        log.warn(`The cloud does not take the name ${JSON.stringify(name)}: ${setback(answer).why}`);
      return undefined;
    } catch (error) {
      return { why: messageOf(error) };
    }
  }
}
