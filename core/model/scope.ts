/** What a caller may touch. */
export type Scope = { readonly apps: readonly number[] | "all" };

export const everything: Scope = { apps: "all" };

export const covers = ({ apps }: Scope, appId: number): boolean => apps === "all" || apps.includes(appId);
