/** What breaks a rule of the protocol, of RFC 6455 or of HTTP, with a mark wherever there is room for one. */
import { BAD_MESSAGES } from "../peers/bad.ts";
import { markedHead, markedPath, type Stage } from "../peers/marked-peer.ts";
import { frame, OP } from "../peers/raw.ts";
import type { Markers } from "./markers.ts";

/** Text frames that are no messages. */
export function badTexts(markers: Markers): string[] {
  const mark = () => markers.make("a bad message");
  const code = mark();
  markers.add("the code in bad messages", "A3F7B9E2C1D4");
  return [
    ...BAD_MESSAGES.map(([, text]) => text),
    mark(),
    `"${mark()}"`,
    `["${mark()}"]`,
    `{"${mark()}":`,
    `{'type':'${mark()}'}`,
    `{"type":"${mark()}"}`,
    `{"type":"join","sessionCode":"${mark()}`,
    `{"type":"join","sessionCode":"${mark()} ${mark()}"}`,
    `{"type":"join","sessionCode":"${mark()}","sessionCode":"${mark()}"}`,
    `{"type":"join","sessionCode":"${code}","isInitiator":"${mark()}"}`,
    `{"type":"join","sessionCode":"${code}","token":{"${mark()}":"${mark()}"}}`,
    `{"type":"offer","sessionCode":"${code}","offer":"${mark()}"}`,
    `{"type":"offer","sessionCode":"${code}","offer":{"__proto__":{"${mark()}":"${mark()}"}}}`,
    `{"type":"offer","sessionCode":"${code}","offer":{"sdp":"${mark()}\\ud800"}}`,
    `{"type":"ice-candidate","sessionCode":"${code}","candidate":["${mark()}"]}`,
    `{"type":"ping","${mark()}":"${mark()}\u0001"}`,
  ];
}

/** Frames after each of which Bun closes the connection. */
export function badFrames(markers: Markers): Buffer[] {
  const mark = () => markers.make("a bad frame");
  const closing = (code: number, ...parts: Uint8Array[]) =>
    frame(OP.close, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), ...parts]));
  const reserved = frame(OP.text, mark());
  reserved[0] = (reserved[0] ?? 0) | 0x40;
  const unmasked = Buffer.from(mark());
  return [
    reserved,
    frame(3, mark()),
    frame(11, mark()),
    Buffer.concat([Buffer.from([0x80 | OP.text, unmasked.length]), unmasked]),
    frame(OP.text, Buffer.concat([Buffer.from(mark()), Buffer.from([0xff]), Buffer.from(mark())])),
    frame(OP.text, mark().repeat(10_000)), // more than the relay reads
    frame(OP.ping, mark().repeat(6)), // more than a control frame holds
    frame(OP.ping, mark(), false),
    frame(OP.continuation, mark()),
    Buffer.concat([frame(OP.text, mark(), false), frame(OP.text, mark())]),
    closing(1005, Buffer.from(mark())),
    closing(4000, Buffer.from([0xff]), Buffer.from(mark())),
    frame(OP.close, "x"),
  ];
}

/** Requests that are no upgrades: good ones, bad ones, and bytes that are none. Each is a connection of its own. */
export function requests(stage: Stage): string[] {
  const mark = () => stage.markers.make("a request");
  const close = { Connection: "close" };
  const body = mark();
  const withHeaders = (headers: Record<string, string>) => markedHead(stage, "GET /", { ...headers, ...close });
  const starts = [
    ...["/", "/health", "/livez", "/readyz", "/metrics", `/metrics?${mark()}`, `/health/${mark()}`].map(get),
    ...[get(markedPath(stage)), get(`//${mark()}.example/..%2f${mark()}`), get(`http://${mark()}.example/${mark()}`)],
    ...[`HEAD /?${mark()}`, `POST /${mark()}`, `DELETE /health?${mark()}`, `TRACE /${mark()}`, `CONNECT ${mark()}:1`],
    ...[`${mark()} /`, `OPTIONS * ${mark()}`, mark()],
  ];
  return [
    ...starts.map((start) => markedHead(stage, start, close)),
    ...[{ Host: `%%${mark()}` }, { Host: `${mark()}\0` }, { "X-Broken": `\0${mark()}` }].map(withHeaders),
    ...[{ Accept: `text/html, ${mark()}` }, { Range: `bytes=0-${mark()}` }, { Expect: mark() }].map(withHeaders),
    ...[{ "Transfer-Encoding": mark() }, { "Content-Length": mark() }].map(withHeaders),
    ...[{ Upgrade: mark() }, { Upgrade: "websocket", "X-No-Key": mark() }].map(withHeaders),
    withHeaders({ Upgrade: "websocket", "Sec-WebSocket-Version": mark(), "Sec-WebSocket-Key": mark() }),
    withHeaders({ "X-Long": mark().repeat(1_000) }), // more than a head may have
    markedHead(stage, "POST /", { "Content-Length": `${body.length}`, ...close }) + body,
    markedHead(stage, "POST /health", { "Content-Length": "4800", ...close }) + mark().repeat(200),
    `${markedHead(stage, "POST /", { "Transfer-Encoding": "chunked", ...close })}${mark()}\r\n${mark()}`,
    `GET /${mark()} HTTP/1.0\r\n\r\n`,
    `GET /${mark()} HTTP/${mark()}\r\n\r\n`,
    `GET / HTTP/1.1\r\n${mark()}\r\n\r\n`,
    `GET /${mark()} HTTP/1.1\r\nHost: ${mark()}`, // and then no more
    `${mark()}\r\n\r\n`,
    `\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03${mark()}`, // as TLS begins
  ];
}

function get(path: string): string {
  return `GET ${path}`;
}
