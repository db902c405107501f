import { words } from "../words.ts";

/** The place of what is not known yet. */
export const Skeleton = () => (
  <div class="skeleton" role="status" aria-label={words.value.loading}>
    {[1, 2, 3, 4, 5].map((n) => (
      <i key={n} />
    ))}
  </div>
);
