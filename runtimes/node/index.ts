/** `fairlead/node`: runs the agent inside your own Node program, and exports some of its parts. */
export { toNodeListener } from "./listener.ts";
export { embedAgent, startAgent, type Agent, type EmbeddedAgent } from "./agent.ts";
export { readSettings, SettingsError, type ConfigJson, type Settings } from "./settings.ts";
export { createConsoleLog } from "./log.ts";
export { SqliteStore } from "./store/sqlite-store.ts";
export { FileFolders, seenByEngine } from "./store/file-folders.ts";
