/** Programs that a test tells what to do, a line of JSON on their standard input, and that answer on standard output. */
import type { RunningRelay } from "./relay.ts";

export const ANSWER = "hook ";

/** What has a program that was started with `stdin: "pipe"` do something, and returns what it answers. */
export function asking({ process, stdout }: RunningRelay): (command: unknown) => Promise<unknown> {
  let asked = 0;
  return async (command) => {
    process.stdin?.write(`${JSON.stringify(command)}\n`);
    process.stdin?.flush();
    const answers = new RegExp(`^(?:(?:(?!${ANSWER}).*\\n)*${ANSWER}(.*)\\n){${++asked}}`);
    const [, answer] = await stdout.until(answers);
    if (answer === undefined) throw new Error("the relay is gone");
    return JSON.parse(answer);
  };
}
