/**
 * The contract, kept by a relay that tells its peers of TURN: what of it does not hold the text of `ready` against the
 * one without (program/turn says what stands in it).
 */
import { afterAll, beforeAll } from "bun:test";
import { browser } from "../contract/suite/browser.ts";
import { bystanders } from "../contract/suite/bystanders.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { type Start, spawnRelay } from "../support/relays/relay.ts";

let folder: Folder;
let secret: string;
beforeAll(async () => {
  folder = await newFolder();
  secret = await folder.write("secret", "a-secret-that-nobody-knows");
});
afterAll(() => folder[Symbol.asyncDispose]());

const start: Start = (...args) =>
  spawnRelay("binary", "--turn-url=turn:turn.example.org", `--turn-secret-file=${secret}`, ...args);

bystanders(start);
browser(start);
