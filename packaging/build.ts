import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";
import { gzipSync } from "node:zlib";
import * as z from "zod";
import { writePages } from "./page.ts";

/**
 * Makes `dist/` (or the folder that is named), the package that is published. Everything that it runs is bundled: a board starts it in a third of the
 * time that loading the packages one by one would take, and installs next to nothing.
 */

const root = join(import.meta.dirname, "..");
const dist = resolve(process.argv[2] ?? join(root, "dist"));

/** What can be imported, by subpath; and the program. */
const doors = { index: "core/index.ts", node: "runtimes/node/index.ts", testing: "core/embedded/index.ts" };
const program = { program: "runtimes/cli/cli.ts" };
/** The agent in one piece: it starts sooner, and takes less memory, than in the pieces that it shares with the commands. */
const agent = { agent: "runtimes/cli/agent.ts" };
/** And the cloud, which runs elsewhere: in one piece, so that the others are in no more pieces for it. */
const cloud = { worker: "runtimes/worker/worker.ts" };
/** The client, for browsers, too: in one small piece. */
const client = { client: "core/client/index.ts" };

const Root = z.object({
  name: z.string(),
  version: z.string(),
  description: z.string(),
  license: z.string(),
  engines: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
});

/**
 * What of dockerode is never used here and would cost more than all the rest: BuildKit sessions (gRPC, protobuf), and the
 * engine over SSH. Who asks for the latter is told so.
 */
const leaner: Plugin = {
  name: "leaner",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/ }, ({ path }) => ({
      path,
      namespace: "unused",
    }));
    onLoad({ filter: /./, namespace: "unused" }, () => ({ contents: "" }));
    onLoad({ filter: /docker-modem\/lib\/ssh\.js$/ }, () => ({
      contents: `module.exports = () => { throw new Error("an engine over ssh:// is not supported: forward its socket, as in ssh -L /tmp/docker.sock:/var/run/docker.sock"); };`,
    }));
  },
};

/** The program loads the agent's own piece. */
const ownPieceOfAgent: Plugin = {
  name: "own-piece-of-agent",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/agent\.ts$/ }, ({ importer }) =>
      importer === join(root, "runtimes/cli/commands.ts") ? { path: "./agent.js", external: true } : undefined,
    );
  },
};

/** The notices that the licences of what is bundled ask for. */
function licences(metafiles: readonly Metafile[]): string {
  const files = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const inputs = files.flatMap((file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []);
  return [...new Set(inputs)]
    .sort()
    .map((folder) => {
      const { name, version, license } = z
        .looseObject({ name: z.string(), version: z.string(), license: z.string() })
        .parse(JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")));
      const file = readdirSync(join(root, folder)).find((one) => /^licen[cs]e/i.test(one));
      const text = file ? `\n${readFileSync(join(root, folder, file), "utf8").trim()}\n` : "";
      return `${name} ${version} (${license})\n${text}`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

const { name, version, description, license, engines, dependencies } = Root.parse(
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")),
);

rmSync(dist, { recursive: true, force: true });
const common = {
  absWorkingDir: root,
  outdir: dist,
  bundle: true,
  format: "esm",
  // Names stay, for readable stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  metafile: true,
} as const;
const pages = await writePages(join(root, "runtimes/page/built"));
const { metafile: ofCloud } = await build({
  ...common,
  loader: { ".html": "text" },
  entryPoints: cloud,
  target: "es2024",
  external: ["cloudflare:workers"],
});
const { metafile: ofClient } = await build({ ...common, entryPoints: client, target: "es2023" });
const forNode = {
  ...common,
  chunkNames: "chunks/[name]-[hash]",
  splitting: true,
  platform: "node",
  target: "node22.13",
  // For Node, it has CommonJS alone, of which a dynamic import gets nothing but `default` where it is bundled.
  alias: { yaml: join(root, "node_modules/yaml/browser/index.js") },
  // What is CommonJS asks for Node's own modules this way; where there is no Node, nothing does.
  banner: {
    js: 'const require=globalThis.process?.getBuiltinModule?.("module")?.createRequire(import.meta.url);',
  },
} as const;
const { metafile: ofAgent } = await build({ ...forNode, entryPoints: agent, plugins: [leaner] });
const { metafile } = await build({
  ...forNode,
  entryPoints: { ...doors, ...program },
  plugins: [leaner, ownPieceOfAgent],
});
writeFileSync(join(dist, "device.html.gz"), gzipSync(pages.device.html, { level: 9 }));
const bin = join(dist, "cli.js");
const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines["node"] ?? "") ?? [];
if (!major || !minor) throw new Error(`package.json: engines.node: expected >=<major>.<minor>, got ${engines["node"]}`);
// Without static imports: an older Node fails on those before it runs a line. `function` and `var`: it may be very old.
// Small nurseries: under load a quarter less memory, and a board has little.
writeFileSync(
  bin,
  `#!/usr/bin/env -S node --max-semi-space-size=2
var version = process.versions.node.split(".").map(Number);
if (version[0] < ${major} || (version[0] === ${major} && version[1] < ${minor})) {
  console.error("fairlead needs Node ${major}.${minor} or later, and this is Node " + process.versions.node + ".");
  process.exitCode = 1;
} else import("./program.js");
`,
);
chmodSync(bin, 0o755);

// The software bill of materials: what is bundled, and nothing else. Without times and random ids, so that two builds are alike.
const metafileOfAll = join(dist, "metafile.json");
const all = [ofCloud, ofClient, ofAgent, metafile, pages.device.metafile, pages.fleet.metafile];
const inputs = Object.assign({}, ...all.map((one) => one.inputs));
const outputs = Object.assign({}, ...all.map((one) => one.outputs));
const withoutUnused = (key: string, value: unknown) => (key.startsWith("unused:") ? undefined : value);
writeFileSync(metafileOfAll, JSON.stringify({ inputs, outputs }, withoutUnused));
const sbom = join(root, "node_modules/@cyclonedx/cyclonedx-esbuild/bin/cyclonedx-esbuild-cli.js");
const sbomArgs = ["--bwd", root, "--output-reproducible", "--output-file", join(dist, "sbom.cdx.json"), metafileOfAll];
execFileSync(process.execPath, [sbom, ...sbomArgs], { stdio: "pipe" });
rmSync(metafileOfAll);

const tsc = join(root, "node_modules/typescript/bin/tsc");
for (const project of ["worker-types.json", "types.json"]) {
  const types = ["-p", join(root, "packaging", project), "--outDir", join(dist, "types")];
  execFileSync(process.execPath, [tsc, ...types], { stdio: "inherit" });
}

const typesOf = (file: string) => `./types/${file.replace(/\.ts$/, ".d.ts")}`;
const published = {
  name,
  version,
  description,
  license,
  type: "module",
  engines,
  bin: { fairlead: "cli.js" },
  exports: {
    ...Object.fromEntries(
      Object.entries({ ...doors, ...client, ...cloud }).map(([door, file]) => [
        door === "index" ? "." : `./${door}`,
        { types: typesOf(file), default: `./${door}.js` },
      ]),
    ),
    "./package.json": "./package.json",
  },
  // The declarations name its types; nothing else is needed at run time.
  dependencies: { zod: dependencies["zod"] },
};
writeFileSync(join(dist, "package.json"), `${JSON.stringify(published, undefined, 2)}\n`);
writeFileSync(join(dist, "THIRD-PARTY-LICENSES.txt"), licences(all));
const deployment = readFileSync(join(root, "wrangler.toml"), "utf8");
writeFileSync(join(dist, "wrangler.toml"), deployment.replace(/^main = .*/m, 'main = "worker.js"'));
for (const file of ["README.md", "LICENSE"]) copyFileSync(join(root, file), join(dist, file));
mkdirSync(join(dist, "systemd"));
for (const file of ["fairlead.service", "fairlead.conf"])
  copyFileSync(join(root, "packaging", file), join(dist, "systemd", file));
