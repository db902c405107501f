/** Caches a loaded value until `forget` is called. A value is not cached if `forget` was called during its loading. */
export class Cached<T> {
  readonly #load: () => Promise<T>;
  #loading: Promise<T> | undefined;
  #value: { readonly value: T } | undefined;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  forget(): void {
    this.#loading = undefined;
    this.#value = undefined;
  }

  /** The cached value. Does not load it. */
  peek(): T | undefined {
    return this.#value?.value;
  }

  async get(): Promise<T> {
    if (this.#value) return this.#value.value;
    const loading = (this.#loading ??= this.#load());
    try {
      const value = await loading;
      if (this.#loading === loading) this.#value = { value };
      return value;
    } finally {
      if (this.#loading === loading) this.#loading = undefined;
    }
  }
}
