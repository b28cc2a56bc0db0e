/** What the operator is told of what the relay warns of: where it is not what it seems, and what to set. Pure. */
import type { Warning } from "../core/events.ts";

/** By the name that the relay has for it; docs/OPERATIONS.md, "Behind a proxy", says more. */
export const WARNINGS: Readonly<Record<Warning, string>> = {
  "exempt-proxy": "an exempt address sends X-Forwarded-For, and so is not exempt: name it with --trust-proxy",
  "unknown-proxy":
    "an address that is not trusted sends X-Forwarded-For: if that is your proxy, name it with --trust-proxy",
  "silent-proxy": "a trusted proxy sends no X-Forwarded-For that can be read, so that all its clients count as one",
  "exempt-crowd":
    "addresses in --exempt have more connections than --max-per-address: name none that forwards for others",
};
