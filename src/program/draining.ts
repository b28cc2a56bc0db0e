/**
 * The end of a relay: it drains, then the program ends. Owns what is said meanwhile, to the log and to the service
 * manager, and with which code it ends.
 */
import type { Relay } from "../core/relay.ts";
import type { Notifier } from "../lockdown/notifier.ts";
import type { Admin } from "./admin.ts";
import { EXIT } from "./failure.ts";
import type { Log } from "./log.ts";

export interface Ending {
  readonly log: Log;
  readonly notifier: Notifier;
  readonly relay: Pick<Relay, "drain">;
  readonly admin: Pick<Admin, "stop"> | null;
  /** Is let go when nobody is left. */
  readonly cluster?: { end(): void } | null;
  readonly drainMs: number;
  /** Ends the process. */
  exit(code: number): void;
}

export interface Draining {
  /** Drains, and ends with this code. False where it drains already. */
  begin(exitCode: number): boolean;
  endAtOnce(): void;
}

export function newDraining({ log, notifier, relay, admin, cluster, drainMs, exit }: Ending): Draining {
  let isDraining = false;
  function end(how: string, exitCode: number): void {
    log.say("stop", how, {}, { "exit-code": exitCode });
    exit(exitCode);
  }
  return {
    begin(exitCode) {
      if (isDraining) return false;
      isDraining = true;
      const seconds = drainMs / 1_000;
      notifier.stopping(`draining for up to ${seconds} s`);
      log.say("drain", `draining for up to ${seconds} s; a second signal stops at once`, {}, { seconds });
      relay
        .drain()
        .then(() => cluster?.end())
        .then(() => admin?.stop())
        .then(
          () => end("stopped", exitCode),
          () => end("stopped in the middle of draining", EXIT.failed),
        );
      return true;
    },
    endAtOnce: () => end("stopped at once", EXIT.failed),
  };
}
