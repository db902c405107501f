/** Wrangler and esbuild import a page as a text. */
declare module "*.html" {
  const html: string;
  export default html;
}
