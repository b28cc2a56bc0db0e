/** The worker of the hooked relay: makes the attempts that it is asked for, on a thread of its own. */
import { type Ground, tryCalls, tryOne } from "./hooked-attempts.ts";

declare const self: Worker;

self.onmessage = async ({ data }: MessageEvent<{ attempt: string; ground: Ground } | "calls">) =>
  postMessage(data === "calls" ? tryCalls() : await tryOne(data.attempt, data.ground));
postMessage("up");
