import type { Engine } from "../../core/ports/engine.ts";

/** An engine's methods as a plain object, of which a test can replace some. */
export const boundEngine = (engine: Engine): Engine => ({
  name: engine.name,
  look: (options) => engine.look(options),
  onEvent: (listener) => engine.onEvent(listener),
  imageConfig: (id) => engine.imageConfig(id),
  pull: (image, onProgress, signal) => engine.pull(image, onProgress, signal),
  tagImage: (id, name) => engine.tagImage(id, name),
  removeImage: (name) => engine.removeImage(name),
  createContainer: (name, spec) => engine.createContainer(name, spec),
  startContainer: (id) => engine.startContainer(id),
  stopContainer: (id) => engine.stopContainer(id),
  removeContainer: (id) => engine.removeContainer(id),
  renameContainer: (id, name) => engine.renameContainer(id, name),
  setRestartPolicy: (id, policy) => engine.setRestartPolicy(id, policy),
  createNetwork: (name, spec) => engine.createNetwork(name, spec),
  removeNetwork: (id) => engine.removeNetwork(id),
  createVolume: (name, spec) => engine.createVolume(name, spec),
  removeVolume: (name) => engine.removeVolume(name),
  copyVolume: (from, to, image, signal) => engine.copyVolume(from, to, image, signal),
  volumeSize: (name) => engine.volumeSize(name),
  logs: (id, since, signal, options) => engine.logs(id, since, signal, options),
  top: (id) => engine.top(id),
  exec: (id, request) => engine.exec(id, request),
  stats: (id) => engine.stats(id),
});
