/** What a start with bad options is told. */
import { readConfig } from "../../../src/program/config.ts";
import { ConfigError } from "../../../src/program/options.ts";

/** The line that refuses these arguments and this environment, or "taken". */
export function refusal(args: string[], env: Record<string, string> = {}): string {
  try {
    readConfig(args, env);
  } catch (failure) {
    if (failure instanceof ConfigError) return failure.message;
    throw failure;
  }
  return "taken";
}
