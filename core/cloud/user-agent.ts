/** The `User-Agent` of a device, in the reference implementation's form: clouds recognize devices by it. */
export function userAgent({
  supervisorVersion,
  osVersion,
  osVariant,
}: {
  readonly supervisorVersion: string;
  readonly osVersion: string;
  readonly osVariant: string;
}): string {
  // The name of an operating system may contain characters that are not allowed in a header.
  const system = osVersion.replace(/[^\x20-\x7e]+/g, "?");
  return `Supervisor/${supervisorVersion} (Linux; ${system}; ${osVariant})`;
}
