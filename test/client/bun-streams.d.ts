/** What Bun's streams can do besides, which the browsers' types don't know. Without this the helpers of test/support don't check here. */
interface ReadableStream {
  text(): Promise<string>;
}
