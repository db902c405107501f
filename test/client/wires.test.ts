import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import { endpoints as administration } from "../../core/api/admin/index.ts";
import type { Endpoint, Replies } from "../../core/api/endpoint.ts";
import { endpoints } from "../../core/api/index.ts";

/** core/client/wires.ts is generated: `npx vitest -u --config test/vitest.config.ts client/wires` writes it. */

type Described = Pick<Endpoint<unknown, unknown, Replies>, "method" | "path" | "writes" | "repeats" | "headers">;

const tableOf = (name: string, api: string, all: Readonly<Record<string, Described>>) =>
  `export const ${name} = ${JSON.stringify(
    Object.fromEntries(
      Object.entries(all).map(([operation, { method, path, writes, repeats, headers }]) => [
        operation,
        { method, path, ...(writes && { writes }), ...(repeats && { repeats }), ...(headers && { headers }) },
      ]),
    ),
  )} as const satisfies Readonly<Record<keyof typeof ${api}, Wire>>;\n`;

test("the client knows every operation as the servers do", async () => {
  const source = [
    "// Generated from the endpoints by test/client/wires.test.ts.",
    `import type { endpoints as administrationApi } from "../api/admin/index.ts";`,
    `import type { endpoints as deviceApi } from "../api/index.ts";`,
    `import type { Wire } from "./transport.ts";\n`,
    "/** Methods and paths, without what parses them: a browser loads no schemas. */\n",
    tableOf("device", "deviceApi", endpoints),
    tableOf("administration", "administrationApi", administration),
  ].join("\n");
  const file = join(import.meta.dirname, "../../core/client/wires.ts");
  const formatted = await format(source, { ...(await resolveConfig(file)), parser: "typescript" });
  await expect(formatted).toMatchFileSnapshot(file);
});
