type Send = (request: Request) => Promise<Response>;

/** A hidden tab may be shown again at once, so its stream ends only after this time. */
const graceMs = 2000;

/** Whether somebody can see the page. */
export class Visibility {
  #hidden = new AbortController();
  #shown = Promise.withResolvers<void>();
  #woken = Promise.withResolvers<void>();

  constructor() {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const update = () => {
      clearTimeout(timer);
      if (document.visibilityState === "visible") this.#show();
      else timer = setTimeout(() => this.#hide(), graceMs);
    };
    document.addEventListener("visibilitychange", update);
    addEventListener("pageshow", update);
    addEventListener("online", () => this.#wake());
    update();
  }

  /** Resolves when the page is shown again, or the network is back. */
  readonly woken = (): Promise<void> => this.#woken.promise;

  /** Resolves when the page is visible. */
  readonly shown = (): Promise<void> => this.#shown.promise;

  /** The same `send`, for a stream: it begins when the page is visible, and breaks when the page is hidden. */
  while =
    (send: Send): Send =>
    async (request) => {
      await this.#shown.promise;
      return send(new Request(request, { signal: AbortSignal.any([request.signal, this.#hidden.signal]) }));
    };

  #show(): void {
    if (this.#hidden.signal.aborted) this.#hidden = new AbortController();
    this.#shown.resolve();
    this.#wake();
  }

  #hide(): void {
    this.#shown = Promise.withResolvers();
    this.#hidden.abort(new Error("The page is hidden"));
  }

  #wake(): void {
    this.#woken.resolve();
    this.#woken = Promise.withResolvers();
  }
}
