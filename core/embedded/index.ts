/** `fairlead/testing`: a whole device in memory, and its parts, for tests of API clients. */
export { createMemoryDevice, memoryIdentity, type MemoryDevice, type MemoryDeviceOptions } from "./device.ts";
export { EmbeddedEngine, type EmbeddedOptions, type Program, type VolumeFiles } from "./engine.ts";
export {
  MemoryEventJournal,
  MemoryFolders,
  MemoryGateway,
  MemoryHostname,
  MemoryLed,
  MemoryLog,
  MemoryLogRing,
  MemoryPower,
  MemoryProxy,
  MemoryStore,
  memorySystem,
} from "./ports.ts";
