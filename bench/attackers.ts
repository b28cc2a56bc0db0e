/**
 * What strangers do to a relay: each attack of the table in docs/SECURITY.md, from addresses of the loopback. Run by
 * attacks.ts as a process of its own, `bun bench/attackers.ts NAME PORT`, until it is told to end; then it says on
 * standard output what it opened and sent.
 */
import { connect, type Socket } from "node:net";
import { frame, OP, UPGRADE } from "../test/support/peers/raw.ts";

const MESSAGE_BYTES = 64 * 1_024;
/** The largest message that a relay has ever read of an unfinished one: the relay says itself if that is too much. */
const UNFINISHED_BYTES = [2 * MESSAGE_BYTES - 1, MESSAGE_BYTES + 4_095, MESSAGE_BYTES - 1];

interface Attack {
  readonly title: string;
  /** Options of the relay without which it could not be tried. */
  readonly options?: readonly string[];
  /** The relay's limit of open files. */
  readonly files?: number;
  run(port: number): void;
}

let opened = 0;
let closedBytes = 0;
const open = new Set<Socket>();

function dial(port: number, address: string): Socket {
  opened++;
  const socket = connect({ host: "127.0.0.1", port, localAddress: address });
  open.add(socket);
  socket.on("error", () => {}); // a close follows
  socket.on("close", () => {
    closedBytes += sentOn(socket);
    open.delete(socket);
  });
  socket.on("data", () => {}); // what comes back is thrown away
  return socket;
}

/** Without what still waits in this process. */
function sentOn(socket: Socket): number {
  return Math.max(0, socket.bytesWritten - socket.writableLength);
}

/** The n-th stranger: the first 127.0.2.1, and so many connections from each. */
function addressOf(n: number, each: number): string {
  const host = Math.floor(n / each);
  return `127.0.${2 + Math.floor(host / 250)}.${1 + (host % 250)}`;
}

/** Writes a block again and again, as fast as it is taken, until the connection closes. */
function pour(socket: Socket, block: Buffer): void {
  const write = () => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on("drain", write);
  write();
}

/** Opens a connection again, a moment after it has closed, for as long as the attack lasts. */
function again(port: number, address: string, use: (socket: Socket) => void): void {
  const socket = dial(port, address);
  use(socket);
  socket.on("close", () => setTimeout(() => again(port, address, use), 20));
}

/** So many connections, 100 started at a stroke. */
function many(count: number, start: (n: number) => void): void {
  let n = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < 100 && n < count; i++) start(n++);
    if (n === count) clearInterval(timer);
  }, 50);
}

const codeOf = (n: number) => `mallory-${String(n).padStart(6, "0")}`;
const join = (n: number, isInitiator: boolean) =>
  frame(OP.text, JSON.stringify({ type: "join", sessionCode: codeOf(n), isInitiator }));

/** Joins, then says a message up to its last byte. */
function unfinished(socket: Socket, n: number, bytes: number): void {
  const message = frame(OP.text, Buffer.alloc(bytes + 1, "x")); // its head announces the byte that never comes
  socket.write(Buffer.concat([Buffer.from(UPGRADE), join(n, true), message.subarray(0, -1)]));
}

function objects(): Buffer {
  let text = '{"type":"ping","x":[{}';
  for (let n = 0; text.length < MESSAGE_BYTES - 20; n++) text += `,{"${n.toString(36)}":0}`;
  return frame(OP.text, `${text}]}`);
}

const pipelined = Buffer.from("GET /health HTTP/1.1\r\nHost: relay\r\n\r\n".repeat(1_000));

/** Connects and joins; what it hears, it passes on. */
function joined(port: number, address: string, n: number, isInitiator: boolean): Socket {
  const socket = dial(port, address);
  socket.write(Buffer.concat([Buffer.from(UPGRADE), join(n, isInitiator)]));
  return socket;
}

export const ATTACKS: Readonly<Record<string, Attack>> = {
  seats: {
    title: "joins for one held seat, from two addresses",
    run(port) {
      joined(port, "127.0.3.1", 0, true);
      for (let n = 0; n < 20; n++)
        again(port, `127.0.2.${1 + (n % 2)}`, (socket) => {
          socket.write(Buffer.concat([Buffer.from(UPGRADE), join(0, true)]));
          setTimeout(() => socket.destroy(), 200);
        });
    },
  },
  waiting: {
    title: "40 addresses that wait in as many sessions as they may",
    run: (port) => many(10_000, (n) => joined(port, addressOf(n, 250), n, true)),
  },
  guesses: {
    title: "guesses at codes from one address, 20 at a time",
    run(port) {
      let n = 0;
      for (let at = 0; at < 20; at++)
        again(port, "127.0.2.1", (socket) => {
          socket.write(Buffer.concat([Buffer.from(UPGRADE), join(n++, false)]));
          setTimeout(() => socket.destroy(), 50);
        });
    },
  },
  pipeline: {
    title: "GETs without a pause on one connection",
    run: (port) => again(port, "127.0.2.1", (socket) => pour(socket, pipelined)),
  },
  pipelines: {
    title: "the same on four",
    run: (port) => {
      for (let n = 0; n < 4; n++) again(port, "127.0.2.1", (socket) => pour(socket, pipelined));
    },
  },
  idle: {
    title: "1,600 connections kept after a GET, 1,024 files",
    files: 1_024,
    run: (port) => many(1_600, (n) => dial(port, addressOf(n, 400)).write("GET / HTTP/1.1\r\nHost: relay\r\n\r\n")),
  },
  heads: {
    title: "1,300 request heads that never end, 1,024 files",
    files: 1_024,
    run: (port) =>
      many(1_300, (n) => again(port, addressOf(n, 400), (socket) => socket.write("GET / HTTP/1.1\r\nHost: relay\r\n"))),
  },
  unfinished: {
    title: "2,000 messages without their last byte",
    run(port) {
      const first = UNFINISHED_BYTES.map((bytes, n) => {
        const socket = dial(port, "127.0.2.1");
        unfinished(socket, 9_000 + n, bytes);
        return { socket, bytes };
      });
      setTimeout(() => {
        const bytes = first.find(({ socket }) => !socket.destroyed)?.bytes ?? 0;
        many(2_000, (n) => unfinished(dial(port, addressOf(n, 60)), n, bytes));
      }, 500);
    },
  },
  slow: {
    title: "50 peers of one address that never read",
    run(port) {
      for (let n = 0; n < 50; n++) {
        const deaf = dial(port, "127.0.2.1");
        deaf.pause();
        deaf.write(Buffer.concat([Buffer.from(UPGRADE), join(n, false)]));
        const loud = dial(port, addressOf(n + 1, 1));
        loud.write(Buffer.concat([Buffer.from(UPGRADE), join(n, true)]));
        const offer = frame(OP.text, offerOf(n));
        for (let sent = 0; sent < 60; sent++) setTimeout(() => loud.write(offer), 1_000 + sent * 50);
      }
    },
  },
  objects: {
    title: "64 KiB of small objects as a message, 16 at a time",
    run(port) {
      const block = objects();
      for (let n = 0; n < 16; n++)
        again(port, addressOf(n, 1), (socket) => {
          socket.write(UPGRADE);
          for (let sent = 0; sent < 60; sent++) socket.write(block); // within --quota-bytes
          setTimeout(() => socket.destroy(), 500);
        });
    },
  },
  spaces: {
    title: "15,000 spaces in X-Forwarded-For, behind a trusted proxy",
    options: ["--trust-proxy", "127.0.2.0/24"],
    run(port) {
      const head = UPGRADE.replace("Host: relay", `Host: relay\r\nX-Forwarded-For: 1${" ".repeat(15_000)}1`);
      for (let n = 0; n < 4; n++)
        again(port, addressOf(n, 1), (socket) => {
          socket.write(head);
          socket.once("data", () => socket.destroy());
        });
    },
  },
  continuations: {
    title: "empty continuation frames from one peer",
    run: (port) =>
      again(port, "127.0.2.1", (socket) => {
        const empty = Buffer.concat(Array.from({ length: 20_000 }, () => frame(OP.continuation, "", false)));
        socket.write(Buffer.concat([Buffer.from(UPGRADE), join(0, true), frame(OP.text, "", false)]));
        setTimeout(() => pour(socket, empty), 200);
      }),
  },
};

function offerOf(n: number): string {
  return `{"type":"offer","sessionCode":"${codeOf(n)}","offer":{"sdp":"${"x".repeat(60_000)}"}}`;
}

if (import.meta.main) {
  const [name = "", port = ""] = process.argv.slice(2);
  process.on("SIGTERM", () => {
    const bytes = closedBytes + [...open].reduce((sum, socket) => sum + sentOn(socket), 0);
    console.log(JSON.stringify({ opened, open: open.size, bytes }));
    process.exit();
  });
  setInterval(() => {}, 60_000); // where all its connections have been closed it waits to be ended
  ATTACKS[name]?.run(Number(port));
}
