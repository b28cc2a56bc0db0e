/** The plotting library as the report takes it: as text, to be written into the page. */
declare module "uplot/dist/uPlot.iife.min.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: so Bun gives what is imported as text
  export default text;
}
declare module "uplot/dist/uPlot.min.css" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: so Bun gives what is imported as text
  export default text;
}
