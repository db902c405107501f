import * as z from "zod";

/** A progress message of a pull. Source: Engine API, "Create an image". */
const Message = z.looseObject({
  id: z.string().optional(),
  status: z.string().optional(),
  /** Deprecated. Future engines send only `errorDetail`. */
  error: z.string().optional(),
  errorDetail: z.looseObject({ message: z.string().optional() }).optional(),
  progressDetail: z.looseObject({ current: z.number().optional(), total: z.number().optional() }).optional(),
});

/** A layer's size in bytes, and its downloaded and extracted fractions (0 to 1). */
interface Layer {
  size: number;
  downloaded: number;
  extracted: number;
}

/** Assumed size, in bytes, of a layer whose size is not known yet. */
const guess = 1;

/** The progress of a pull. Layers are weighted by size. Download and extraction count half each. */
export class PullProgress {
  readonly #layers = new Map<string, Layer>();
  #percent = 0;

  /** Processes one message. Returns the error if the message contains one. */
  take(value: unknown): string | undefined {
    const { data } = Message.safeParse(value);
    if (!data) return undefined;
    const error = data.errorDetail?.message ?? data.error;
    if (error !== undefined) return error;
    const { id, status = "", progressDetail: { current = 0, total } = {} } = data;
    // The last message of every pull, also if no layer had to be downloaded.
    if (id === undefined && status.startsWith("Status: ")) this.#percent = 100;
    if (id === undefined || /^Pulling from/.test(status)) return undefined;
    if (status === "Already exists") {
      // The layer was present before the pull, so it does not count.
      this.#layers.delete(id);
      return undefined;
    }
    const layer = this.#layers.get(id) ?? { size: guess, downloaded: 0, extracted: 0 };
    this.#layers.set(id, layer);
    if (total) layer.size = total;
    // Without a total, `current` is not in bytes (but in seconds), or the size is unknown.
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

  /** Whole percent. Never decreases, although new layers appear during the pull. */
  percent(): number {
    const layers = [...this.#layers.values()];
    const total = layers.reduce((sum, { size }) => sum + 2 * size, 0);
    const done = layers.reduce((sum, { size, downloaded, extracted }) => sum + size * (downloaded + extracted), 0);
    this.#percent = Math.max(this.#percent, total === 0 ? 0 : Math.floor((100 * done) / total));
    return this.#percent;
  }
}
