import * as z from "zod";
import { SqliteStore } from "../../node/store/sqlite-store.ts";

const Keys = z.array(z.object({ key: z.string(), appId: z.number().optional() }));

/** The global key in the agent's database. */
export async function readGlobalKey(file: string): Promise<string | undefined> {
  const store = new SqliteStore(file);
  try {
    return Keys.parse((await store.read("keys")) ?? []).find(({ appId }) => appId === undefined)?.key;
  } finally {
    store.close();
  }
}
