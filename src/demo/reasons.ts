/** Why it did not work and what to try, in words for people. Owns those words; they quote nothing of anybody's. */
import type { SignalingFailure } from "../client/client.ts";

interface Words {
  readonly title: string;
  readonly text: string;
}

const REASONS: Readonly<Record<string, Words>> = {
  "no-relay": {
    title: "The server can’t be reached",
    text: "Are you online? Some networks block such servers: try another one, such as your phone’s.",
  },
  "no-peer": {
    title: "Nobody came",
    text: "Compare the code with the other person, letter by letter, then both try again.",
  },
  "no-answer": {
    title: "The other device does not answer",
    text: "The other person is there, but their device said nothing more. Ask them to load the page again, then try again.",
  },
  "session-full": {
    title: "Two people are talking already",
    text: "This code is in use by two others, or by a page of yours that is still open. Close that page and try again, or begin anew with a new code.",
  },
  "role-taken": {
    title: "Somebody has your place",
    text: "It may be a page of yours that is still open. Close that one and try again, or begin anew with a new code.",
  },
  replaced: {
    title: "This conversation moved",
    text: "It was opened in another window or tab. To go on here, close that one and try again.",
  },
  quota: { title: "That was too much", text: "The server passes on only so much. Try again." },
  unsupported: {
    title: "This browser can’t do it",
    text: "It has to be a browser with WebRTC switched on. Tor Browser has none.",
  },
};

const NO_PATH = "Your network or theirs lets no such connection through.";

/** @param isSecure whether the page may encrypt: browsers allow that over HTTPS only, and on the device itself */
export function wordsFor({ reason, retry }: Pick<SignalingFailure, "reason" | "retry">, isSecure: boolean): Words {
  if (reason === "unsupported" && !isSecure)
    return {
      title: "This page can’t encrypt",
      text: "Browsers allow it only where the address begins with https://. Open this page that way.",
    };
  if (reason === "no-path")
    return {
      title: "No way was found between the two of you",
      text: retry
        ? `${NO_PATH} A TURN server was tried, and was no way either. One of you could try another network, such as a phone’s.`
        : `${NO_PATH} One of you could try another network, such as a phone’s. Whoever runs this server could add a TURN server, which helps here.`,
    };
  return REASONS[reason] ?? { title: "It did not work", text: `The server refused: ${reason}. Try again in a while.` };
}
