import * as z from "zod";

/** What the engine says of a pull, line by line. Source: Engine API, "Create an image". */
const Message = z.looseObject({
  id: z.string().optional(),
  status: z.string().optional(),
  /** Deprecated: engines of the future write only `errorDetail`. */
  error: z.string().optional(),
  errorDetail: z.looseObject({ message: z.string().optional() }).optional(),
  progressDetail: z.looseObject({ current: z.number().optional(), total: z.number().optional() }).optional(),
});

/** How much of a layer is there: parts of one. */
interface Layer {
  size: number;
  downloaded: number;
  extracted: number;
}

/** Bytes of a layer of which no size is known yet. */
const guess = 1;

/** How far a pull is: each layer counts by its size, half for its download, half for its extraction. */
export class PullProgress {
  readonly #layers = new Map<string, Layer>();
  #percent = 0;

  /** Takes one message; gives the error, if that is what it is. */
  take(value: unknown): string | undefined {
    const { data } = Message.safeParse(value);
    if (!data) return undefined;
    const error = data.errorDetail?.message ?? data.error;
    if (error !== undefined) return error;
    const { id, status = "", progressDetail: { current = 0, total } = {} } = data;
    // The last word of every pull, also of one for which everything was here already.
    if (id === undefined && status.startsWith("Status: ")) this.#percent = 100;
    if (id === undefined || /^Pulling from/.test(status)) return undefined;
    if (status === "Already exists") {
      // It was here before, and is no part of what is to come.
      this.#layers.delete(id);
      return undefined;
    }
    const layer = this.#layers.get(id) ?? { size: guess, downloaded: 0, extracted: 0 };
    this.#layers.set(id, layer);
    if (total) layer.size = total;
    // Without a total, the engine counts something else than bytes (seconds), or does not know how many there will be.
    const part = total ? Math.min(current / total, 1) : 0;
    switch (status) {
      case "Downloading":
        layer.downloaded = part;
        break;
      case "Verifying Checksum":
      case "Download complete":
        layer.downloaded = 1;
        break;
      case "Extracting":
        layer.downloaded = 1;
        layer.extracted = part;
        break;
      case "Pull complete":
        layer.downloaded = layer.extracted = 1;
        break;
    }
    return undefined;
  }

  /** Whole percents; never falls, though layers are found on the way. */
  percent(): number {
    const layers = [...this.#layers.values()];
    const total = layers.reduce((sum, { size }) => sum + 2 * size, 0);
    const done = layers.reduce((sum, { size, downloaded, extracted }) => sum + size * (downloaded + extracted), 0);
    this.#percent = Math.max(this.#percent, total === 0 ? 0 : Math.floor((100 * done) / total));
    return this.#percent;
  }
}
