/** Part of an imagined app: it runs on the device, and lets the camera beside it rest at night. */

export interface Device {
  /** `BALENA_SUPERVISOR_ADDRESS` */
  readonly address: string;
  /** `BALENA_SUPERVISOR_API_KEY` */
  readonly key: string;
  /** `BALENA_APP_ID` */
  readonly appId: string;
  /** What sends requests; tests put a device in memory here. */
  readonly fetch?: (request: Request) => Promise<Response>;
}

/** "later" while the camera holds its update lock: it is recording. Throws when the device has no camera. */
export async function setNight(isNight: boolean, device: Device): Promise<"done" | "later"> {
  const { address, key, appId, fetch = globalThis.fetch } = device;
  const action = isNight ? "stop-service" : "start-service";
  const response = await fetch(
    new Request(`${address}/v2/applications/${appId}/${action}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ serviceName: "camera" }),
    }),
  );
  if (response.status === 423) return "later";
  if (!response.ok) throw new Error(`The device answered ${response.status}: ${await response.text()}`);
  return "done";
}
