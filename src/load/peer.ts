/**
 * One peer's socket as the load tester drives it: connect, upgrade, frames both ways. It tells its owner what came and
 * how it ended; it never decides what to say.
 */
import type { Socket, SocketHandler, TCPSocketConnectOptions } from "bun";
import { FrameReader, type FrameSink, frame, OP } from "./frames.ts";
import { isCloseCode, isRefusal } from "./kinds.ts";
import { NO_PORT_CODES } from "./result.ts";
import type { Role } from "./wire.ts";

/** Whom a peer reports to. */
export interface Owner {
  /** The upgrade was taken. */
  opened(peer: Peer): void;
  /** A text came: `bytes` from `start` to `end`, for the time of the call. */
  text(peer: Peer, bytes: Buffer, start: number, end: number): void;
  /** Something came that is no text: no relay of texts sends that. */
  damaged(peer: Peer, bytes: Buffer, start: number, end: number): void;
  /** It ended, and not by `close` or `cut`; `kind` is for counting. Nothing more comes. */
  lost(peer: Peer, kind: string, sentence: string): void;
}

/** How a peer gets to its relay. */
export interface Way {
  readonly hostname: string;
  readonly port: number;
  /** False for a connection in the clear. */
  readonly tls: NonNullable<TCPSocketConnectOptions["tls"]>;
  readonly takesAnyCertificate: boolean;
  /** The address of this machine to come from. Bun takes it, though its types don't say so. */
  readonly localAddress?: string;
}

/** Where open peers are counted. */
export interface Gauge {
  peers: number;
}

const STATUS_AT = 9; // in "HTTP/1.1 101 Switching Protocols"
const HEAD_END = "\r\n\r\n";
/** An answer to an upgrade has no more before its end. */
const MOST_HEAD_BYTES = 16_384;
/** The key of RFC 6455's own example, which every upgrade has here, and what a relay makes of it. */
export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED = /^sec-websocket-accept: *s3pPLMBiTxaQ9kYGzzhZRbK\+xOo= *\r$/im;
/** Where more than this waits to be sent, it is of a relay that no longer reads. */
const MOST_UNSENT_BYTES = 4_194_304;
/** No close frame came: RFC 6455's own number for that. */
const NO_CLOSE_FRAME = 1006;
/** A close frame may come without a code. */
const NO_CODE = 1005;
const NO_PORT_LEFT = "no port of this machine is left, or --source is not its address";
const PING = frame(OP.ping, new Uint8Array());
const CLOSE_NORMALLY = frame(OP.close, Uint8Array.of(1_000 >> 8, 1_000 & 0xff));

export class Peer implements FrameSink {
  readonly role: Role;
  readonly #owner: Owner;
  readonly #gauge: Gauge;
  readonly #way: Way;
  readonly #request: () => Uint8Array;
  readonly #reader = new FrameReader();
  #socket: Socket<Peer> | null = null;
  /** What of the head of the answer has come, until it is whole. */
  #head: Buffer | null = null;
  #state: "connecting" | "open" | "over" = "connecting";
  /** What the kernel has not taken yet, in the order in which it was sent. */
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  /** Whether it answers pings. */
  isAlive = true;
  /** Whether its own ping was answered. */
  hasAnswer = false;

  /** @param request makes the whole upgrade, once there is a connection */
  constructor(owner: Owner, role: Role, way: Way, request: () => Uint8Array, gauge: Gauge) {
    this.#owner = owner;
    this.role = role;
    this.#request = request;
    this.#way = way;
    this.#gauge = gauge;
  }

  connect(): void {
    const options: TCPSocketConnectOptions<Peer> = { ...this.#way, data: this, socket: HANDLERS };
    Bun.connect(options).catch(() => {}); // connectError has been told already
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether the kernel has not taken all that was sent. */
  get isStuffed(): boolean {
    return this.#unsentBytes > 0;
  }

  /** Sends whole frames; `bytes` may be used again after the call. */
  send(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket === null || this.#state === "over") return;
    if (this.#unsentBytes > MOST_UNSENT_BYTES) {
      this.#lose("stuffed", `the relay let more than ${MOST_UNSENT_BYTES} bytes of a peer pile up unread`);
      return;
    }
    const sent = this.isStuffed ? 0 : Math.max(0, socket.write(bytes));
    if (sent >= bytes.length) return;
    this.#unsent.push(Uint8Array.from(bytes.subarray(sent)));
    this.#unsentBytes += bytes.length - sent;
  }

  /** Says goodbye with 1000 and hangs up. */
  close(): void {
    if (this.#state === "open") this.send(CLOSE_NORMALLY);
    this.#finish();
    this.#socket?.end();
  }

  /** Asks the relay whether it is there still. */
  ask(): void {
    this.hasAnswer = false;
    this.send(PING);
  }

  /** Hangs up without a word, as a peer whose process dies. */
  cut(): void {
    this.#finish();
    this.#socket?.terminate();
  }

  /** Reads nothing more, so that what it is sent piles up. */
  stopReading(): void {
    this.#socket?.pause();
  }

  frame(opcode: number, bytes: Buffer, start: number, end: number): boolean {
    if (opcode === OP.text) this.#owner.text(this, bytes, start, end);
    else if (opcode === OP.binary) this.#owner.damaged(this, bytes, start, end);
    else if (opcode === OP.pong) this.hasAnswer = true;
    else if (opcode === OP.ping && this.isAlive) this.send(frame(OP.pong, bytes.subarray(start, end)));
    else if (opcode === OP.close) {
      const [high = 0, low = 0] = bytes.subarray(start, end);
      const code = end === start ? NO_CODE : end === start + 1 ? high : (high << 8) | low;
      if (!isCloseCode(code)) this.broken(`a close frame of code ${code}`); // and lost by that
      const reason = Buffer.from(bytes.subarray(start + 2, end)).toString();
      this.#lose(`closed:${code}`, `the relay closed with ${code}${reason ? ` (${reason})` : ""}`);
    }
    return opcode !== OP.close; // what was read with the last of it is of interest still
  }

  broken(why: string): void {
    this.#lose("broken", `what the relay sent breaks RFC 6455: ${why}`);
  }

  /** What follows is called by the socket only. */
  onOpen(socket: Socket<Peer>): void {
    this.#socket = socket;
    if (this.#state === "over") socket.terminate();
    else if (this.#way.tls === false) this.send(this.#request());
  }

  /** @param isGood whether the certificate may be trusted, or need not be; false too where it is of another name */
  onHandshake(isGood: boolean, failure: Error | null): void {
    if (isGood || (this.#way.takesAnyCertificate && isOfCertificate(failure))) this.send(this.#request());
    else this.onEnd(failure);
  }

  onData(bytes: Buffer): void {
    if (this.#state === "open") this.#reader.read(bytes, 0, this);
    else if (this.#state === "connecting") this.#readHead(bytes);
  }

  onDrain(): void {
    const unsent = Buffer.concat(this.#unsent);
    this.#unsent = [];
    this.#unsentBytes = 0;
    this.send(unsent);
  }

  onEnd(failure: Error | null): void {
    if (this.#state === "connecting") {
      const why = failure && "code" in failure ? String(failure.code) : "closed";
      const reason = NO_PORT_CODES.includes(why) ? NO_PORT_LEFT : (failure?.message ?? "the connection was closed");
      this.#lose(`connect:${why}`, `a peer could not connect: ${reason}`);
    } else this.#lose(`closed:${NO_CLOSE_FRAME}`, "a connection ended without a close frame");
  }

  #readHead(bytes: Buffer): void {
    const head = this.#head ? Buffer.concat([this.#head, bytes]) : bytes;
    const end = head.indexOf(HEAD_END);
    if (end < 0) {
      if (head.length > MOST_HEAD_BYTES) this.#lose("broken", "an upgrade was answered without an end");
      else this.#head = Buffer.from(head);
      return;
    }
    this.#head = null;
    const text = head.toString("latin1", 0, end + 2);
    const status = text.slice(STATUS_AT, STATUS_AT + 3);
    if (status !== "101") {
      const line = text.slice(0, text.indexOf("\r"));
      const kind = isRefusal(status) ? `refused:${status}` : "broken";
      this.#lose(kind, `an upgrade was answered with ${JSON.stringify(line)}`);
      return;
    }
    if (!ACCEPTED.test(text)) {
      this.#lose("broken", "an upgrade was answered without the right Sec-WebSocket-Accept");
      return;
    }
    this.#state = "open";
    this.#gauge.peers++;
    this.#owner.opened(this);
    if (this.isOpen && head.length > end + HEAD_END.length) this.#reader.read(head, end + HEAD_END.length, this);
  }

  #lose(kind: string, sentence: string): void {
    if (this.#state === "over") return;
    this.#finish();
    this.#socket?.end();
    this.#owner.lost(this, kind, sentence);
  }

  #finish(): void {
    if (this.#state === "open") this.#gauge.peers--;
    this.#state = "over";
  }
}

/** Whether a handshake failed by what its certificate says, and not by an error of the connection, as errno names it. */
function isOfCertificate(failure: Error | null): boolean {
  return failure !== null && "code" in failure && !/^E[A-Z]+$/.test(String(failure.code));
}

/** One object for all sockets: what differs is in their data. */
const HANDLERS: SocketHandler<Peer> = {
  open: (socket) => socket.data.onOpen(socket),
  handshake: (socket, isGood, failure) => socket.data.onHandshake(isGood, failure),
  data: (socket, bytes) => socket.data.onData(bytes),
  drain: (socket) => socket.data.onDrain(),
  close: (socket, failure) => socket.data.onEnd(failure ?? null),
  error(socket, failure) {
    if (!("code" in failure)) throw failure; // not the connection's, but a mistake in here
    socket.data.onEnd(failure);
  },
  connectError: (socket, failure) => socket.data.onEnd(failure),
};
