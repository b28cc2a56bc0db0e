/** What `bun run build:client` makes, as the relay takes it: as text, to be served. */
declare module "*/dist/client.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: so Bun gives what is imported as text
  export default text;
}
declare module "*/dist/channel.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: so Bun gives what is imported as text
  export default text;
}
declare module "*/dist/words.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: so Bun gives what is imported as text
  export default text;
}
