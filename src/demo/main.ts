/**
 * The page to try a relay: two people meet by a link, a picture or a typed code, talk, and see what is happening. Owns
 * which part of the page is shown and the one session there is. The code stays in the #fragment, which browsers send to
 * no server; nothing is stored.
 */
import {
  connect,
  newCode,
  normaliseCode,
  type Session,
  type SessionEvents,
  type SignalingFailure,
} from "../client/client.ts";
import { element, made, onClick } from "./dom.ts";
import { qrCode } from "./qr.ts";
import { wordsFor } from "./reasons.ts";
import { newSteps } from "./steps.ts";
import { LARGEST_FILE_BYTES, newTalk, type Talk } from "./talk.ts";

const VIEWS = ["start", "invite", "wait", "chat", "over"] as const;
type View = (typeof VIEWS)[number];
/** How somebody came here: as who invites, by a link or by voice, or as who was invited. */
type Kind = "link" | "voice" | "guest";

/** Why it may fail before the server has said anything. */
const HERE: readonly string[] = ["bad-code", "unsupported", "no-relay"];
const IS_OVER = "The conversation is over. Nothing of it is kept.";
const MEBIBYTE = 1_048_576;
/** So much of what the other sent is kept at once: files in bytes, and lines of the conversation. */
const MOST_KEPT_BYTES = 2 * LARGEST_FILE_BYTES;
const MOST_LINES = 2_000;

const steps = newSteps();
const text = element<HTMLInputElement>("text");
const file = element<HTMLInputElement>("file");
let session: Session | undefined;
let kind: Kind = "guest";
let talk: Talk | undefined;
/** The channel that `talk` is over: the same one may come back after an interruption, with a file half sent. */
let spoken: RTCDataChannel | undefined;
let hasTalked = false;
/** Where the files that came can be saved from: they are in memory until these are revoked. */
let kept: { url: string; bytes: number; line: HTMLElement }[] = [];

element("address").textContent = `${location.host}${location.pathname}`;
onClick("#by-link", () => begin("link", newCode()));
onClick("#by-voice", () => begin("voice", newCode("typed")));
onClick("#copy", copy);
onClick("#share", () => navigator.share({ url: linkTo(session?.code ?? "") }).catch(() => {}));
onClick(".end", () => leave(hasTalked ? IS_OVER : ""));
onClick("#anew", () => leave(""));
onClick("#again", () => begin(kind, codeHere()));
element("share").hidden = !("share" in navigator);
element("join").addEventListener("submit", join);
element("say").addEventListener("submit", say);
file.addEventListener("change", sendFile);
element<HTMLDetailsElement>("happening").open = matchMedia("(min-width: 62rem)").matches;
addEventListener("hashchange", arrive);
arrive();

/** The page was opened, or its address changed: who has a code in it has been invited, or comes back. */
function arrive(): void {
  const code = codeHere();
  if (code !== "" && code === session?.code) return;
  session?.close();
  session = undefined;
  steps.reset(false);
  if (code === "") show("start");
  else begin((history.state as { kind?: Kind } | null)?.kind ?? "guest", code);
}

function codeHere(): string {
  return location.hash.slice(1);
}

function begin(as: Kind, code: string): void {
  session?.close();
  session = undefined;
  kind = as;
  talk = spoken = undefined;
  hasTalked = false;
  steps.reset(true);
  clear();
  const relay = new URL(".", location.href);
  relay.protocol = relay.protocol.replace("http", "ws");
  // A reload comes back to the same view: the browser keeps this with the tab, and only there.
  history.replaceState({ kind }, "", `#${code}`);
  let opened: Session;
  try {
    opened = connect({ url: relay.href, code, setup: (connection) => steps.watch(connection) });
  } catch (failure) {
    fail(failure as SignalingFailure);
    return;
  }
  session = opened;
  follow(opened);
  if (kind !== "guest") invite(opened.code);
  show(kind === "guest" ? "wait" : "invite");
  element("wait-text").textContent = "Looking for the other person…";
  status("");
}

/** Shows what becomes of a session, for as long as it is the one here. */
function follow(one: Session): void {
  function on<T extends keyof SessionEvents>(type: T, act: (detail: SessionEvents[T]["detail"]) => void): void {
    one.addEventListener(type, ({ detail }) => one === session && act(detail));
  }
  on("waiting", waiting);
  on("ready", () => {
    steps.done("server", transport());
    steps.done("other");
    steps.done("sealed", "with keys made from the code, which the server never gets");
    if (hasTalked) return;
    element("wait-text").textContent = "The other person is there. Connecting…";
    show("wait");
  });
  on("connected", async ({ channel, connection }) => {
    if (channel !== spoken) talk = newTalk(channel, (said) => line("theirs", said), received);
    spoken = channel;
    steps.done("other");
    steps.done("offer");
    steps.done("answer");
    hasTalked = true;
    enable(true);
    show("chat");
    status("You are connected.", true);
    element("chat-title").textContent = "You are connected";
    const way = await steps.arrived(connection).catch(() => "");
    element("how").textContent = `Encrypted from end to end${way && `, ${way}`}.`;
  });
  on("interrupted", () => {
    enable(false);
    element("chat-title").textContent = "The connection was interrupted";
    status("The connection was interrupted. It is being mended…");
  });
  on("retrying", ({ inMs }) => {
    if (one.state !== "connected" && inMs > 1_000)
      status(`The server is out of reach. The next try is in ${Math.ceil(inMs / 1_000)} seconds.`);
  });
  on("failed", fail);
}

function transport(): string {
  return location.protocol === "https:"
    ? "encrypted on the way (TLS); your browser shows by which keys, beside the address"
    : "not encrypted on the way (plain HTTP): others on it can see that you two meet, and nothing else";
}

/** Alone at the server. */
function waiting(): void {
  steps.done("server", transport());
  if (hasTalked) {
    status("The other person is gone. They can come back with the same code while this page is open.");
    return;
  }
  status(kind === "guest" ? "" : "Waiting for the other person. Keep this page open.");
  element("wait-text").textContent =
    "Nobody else is there yet. Keep this page open. If you typed the code, compare it with the other person: a wrong one looks just like this.";
  if (kind === "guest") show("wait");
}

function invite(code: string): void {
  const byVoice = kind === "voice";
  element("by-link-part").hidden = byVoice;
  element("by-voice-part").hidden = !byVoice;
  element("typed").textContent = code.replace(/.{4}(?=.)/g, "$&-");
  element<HTMLInputElement>("link").value = linkTo(code);
  if (!byVoice) element("qr").replaceChildren(qrCode(linkTo(code)));
}

function linkTo(code: string): string {
  return `${location.origin}${location.pathname}#${code}`;
}

async function copy(): Promise<void> {
  const link = element<HTMLInputElement>("link");
  try {
    await navigator.clipboard.writeText(link.value);
    status("The link is copied.");
  } catch {
    link.select();
    status("The link is selected: copy it with your keyboard or menu.");
  }
}

function join(event: Event): void {
  event.preventDefault();
  const input = element<HTMLInputElement>("code");
  const error = element("code-error");
  const typed = input.value.includes("#") ? input.value.slice(input.value.indexOf("#") + 1) : input.value;
  try {
    begin("guest", normaliseCode(typed));
    input.value = error.textContent = "";
    input.removeAttribute("aria-invalid");
  } catch {
    error.textContent = "That is no whole code: it has 12 letters and digits, in three groups of four.";
    input.ariaInvalid = "true";
    input.focus();
  }
}

function say(event: Event): void {
  event.preventDefault();
  const said = text.value.trim();
  if (said === "" || !talk) return;
  try {
    talk.say(said);
  } catch {
    status("That was not sent: the connection was interrupted.");
    return;
  }
  line("mine", said);
  text.value = "";
  text.focus();
}

async function sendFile(): Promise<void> {
  const [chosen] = file.files ?? [];
  const by = talk;
  if (!chosen || !by) return;
  file.value = "";
  if (chosen.size > LARGEST_FILE_BYTES) {
    status(`That file is larger than ${LARGEST_FILE_BYTES / MEBIBYTE} MB, which is as much as this page can send.`);
    return;
  }
  const bar = element<HTMLProgressElement>("progress");
  element("sending-name").replaceChildren("Sending ", named(chosen.name));
  element("sending").hidden = false;
  file.disabled = true;
  try {
    await by.send(chosen, (share) => {
      bar.value = share;
    });
    line("mine", "File sent: ", named(chosen.name), ` (${sizeOf(chosen.size)})`);
  } catch {
    line("note", "Not sent: ", named(chosen.name), ". The connection was interrupted.");
  }
  element("sending").hidden = true;
  file.disabled = text.disabled;
}

/** A file came: it is saved only where somebody asks for that, and opened never. */
function received(name: string, blob: Blob): void {
  const link = made("a", "Save ");
  link.append(named(name), ` (${sizeOf(blob.size)})`);
  link.href = URL.createObjectURL(blob);
  link.download = name;
  const one = line("theirs", link);
  kept.push({ url: link.href, bytes: blob.size, line: one });
  // Who sends without end takes the room of what they sent before, not all memory.
  while (kept.length > 1 && kept.reduce((sum, { bytes }) => sum + bytes, 0) > MOST_KEPT_BYTES) {
    const oldest = kept.shift();
    if (!oldest) return;
    URL.revokeObjectURL(oldest.url);
    oldest.line.textContent = "An older file is no longer here: newer ones took its room.";
  }
}

/** A file's name, which turns nothing around it. It runs from the left: else what follows its point could look like its start. */
function named(name: string): HTMLElement {
  const one = made("bdi", name);
  one.dir = "ltr";
  return one;
}

/** Takes the oldest line off, with its file if it has one. */
function drop(oldest: Element | null): void {
  oldest?.remove();
  for (const { url } of kept.filter(({ line }) => line === oldest)) URL.revokeObjectURL(url);
  kept = kept.filter(({ line }) => line !== oldest);
}

/** Lets go of the conversation, and of the files that came. */
function clear(): void {
  for (const { url } of kept) URL.revokeObjectURL(url);
  kept = [];
  element("log").replaceChildren();
}

function sizeOf(bytes: number): string {
  return bytes < MEBIBYTE ? `${Math.ceil(bytes / 1_024)} KB` : `${(bytes / MEBIBYTE).toFixed(1)} MB`;
}

/** Adds a line to the conversation. A text runs from left or right by itself, and moves nothing around it: `bdi`. */
function line(of: "mine" | "theirs" | "note", ...said: (string | Node)[]): HTMLElement {
  const log = element("log");
  const one = made("p", "", of);
  if (of !== "note") one.append(made("span", of === "mine" ? "You" : "The other", "who"));
  const text = made("bdi", "", "said");
  text.append(...said);
  one.append(text);
  log.append(one);
  while (log.childElementCount > MOST_LINES) drop(log.firstElementChild);
  // Once for all that come in a frame: to ask for the height after each would lay all of them out each time.
  requestAnimationFrame(() => {
    log.scrollTop = log.scrollHeight;
  });
  return one;
}

function enable(isOn: boolean): void {
  for (const control of [text, file, element<HTMLButtonElement>("send")]) control.disabled = !isOn;
}

function fail(failure: SignalingFailure): void {
  const { title, text: what } =
    failure.reason === "bad-code"
      ? { title: "The code in this link is not whole", text: "A part of the link may be missing. Ask for it again." }
      : wordsFor(failure, isSecureContext);
  if (!HERE.includes(failure.reason)) steps.done("server", transport());
  const step = steps.failed();
  element("over-title").textContent = title;
  element("over-text").textContent = what;
  element("over-step").textContent = `It stopped at this step: ${step}.`;
  element("again").hidden = failure.reason === "bad-code" || failure.reason === "unsupported";
  session = undefined;
  show("over");
  status("");
}

/** Ends what there is, and forgets it. */
function leave(why: string): void {
  session?.close();
  session = undefined;
  talk = spoken = undefined;
  hasTalked = false;
  clear();
  history.replaceState(null, "", location.pathname);
  steps.reset(false);
  show("start");
  status(why);
}

/** Shows one part of the page, and takes the keyboard and the screen reader there. */
function show(view: View): void {
  const wasShown = !element(view).hidden;
  for (const name of VIEWS) element(name).hidden = name !== view;
  if (wasShown) return;
  const isFirst = document.activeElement === document.body && view === "start";
  if (view === "chat") text.focus();
  else if (!isFirst) element(`${view}-title`).focus();
}

/** Says how it is. `isSpoken`: to screen readers alone, for what can be seen anyway. */
function status(said: string, isSpoken = false): void {
  element("status").textContent = said;
  element("status").className = isSpoken ? "spoken" : "";
}
