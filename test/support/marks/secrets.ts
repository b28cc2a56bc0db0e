/**
 * Sessions of which every secret can be told from all other text, and a search for them: codes, tokens and the lines of
 * session descriptions. It knows no relay and no memory.
 */
import { Client } from "../peers/client.ts";

/** As long as a browser's for audio, video and data. */
export const SDP_LINES = 60;
const CANDIDATES = 4;

export interface Told {
  readonly code: string;
  readonly alice: Client;
  readonly bob: Client;
  readonly aliceToken: string;
}

export class Secrets {
  /** What every code begins with, and what every line of an SDP holds; no other text does. */
  readonly #code = `C${crypto.getRandomValues(new Uint8Array(5)).toHex()}`;
  readonly #line = `S${crypto.getRandomValues(new Uint8Array(5)).toHex()}`;
  readonly #pattern = new RegExp(`(?:${this.#code}|${this.#line})-\\d+-[\\da-z]+`, "g");
  readonly #tokens = new Set<string>();

  /** Two peers meet and say all that peers say to each other. They are still there when it returns. */
  async tell(url: string, session: number): Promise<Told> {
    const code = `${this.#code}-${session}-x`;
    const [alice, aliceToken] = await this.join(url, code, true);
    const [bob] = await this.join(url, code, false);
    await Promise.all([alice.expect("ready"), bob.expect("ready")]);
    alice.send({ type: "offer", sessionCode: code, offer: { type: "offer", sdp: this.#sdp(session, "o") } });
    await bob.expect("offer");
    bob.send({ type: "answer", sessionCode: code, answer: { type: "answer", sdp: this.#sdp(session, "a") } });
    await alice.expect("answer");
    for (let n = 0; n < CANDIDATES; n++) {
      const candidate = `${this.#line}-${session}-c${n} ${crypto.randomUUID()}`;
      alice.send({ type: "ice-candidate", sessionCode: code, candidate: { candidate } });
      await bob.expect("ice-candidate");
    }
    return { code, alice, bob, aliceToken };
  }

  /** Joins and keeps the token in mind, by which it is found again. */
  async join(url: string, sessionCode: string, isInitiator: boolean, token?: string): Promise<[Client, string]> {
    const client = await Client.connect(url);
    client.send({ type: "join", sessionCode, isInitiator, token });
    const own = String((await client.expect("joined"))["token"]);
    this.#tokens.add(own);
    return [client, own];
  }

  /** Which codes, tokens and lines are in a text of one byte, or of two, a character. */
  findIn(text: string): Set<string> {
    const forms = [text, text.replaceAll("\0", "")];
    const marked = forms.flatMap((form) => form.match(this.#pattern) ?? []);
    // What lies beside a token in memory may be a hexadecimal digit, too.
    const digits = forms.flatMap((form) => form.match(/[\da-f]{32,}/g) ?? []);
    const possible = digits.flatMap((run) =>
      Array.from({ length: run.length - 31 }, (_, at) => run.slice(at, at + 32)),
    );
    return new Set([...marked, ...possible.filter((token) => this.#tokens.has(token))]);
  }

  #sdp(session: number, side: "o" | "a"): string {
    const lines = Array.from({ length: SDP_LINES }, (_, n) => {
      return `a=${this.#line}-${session}-${side}${n} ${crypto.getRandomValues(new Uint8Array(30)).toBase64()}`;
    });
    return ["v=0", ...lines, ""].join("\r\n");
  }
}
