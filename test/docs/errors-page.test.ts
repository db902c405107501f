import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import { refusalTypes } from "../../core/api/refusal-types.ts";

/** docs/errors.md is generated: `npx vitest -u --config test/vitest.config.ts errors-page` writes it. */

const intro = `# Errors

A request that is refused under \`/v3\` of the device, or under \`/admin/v1\` of the cloud, is answered with problem details
([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), as \`application/problem+json\`:

\`\`\`json
{
  "type": "/docs/errors#invalid-request",
  "title": "The request is invalid",
  "status": 400,
  "detail": "ttl: expected a number of 1 or more",
  "errors": [{ "path": "ttl", "message": "expected a number of 1 or more" }]
}
\`\`\`

A program compares \`type\`: its values are listed below, and keep their meaning. \`title\` is the same for every error of a type.
\`detail\` is for people, and may change. \`errors\` has each invalid field of a request; other errors do not have it.
[endpoints.md](endpoints.md) names the types that an endpoint answers.

The errors of \`/v1\`, \`/v2\` and of the API between devices and cloud have the forms that their clients know.
`;

test("docs/errors.md has every type of refusal", async () => {
  const sections = Object.entries(refusalTypes).map(
    ([name, { status, title, about }]) => `## ${name}\n\n${status}: ${title}. ${about}\n`,
  );
  const file = join(import.meta.dirname, "../../docs/errors.md");
  const style = await resolveConfig(file);
  const page = await format([intro, ...sections].join("\n"), { ...style, parser: "markdown" });
  await expect(page).toMatchFileSnapshot(file);
});
