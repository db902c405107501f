import type { DeviceClient } from "fairlead/client";

/**
 * Part of an imagined app: it runs on the device, and lets the camera beside it rest at night. `device` is a client of
 * `BALENA_SUPERVISOR_ADDRESS` with `BALENA_SUPERVISOR_API_KEY`, `appId` is `BALENA_APP_ID`. "later": the camera holds its update
 * lock, since it is recording. Throws when the device has no camera.
 */
export async function setNight(isNight: boolean, device: DeviceClient, appId: number): Promise<"done" | "later"> {
  const change = isNight ? device.stopService : device.startService;
  try {
    await change({ params: { appId }, body: { serviceName: "camera" } });
    return "done";
  } catch (error) {
    if (change.refused(error) && error.reply.status === 423) return "later";
    throw error;
  }
}
