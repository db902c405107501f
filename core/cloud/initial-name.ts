import type { EventSink } from "../events/events.ts";
import type { Attempt } from "../retry.ts";
import type { Documents } from "../state/documents.ts";
import { isTransient, retry, transientError, type DeviceApiClient } from "./device-api-client.ts";

interface Parts {
  readonly client: DeviceApiClient;
  readonly events: EventSink;
  readonly documents: Documents;
  readonly key: string;
}

const retryPolicy = { firstMs: 15_000, maxMs: 15 * 60_000 };

/** Sends the initial name of a device that has just registered; later changes of the name are made in the cloud. */
export async function sendInitialName({ client, events, documents, key }: Parts, signal: AbortSignal): Promise<void> {
  await client.keepTrying(
    retryPolicy,
    async (): Promise<Attempt<void>> => {
      const device = await documents.read("cloud-device");
      if (device?.unsentName === undefined || device.id === undefined) return { ok: true, value: undefined };
      const { unsentName, ...sent } = device;
      const endpoint = { method: "PATCH", path: `/v7/device(${device.id})` } as const;
      const attempt = await client.attempt<void>(
        endpoint,
        { key, json: { device_name: unsentName } },
        signal,
        (answer) => {
          if (answer.status === 401 || isTransient(answer.status)) return retry(answer);
          if (answer.status >= 300)
            events.emit({ kind: "nameRefused", name: unsentName, reason: transientError(answer).why });
          return { ok: true, value: undefined };
        },
      );
      if (attempt.ok) await documents.write({ "cloud-device": sent });
      return attempt;
    },
    { signal },
  );
}
