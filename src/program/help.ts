/** What the relay's program can be asked to do: its help, manual page and completions say nothing else. Pure. */
import { version } from "../../package.json" with { type: "json" };
import { CHECK_OPTIONS, PRINT_OPTIONS } from "./commands.ts";
import { ITSELF } from "./completions.ts";
import { OPTIONS, optionsHelp } from "./config.ts";
import { EXIT } from "./failure.ts";
import { NAME } from "./log.ts";
import { type Manual, usageOf } from "./manual.ts";
import { helpFor } from "./options.ts";

/** What `print` writes to fit the options, and `integrity`: the hashes of the scripts that it serves to pages. */
export const AROUND = ["systemd", "systemd@", "caddy", "nginx", "haproxy", "nftables", "integrity"] as const;

export const RELAY: Manual = {
  name: NAME,
  summary: "a WebSocket relay through which two WebRTC peers find each other",
  about: [
    "Two browsers that know the same session code exchange an offer, an answer and candidates through the relay, and then talk to each other without it.",
    "The relay stores nothing: no database, no file, and no log of messages, session codes or addresses.",
    "Options are flags or environment variables; a flag wins. A list is a repeated flag, or one text with commas.",
  ],
  commands: [
    { name: "", operands: "[OPTIONS]", what: "run the relay", takes: "text", options: OPTIONS },
    {
      ...{ name: "check", operands: "[URL] [OPTIONS]", takes: "text", options: { ...CHECK_OPTIONS, ...OPTIONS } },
      what: "try a relay (default: the one that these options describe, on this machine)",
    },
    {
      ...{ name: "print", operands: "WHAT [OPTIONS]", takes: [...AROUND, ...Object.keys(ITSELF)] },
      what: "write what stands around it with these options, or what tells of itself",
      options: { ...PRINT_OPTIONS, ...OPTIONS },
    },
  ],
  inEnvironment: OPTIONS,
  exits: [
    [EXIT.well, "it drained to the end; a command did what it was asked for"],
    [EXIT.failed, "it can't be done now: the port is in use, an error came, a second signal; check failed"],
    [EXIT.asked, "it was asked for wrongly: an option, a variable, a file that it names"],
    [EXIT.address, "this machine has no such address, or doesn't let this user have the port"],
    [EXIT.sandbox, "--sandbox require can't be had here"],
  ],
};

/** What --help prints. */
export function helpText(): string {
  return `${NAME} ${version}: ${RELAY.summary}. It stores nothing.

Usage:
${usageOf(RELAY)}  ${NAME} --help        this; also -h, help
  ${NAME} --version     also -V

Of check:
${helpFor(CHECK_OPTIONS, false)}
Of print:
${helpFor(PRINT_OPTIONS, false)}
Options, the environment variable that sets the same, and in brackets the default and the bounds:
${optionsHelp()}`;
}
