/** Parameters go where the path wants them, the others into the query. */
export function fillPath(path: string, params: unknown): string {
  const left = new Map(
    Object.entries(params ?? {})
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, String(value)]),
  );
  const filled = path.replace(/:(\w+)/g, (_, name: string) => {
    const value = left.get(name) ?? "";
    left.delete(name);
    return encodeURIComponent(value);
  });
  return left.size > 0 ? `${filled}?${new URLSearchParams([...left]).toString()}` : filled;
}
