/** What a device says of itself in `User-Agent`, in the reference implementation's form. Clouds tell devices by it. */
export function userAgent({
  supervisorVersion,
  osVersion,
  osVariant,
}: {
  readonly supervisorVersion: string;
  readonly osVersion: string;
  readonly osVariant: string;
}): string {
  // The name of an operating system may be written in any alphabet; a header may not.
  const system = osVersion.replace(/[^\x20-\x7e]+/g, "?");
  return `Supervisor/${supervisorVersion} (Linux; ${system}; ${osVariant})`;
}
