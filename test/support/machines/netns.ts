/** A network of its own, joined to this machine by one cable that can be cut. Needs Linux, root and iproute2. */
import { existsSync } from "node:fs";
import { run } from "../relays/relay.ts";

const IP = "/usr/sbin/ip";

async function ip(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await run([IP, ...args]);
  if (exitCode !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}

export class Network implements AsyncDisposable {
  readonly #name: string;
  /** This machine's address at its end of the cable; the range is one that is reserved for tests (RFC 2544). */
  readonly address = "198.18.77.1";

  private constructor(name: string) {
    this.#name = name;
  }

  /** Whether this machine lets such a network be made. */
  static async isPossible(): Promise<boolean> {
    if (!existsSync(IP)) return false;
    try {
      await using _tried = await Network.create();
      return true;
    } catch {
      return false;
    }
  }

  static async create(): Promise<Network> {
    const name = `cut${process.pid}`;
    const network = new Network(name);
    await ip("netns", "add", name);
    try {
      await ip("link", "add", `${name}a`, "type", "veth", "peer", "name", `${name}b`, "netns", name);
      await ip("address", "add", `${network.address}/30`, "dev", `${name}a`);
      await ip("link", "set", `${name}a`, "up");
      await ip("-n", name, "address", "add", "198.18.77.2/30", "dev", `${name}b`);
      await network.mend();
    } catch (failure) {
      await network[Symbol.asyncDispose]();
      throw failure;
    }
    return network;
  }

  /** The command before which a program runs in that network. */
  get through(): string[] {
    return [IP, "netns", "exec", this.#name];
  }

  /** Gives this machine more addresses at its end of the cable, and the network one in the range of each, with /64 or /24. */
  async addAddresses(own: readonly string[], there: readonly string[]): Promise<void> {
    const flags = (address: string) => (address.includes(":") ? ["nodad"] : []); // IPv6 would wait to see whether it is taken
    for (const address of own) await ip("address", "add", address, "dev", `${this.#name}a`, ...flags(address));
    for (const address of there)
      await ip("-n", this.#name, "address", "add", address, "dev", `${this.#name}b`, ...flags(address));
  }

  /** From now on every packet is lost, and nobody is told. */
  cut(): Promise<void> {
    return ip("-n", this.#name, "link", "set", `${this.#name}b`, "down");
  }

  mend(): Promise<void> {
    return ip("-n", this.#name, "link", "set", `${this.#name}b`, "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run([IP, "link", "delete", `${this.#name}a`]); // it may not be there yet
    await ip("netns", "delete", this.#name);
  }
}
