import { readFileSync } from "node:fs";
import { createConfig, lintFromString } from "@redocly/openapi-core";

/** Prints what Redocly's recommended rules find in an OpenAPI document. */
const [file = ""] = process.argv.slice(2);
const config = await createConfig({ extends: ["recommended"] });
const problems = await lintFromString({ source: readFileSync(file, "utf8"), absoluteRef: file, config });
for (const { ruleId, message, location } of problems) console.log(`${ruleId} ${location[0]?.pointer}: ${message}`);
