/** The engine's names of containers, networks and volumes. They match the reference implementation, since tools use them. */

/** `<service>_<imageId>_<releaseId>_<commit>` */
export const containerName = (service: string, imageId: number, releaseId: number, commit: string): string =>
  `${service}_${imageId}_${releaseId}_${commit}`;

/** The ids in a container's name; undefined if neither the agent nor the reference implementation named it. */
export function parseContainerName(
  name: string,
  service: string,
): { imageId: number; releaseId: number; commit: string } | undefined {
  const start = isHandingOver({ name, service }) ? 4 : isPrepared({ name, service }) ? 5 : 0;
  const match =
    name.startsWith(`${service}_`, start) && /^(\d+)_(\d+)(?:_(.*))?$/.exec(name.slice(start + service.length + 1));
  return match ? { imageId: Number(match[1]), releaseId: Number(match[2]), commit: match[3] ?? "" } : undefined;
}

/** The name of a container that was moved aside for a hand-over. */
export const handOverName = (name: string): string => `old_${name}`;
export const isHandingOver = ({ name, service }: { name: string; service: string }): boolean =>
  name.startsWith("old_") && name.startsWith(`${service}_`, 4);

/** The name of a container that is created while its predecessor still runs. It gets its own when it starts. */
export const preparedName = (name: string): string => `next_${name}`;
export const isPrepared = ({ name, service }: { name: string; service: string }): boolean =>
  name.startsWith("next_") && name.startsWith(`${service}_`, 5);

export const networkName = (appUuid: string, name: string): string => `${appUuid}_${name}`;
export const volumeName = (appId: number, name: string): string => `${appId}_${name}`;

/** The bridge network on which services reach the API. The gateway is the API's address for them. */
export const supervisorNetwork = {
  name: "supervisor0",
  subnet: "10.114.104.0/25",
  gateway: "10.114.104.1",
} as const;

/** The key of a service in maps. */
export const serviceKey = (appId: number, service: string): string => `${appId}/${service}`;

/** The reference implementation's message, as recorded. Clients show it to users. */
export const lockedMessage = (appId: number, { by, why }: { readonly by: string; readonly why?: string }): string =>
  `Lockfile exists for { appId: ${appId}, service: ${by} }${why === undefined ? "" : `: ${why}`}`;
