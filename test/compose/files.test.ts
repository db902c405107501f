import { describe, expect, test } from "vitest";
import { toContainerSpec } from "../../core/compose/container-spec.ts";
import { withoutSecrets } from "../../core/compose/masked.ts";
import { parseCloudTarget, parseLocalTarget } from "../../core/compose/target-state.ts";
import type { FileContent } from "../../core/model/service-file.ts";
import { body, deviceFacts, entry, facts, faultsOf } from "./read.ts";
import { plainImage } from "./specs.ts";

const identify = ({ content, uid, gid, mode }: FileContent) => `${content}-${uid}-${gid}-${mode.toString(8)}`;

const definitions = {
  configs: { nginx: { content: "listen 80" } },
  secrets: { psk: { content: "hunter2" }, key: { base64: "AAEC/w==" } },
};

function appOf(fields: object, app: object = definitions) {
  const parsed = parseLocalTarget(body({ "1": entry(fields) }, app), facts, "before", identify);
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  const [first] = parsed.target.apps;
  if (!first) throw new Error("no application");
  return { app: first, files: first.services[0]?.config.files, warnings: parsed.warnings };
}

describe("the files of a service", () => {
  test("have the paths and modes of compose", () => {
    const { app, files, warnings } = appOf({ configs: ["nginx"], secrets: ["psk", "key"] });
    expect(warnings).toEqual([]);
    expect(files).toEqual([
      { target: "/nginx", id: "listen 80-0-0-444" },
      { target: "/run/secrets/psk", id: "hunter2-0-0-444" },
      { target: "/run/secrets/key", id: "AAEC/w==-0-0-444" },
    ]);
    expect(app.files?.["AAEC/w==-0-0-444"]).toEqual({
      ...{ content: "AAEC/w==", encoding: "base64" },
      ...{ uid: 0, gid: 0, mode: 0o444 },
    });
  });

  test("have another path, owner and mode if the long form says so", () => {
    const { files } = appOf({
      configs: [{ source: "nginx", target: "/etc/nginx/./nginx.conf", mode: 0o440 }],
      secrets: [{ source: "psk", target: "wifi/psk", uid: "103", gid: 104, mode: "0400" }],
    });
    expect(files).toEqual([
      { target: "/etc/nginx/nginx.conf", id: "listen 80-0-0-440" },
      { target: "/run/secrets/wifi/psk", id: "hunter2-103-104-400" },
    ]);
  });

  test("are mounted read-only, and the container does not contain their content", () => {
    const { app } = appOf({ secrets: [{ source: "key", target: "/k" }] });
    const [service] = app.services;
    if (!service) throw new Error("no service");
    const spec = toContainerSpec(service, app, deviceFacts, { id: "sha256:1", config: plainImage }, "");
    expect(spec.mounts).toContainEqual({
      ...{ type: "bind", source: "/var/lib/fairlead/files/AAEC/w==-0-0-444", target: "/k" },
      ...{ readOnly: true, options: "" },
    });
  });

  test("without a definition are left out with a warning, as another cloud sends none", () => {
    const warning = (kind: string) =>
      `local.apps.1.services.1.${kind}s: there is no ${kind} "x" with a content, left out`;
    const { files, warnings } = appOf({ configs: ["x"], secrets: [{ source: "x" }] }, {});
    expect(files).toBeUndefined();
    expect(warnings).toEqual([warning("config"), warning("secret")]);
  });

  test.each([
    [{ secrets: "psk" }, /^local\.apps\.1\.services\.1\.secrets: expected a list, but got "psk"/],
    [
      { secrets: [{ target: "x" }] },
      /^local\.apps\.1\.services\.1\.secrets\[0\]: expected a name, or an object with source/,
    ],
    [
      { secrets: [{ source: "psk", target: "/" }] },
      /^local\.apps\.1\.services\.1\.secrets\[0\]\.target: expected a path/,
    ],
    [
      { secrets: [{ source: "psk", target: "/a:rw" }] },
      /secrets\[0\]\.target: expected a path without colons, but got "\/a:rw"/,
    ],
    [{ configs: [{ source: "nginx", uid: "root" }] }, /configs\[0\]/],
    [{ configs: [{ source: "nginx", mode: "rw" }] }, /configs\[0\]/],
  ])("%j is a fault", (fields, fault) => {
    expect(faultsOf(body({ "1": entry(fields) }, definitions))).toEqual([expect.stringMatching(fault)]);
  });
});

describe("a definition", () => {
  test("has at most 500 KB, and its fault does not show the content", () => {
    const content = "hunter2".repeat(80_000);
    expect(faultsOf(body({ "1": entry({}) }, { secrets: { psk: { content } } }))).toEqual([
      expect.stringMatching(/^local\.apps\.1\.secrets\.psk: expected at most 512000 bytes(?!.*hunter2)/),
    ]);
  });

  test("of a wrong kind is a fault that does not show it", () => {
    expect(faultsOf(body({ "1": entry({}) }, { secrets: { psk: { base64: "not base64: hunter2" } } }))).toEqual([
      expect.stringMatching(/^local\.apps\.1\.secrets\.psk\.base64: (?!.*hunter2)/),
    ]);
  });

  test("is read from a release of the cloud", () => {
    const services = { web: { id: 1, image_id: 1, image: "web:1", composition: { secrets: ["psk"] } } };
    const release = { id: 1, services, secrets: { psk: { content: "hunter2" } } };
    const target = { d: { name: "d", apps: { f: { id: 1, name: "f", releases: { r: release } } } } };
    const parsed = parseCloudTarget(target, facts, "d", identify);
    expect(parsed.ok && parsed.target.apps[0]?.services[0]?.config.files).toEqual([
      { target: "/run/secrets/psk", id: "hunter2-0-0-444" },
    ]);
  });

  test("is shown without its content to a client without the permission", () => {
    const shown = withoutSecrets({ name: "d", config: {}, apps: { "1": definitions } });
    expect(shown.apps["1"]).toEqual({
      configs: { nginx: { content: "(hidden)" } },
      secrets: { psk: { content: "(hidden)" }, key: { base64: "(hidden)" } },
    });
  });
});
