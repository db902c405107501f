import { createHash } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type BuildOptions, type Metafile } from "esbuild";

/** A page as one file: `runtimes/page/<name>.tsx` and the style, bundled into one HTML document that loads nothing. */
export interface BuiltPage {
  readonly html: string;
  /** What is in it, for the notices of licences. */
  readonly metafile: Metafile;
}

const root = join(import.meta.dirname, "..");
const room = join(root, "runtimes/page");

const common = {
  absWorkingDir: root,
  bundle: true,
  write: false,
  minify: true,
  legalComments: "none",
  metafile: true,
  // Browsers that know `light-dark()`.
  target: ["chrome123", "firefox121", "safari17.5"],
} as const satisfies BuildOptions;

export async function buildPage(name: "device" | "fleet"): Promise<BuiltPage> {
  const [code, style] = await Promise.all([
    build({
      ...common,
      entryPoints: [join(room, `${name}.tsx`)],
      outfile: `${name}.js`,
      format: "iife",
      jsx: "automatic",
      jsxImportSource: "preact",
    }),
    build({ ...common, entryPoints: [join(room, "style.css")], outfile: `${name}.css` }),
  ]);
  const script = afterFirstFrame(textOf(code.outputFiles).trim());
  // A parser of HTML would not find the end of such a script.
  if (/<!--|<\/script/i.test(script)) throw new Error(`${name}: the script contains a mark of HTML`);
  return { html: toDocument(script, textOf(style.outputFiles).trim()), metafile: code.metafile };
}

/** Both pages, as the agent and the Worker load them. */
export async function writePages(folder: string): Promise<{ readonly device: BuiltPage; readonly fleet: BuiltPage }> {
  const [device, fleet] = await Promise.all([buildPage("device"), buildPage("fleet")]);
  mkdirSync(folder, { recursive: true });
  replace(join(folder, "device.html.gz"), gzipSync(device.html, { level: 9 }));
  // The Worker imports it as a text.
  replace(join(folder, "fleet.html"), fleet.html);
  return { device, fleet };
}

/** At once: another process may read it meanwhile. */
function replace(file: string, content: string | Uint8Array): void {
  const next = `${file}.${process.pid}`;
  writeFileSync(next, content);
  renameSync(next, file);
}

const textOf = ([file]: readonly { readonly text: string }[]): string => file?.text ?? "";

/** The skeleton is painted before the script begins, which takes a slow machine longer. A hidden tab paints nothing. */
const afterFirstFrame = (script: string): string =>
  `{const start=()=>setTimeout(()=>{${script}});document.hidden?start():requestAnimationFrame(start)}`;

/** Style and skeleton come first: they are in the first 14 KB, which is one TCP window. */
const toDocument = (script: string, style: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policyOf(script, style)}">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>Fairlead</title>
<link rel="icon" href="${icon}"><style>${style}</style></head>
<body><div id="page"><div class="skeleton" aria-hidden="true"><b>Fairlead</b><i></i><i></i><i></i><i></i><i></i></div></div>
<noscript>This page needs JavaScript. The API works without: /docs</noscript><script>${script}</script></body></html>
`;

const policyOf = (script: string, style: string): string =>
  [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "img-src data:",
    "connect-src 'self'",
    "form-action 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");

const hashOf = (text: string): string => `sha256-${createHash("sha256").update(text).digest("base64")}`;

/** A ring on a rope: a fairlead. */
const icon = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="5" fill="none" stroke="#0b5fc4" stroke-width="3"/></svg>',
)}`;
