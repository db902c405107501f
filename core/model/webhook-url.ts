/**
 * What is wrong with the address of a webhook. The cloud must not be a way to services that only it can reach: names of
 * this machine and of private networks, and addresses in digits, are refused.
 */
export function webhookUrlFault(
  text: string,
  { allowLoopback }: { readonly allowLoopback: boolean },
): string | undefined {
  const url = URL.parse(text);
  if (!url) return `url: expected an address such as https://example.com/hooks, but got ${JSON.stringify(text)}`;
  const { hostname, protocol, username, password } = url;
  if (username !== "" || password !== "") return "url: expected an address without user name and password";
  const isLoopback = hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]";
  if (isLoopback && allowLoopback && (protocol === "http:" || protocol === "https:")) return undefined;
  if (protocol !== "https:") return `url: expected https, but got ${protocol.slice(0, -1)}`;
  const isName = /\.[a-z][a-z0-9-]*\.?$/i.test(hostname) && !hostname.startsWith("[");
  if (!isName || /\.(local|localhost|internal|lan|home\.arpa|test|invalid)\.?$/i.test(hostname))
    return `url: expected the name of a host on the internet, but got ${hostname}`;
  return undefined;
}
