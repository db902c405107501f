import * as z from "zod";

/** What the engine says of a pull, line by line. Source: Engine API, "Create an image". */
const Message = z.looseObject({
  id: z.string().optional(),
  status: z.string().optional(),
  error: z.string().optional(),
  progressDetail: z.looseObject({ current: z.number().optional(), total: z.number().optional() }).optional(),
});

interface Layer {
  total: number;
  downloaded: number;
  extracted: number;
}

/** A layer of which no size is known yet. */
const guess = 1;

/** How far a pull is: each layer is half downloaded bytes, half extracted ones. */
export class PullProgress {
  readonly #layers = new Map<string, Layer>();
  #percent = 0;

  /** Takes one message; gives the error, if that is what it is. */
  take(value: unknown): string | undefined {
    const { data } = Message.safeParse(value);
    if (!data) return undefined;
    if (data.error !== undefined) return data.error;
    const { id, status = "", progressDetail = {} } = data;
    if (id === undefined || /^Pulling from/.test(status)) return undefined;
    const layer = this.#layers.get(id) ?? { total: guess, downloaded: 0, extracted: 0 };
    this.#layers.set(id, layer);
    const { current = 0, total } = progressDetail;
    if (total) layer.total = total;
    switch (status) {
      case "Downloading":
        layer.downloaded = current;
        break;
      case "Verifying Checksum":
      case "Download complete":
        layer.downloaded = layer.total;
        break;
      case "Extracting":
        layer.downloaded = layer.total;
        layer.extracted = current;
        break;
      case "Pull complete":
      case "Already exists":
        layer.downloaded = layer.extracted = layer.total;
        break;
    }
    return undefined;
  }

  /** Whole percents; never falls, though layers are found on the way. */
  percent(): number {
    const layers = [...this.#layers.values()];
    const total = layers.reduce((sum, layer) => sum + 2 * layer.total, 0);
    const done = layers.reduce((sum, layer) => sum + layer.downloaded + layer.extracted, 0);
    this.#percent = Math.max(this.#percent, total === 0 ? 0 : Math.floor((100 * done) / total));
    return this.#percent;
  }
}
