import Docker from "dockerode";
import { describe } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { DockerEngine } from "../../runtimes/node/engine/docker-engine.ts";
import { makeImage, noDocker, restartEngine, startRegistry, sweep } from "../support/docker.ts";
import { putInto, runIn } from "../support/volumes.ts";
import { engineSuite } from "./engine.ts";

engineSuite(
  "embedded",
  async () => {
    const registry = (name: string) => (name === "registry.example/there:1" ? {} : undefined);
    const engine = new EmbeddedEngine({ clock: systemClock, registry, pullMs: 3, stopMs: 1, copyMs: 30 });
    return {
      engine,
      addImage: async (name) => void engine.addImage(name),
      writeFiles: async (volume, files) => {
        for (const [path, text] of Object.entries(files)) engine.files(volume).set(path, text);
      },
      readFiles: async (volume) => Object.fromEntries(engine.files(volume)),
      inRegistry: "registry.example/there:1",
      notInRegistry: "registry.example/not-there:1",
      real: false,
      sweep: async () => {
        const { containers, networks, volumes } = await engine.look();
        for (const { id } of containers) await engine.stopContainer(id).then(() => engine.removeContainer(id));
        for (const { id } of networks) await engine.removeNetwork(id);
        for (const { name } of volumes) await engine.removeVolume(name);
      },
      stop: async () => {},
    };
  },
  async () => {},
);

describe.skipIf(noDocker !== undefined)("on a real engine", () => {
  engineSuite(
    "Docker",
    async () => {
      const docker = new Docker();
      const registry = await startRegistry();
      await makeImage(docker, "conformance-pull:1", undefined, ["ENV PULLED=yes"]);
      const inRegistry = await registry.push(docker, "conformance-pull:1", "there:1");
      await docker.getImage("conformance-pull:1").remove();
      const engine = await DockerEngine.connect(systemClock);
      const stop = engine.onEvent(() => {});
      return {
        engine,
        addImage: async (name, changes) =>
          void (await makeImage(docker, name, undefined, [`ENV IMAGE=${name}`, ...(changes ?? [])])),
        writeFiles: (volume, files) => {
          const entries = Object.entries(files).map(([path, content]) => ({ path, content }));
          return putInto(docker, "conformance:1", volume, entries);
        },
        readFiles: async (volume) => {
          const lines = await runIn(docker, "conformance:1", volume, 'grep -r "" . || true');
          return Object.fromEntries([...lines.matchAll(/^\.\/(.*?):(.*)$/gm)].map(([, path, text]) => [path, text]));
        },
        inRegistry,
        notInRegistry: `${registry.host}/not-there:1`,
        real: true,
        sweep: () => sweep(docker),
        stop: async () => {
          stop();
          await registry.stop();
        },
      };
    },
    restartEngine,
  );
});
