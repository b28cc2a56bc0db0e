/**
 * A browser that changes networks, as a phone between Wi-Fi and a mobile network: a machine of its own with two cables
 * to this one, of which one is there at a time, each with addresses of its own. Needs Linux, root and iproute2.
 */
import { chmod } from "node:fs/promises";
import type { Browser } from "playwright-core";
import { run } from "../relays/relay.ts";
import { CHROMIUM, launchChromium } from "./chromium.ts";
import { type Folder, newFolder } from "./folder.ts";
import { Network } from "./netns.ts";

/** The third numbers of the two networks' addresses, in a range that is reserved for tests (RFC 2544). */
const CABLES = { a: 80, b: 81 } as const;
type Cable = keyof typeof CABLES;

export class Roaming implements AsyncDisposable {
  /** This machine's address for both networks. */
  readonly address = "198.18.82.1";
  readonly #name = `roam${process.pid}`;
  readonly #folder: Folder;
  #here: Cable = "a";

  private constructor(folder: Folder) {
    this.#folder = folder;
  }

  static isPossible(): Promise<boolean> {
    return Network.isPossible();
  }

  static async create(): Promise<Roaming> {
    const roaming = new Roaming(await newFolder());
    const name = roaming.#name;
    try {
      await ip(`address add ${roaming.address}/32 dev lo`);
      await ip(`netns add ${name}`);
      await ip(`-n ${name} link set lo up`);
      for (const cable of Object.keys(CABLES)) {
        await ip(`link add ${name}${cable} type veth peer name ${cable} netns ${name}`);
        await ip(`link set dev ${name}${cable} up`);
      }
      await roaming.#come("a");
    } catch (failure) {
      await roaming[Symbol.asyncDispose]();
      throw failure;
    }
    return roaming;
  }

  /** A browser in there, to which pages from this origin are as good as from HTTPS; whoever launches it closes it. */
  async launchChromium(origin: string): Promise<Browser> {
    const through = await this.#folder.write(
      "chromium",
      `#!/bin/sh\nexec ip netns exec ${this.#name} ${CHROMIUM} "$@"\n`,
    );
    await chmod(through, 0o700);
    return launchChromium([`--unsafely-treat-insecure-origin-as-secure=${origin}`], [], through);
  }

  /** The network is gone, and right after that the other one is there. */
  async change(): Promise<void> {
    const gone = this.#here;
    await this.#lose(gone);
    await this.#come(gone === "a" ? "b" : "a");
  }

  async #come(cable: Cable): Promise<void> {
    const net = `198.18.${CABLES[cable]}`;
    await ip(`address add ${net}.1/30 dev ${this.#name}${cable}`);
    await ip(`-n ${this.#name} address add ${net}.2/30 dev ${cable}`);
    await ip(`-n ${this.#name} link set dev ${cable} up`);
    await ip(`-n ${this.#name} route add default via ${net}.1`);
    this.#here = cable;
  }

  async #lose(cable: Cable): Promise<void> {
    await ip(`-n ${this.#name} link set dev ${cable} down`);
    await ip(`-n ${this.#name} address flush dev ${cable}`);
    await ip(`address flush dev ${this.#name}${cable}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What is not there yet has not to be taken away.
    for (const cable of Object.keys(CABLES)) await run(["ip", "link", "delete", `${this.#name}${cable}`]);
    await run(["ip", "netns", "delete", this.#name]);
    await run(["ip", "address", "delete", `${this.address}/32`, "dev", "lo"]);
    await this.#folder[Symbol.asyncDispose]();
  }
}

async function ip(words: string): Promise<void> {
  const { exitCode, stderr } = await run(["ip", ...words.split(" ")]);
  if (exitCode !== 0) throw new Error(`ip ${words}: ${stderr.trim()}`);
}
