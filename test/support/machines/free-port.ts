/** Ports for what can't be asked which one it took. */

/** Below those that Linux gives to whoever asks for any (ip_local_port_range), so that nobody gets one in between. */
const FIRST = 20_000;
const LAST = 32_000;

let next = FIRST + Math.floor(Math.random() * (LAST - FIRST));

/** A port of the loopback on which nobody listens; another one each time. */
export function freePort(): number {
  for (;;) {
    const port = next;
    next = next < LAST ? next + 1 : FIRST;
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
      return port;
    } catch {} // somebody listens there
  }
}
