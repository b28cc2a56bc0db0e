/** The one error that the library makes. It never holds a code, an address or a message. */
import type { Reason, SignalingFailure } from "./types.ts";

export class SignalingError extends Error implements SignalingFailure {
  override readonly name = "SignalingError";
  readonly reason: Reason;
  readonly retry: boolean;

  constructor(reason: Reason, message: string, retry = false) {
    super(message);
    this.reason = reason;
    this.retry = retry;
  }
}
