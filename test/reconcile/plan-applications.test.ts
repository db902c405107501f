import { describe, expect, test } from "vitest";
import { plan } from "../../core/reconcile/plan.ts";
import {
  app,
  device,
  downloading,
  fetched,
  held,
  network,
  running,
  sentences,
  sentencesFor,
  target,
  volume,
} from "./literals.ts";

const second = { appId: 2 };
const networks = [network("default"), network("default", {}, 2)];
const web = running("web", "web:1");
const shop = running("shop", "shop:1", {}, second);

describe("two applications", () => {
  test("have separate steps", () => {
    const steps = plan(
      device([web, shop], { networks, images: ["shop:2"] }),
      target([app({ web: "web:2" }), app({ shop: "shop:2" }, second)]),
    );
    expect([...steps.keys()]).toEqual(["device", 1, 2]);
    expect(steps.get(1)).toMatchObject([{ action: "fetch" }]);
    expect(steps.get(2)).toMatchObject([{ action: "takeLocks", appId: 2 }]);
  });

  test("do not wait for each other's images", () => {
    const current = device([web, shop], { networks, images: ["shop:2"], downloads: downloading("web:2") });
    expect(sentences(current, app({ web: "web:2" }), app({ shop: "shop:2" }, second))).toEqual([
      "wait for image web:2",
      "take the update locks of app 2",
      '… to kill shop (image: "shop:1" → "shop:2")',
    ]);
  });

  test("may have services of the same name", () => {
    const other = running("web", "web:1", {}, second);
    expect(sentences(device([web, other], { networks }), app({ web: "web:1" }), app({ web: "web:1" }, second))).toEqual(
      [],
    );
  });

  test("may have services of the same image", () => {
    const current = device([web], { networks });
    expect(sentences(current, app({ web: "web:1" }), app({ shop: "web:1" }, second))).toEqual([
      "install and start shop",
    ]);
  });

  test("both wait for the same image", () => {
    const current = device([], { networks, downloads: downloading("web:1") });
    expect(sentences(current, app({ web: "web:1" }), app({ shop: "web:1" }, second))).toEqual([
      "wait for image web:1",
      "wait for image web:1",
    ]);
  });

  test("keep an image that only one of them still uses", () => {
    const current = device([running("web", "web:2")], {
      networks,
      images: ["web:1"],
      imageRecords: fetched("web", "web:1"),
    });
    expect(sentences(current, app({ web: "web:2" }), app({ shop: "web:1" }, second))).toEqual([
      "install and start shop",
    ]);
  });
});

describe("an application that leaves the target state", () => {
  test("has its containers killed under its locks", () => {
    const current = device([web, shop], { networks });
    expect(sentences(current, app({ shop: "shop:1" }, second))).toEqual([
      "take the update locks of app 1",
      "… to kill web (no longer in the target state)",
    ]);
  });

  test("then its networks removed, but not its volumes", () => {
    const current = device([shop], { networks, volumes: [volume("data")], locks: held("web") });
    expect(sentences(current, app({ shop: "shop:1" }, second))).toEqual([
      "remove network 1_default (no longer in the target state)",
    ]);
  });

  test("then its images removed, but not those that others use", () => {
    const current = device([shop], {
      networks: [network("default", {}, 2)],
      images: ["web:1"],
      imageRecords: [...fetched("web", "web:1"), ...fetched("shop", "shop:1")],
    });
    expect(sentences(current, app({ shop: "shop:1" }, second))).toEqual(["remove image web:1"]);
  });
});

describe("an application whose release is rejected", () => {
  const rejected = app({ web: "web:2", db: "db:1" }, { rejected: "web: requires more", volumes: { data: {} } });

  test("runs on unchanged, and nothing is fetched or created for it", () => {
    expect(sentences(device([web], { networks: [network("default"), network("back")] }), rejected)).toEqual([]);
  });

  test("does not delay the others", () => {
    const current = device([web, shop], { networks, images: ["shop:2"] });
    expect(sentences(current, rejected, app({ shop: "shop:2" }, second))).toEqual([
      "take the update locks of app 2",
      '… to kill shop (image: "shop:1" → "shop:2")',
    ]);
  });

  test("keeps the images that it uses, and those that the release wants", () => {
    const current = device([web], { images: ["web:2"], imageRecords: fetched("web", "web:1", "web:2") });
    expect(sentences(current, rejected)).toEqual([]);
  });
});

describe("without a target state", () => {
  const current = device([web, shop], {
    networks,
    locks: held("web"),
    imageRecords: fetched("web", "web:0"),
    images: ["web:0"],
  });

  test("nothing changes", () => {
    expect(sentencesFor(current, target([], { unset: true }))).toEqual([]);
  });

  test("the firewall is set", () => {
    expect(sentencesFor({ ...current, firewall: "unset" }, target([], { unset: true }))).toEqual([
      "set the firewall: the host open, the API for services only",
    ]);
  });

  test("no boot configuration is set, and nothing reboots", () => {
    const board = { is: "here", prefix: "HOST_CONFIG_", forbidden: [], settings: { gpu_mem: ["16"] } } as const;
    expect(sentencesFor({ ...current, bootConfig: board, rebootRequired: true }, target([], { unset: true }))).toEqual(
      [],
    );
  });
});
