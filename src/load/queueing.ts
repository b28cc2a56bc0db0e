/**
 * How long what comes to this process waits until it is looked at: it sends itself a byte over the loopback now and
 * then, and sees when it gets it. A relay's message that came at the same moment would have waited as long, so this is
 * the tester's own share in every time that it shows.
 */
import type { Socket } from "bun";
import { Histogram, type HistogramData } from "./histogram.ts";
import { TIMER_STEP_MS } from "./pacer.ts";

/** Often enough for a 99th percentile of ten seconds, at a thousandth of a core. */
const EVERY_MS = 20;
const BYTE = Uint8Array.of(1);

export class QueueProbe {
  readonly #waits = new Histogram();
  #listener: Bun.TCPSocketListener | null = null;
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** When a byte was sent that has not come, or was meant to be. */
  #sentMs: number | null = null;
  #dueMs = 0;
  #heardMs = 0;

  /** Begins. */
  async start(): Promise<void> {
    const heard = () => this.#heard();
    this.#listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: heard } });
    const { port } = this.#listener;
    this.#socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    this.#socket.setNoDelay(true);
    this.#wait();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#socket?.end();
    this.#listener?.stop(true);
  }

  /** What was measured since the last call. */
  take(): HistogramData {
    const data = this.#waits.toData();
    this.#waits.clear();
    return data;
  }

  #wait(): void {
    this.#dueMs = performance.now() + EVERY_MS;
    this.#timer = setTimeout(() => this.#send(), EVERY_MS);
  }

  /** A process that stands still doesn't send either: a byte that is late waits since it was due, or the last one came. */
  #send(): void {
    const [nowMs, sinceMs] = [performance.now(), Math.max(this.#dueMs, this.#heardMs)];
    this.#wait();
    if (this.#sentMs !== null) return;
    this.#sentMs = nowMs - sinceMs > TIMER_STEP_MS ? sinceMs : nowMs;
    this.#socket?.write(BYTE);
  }

  /** Where it took so long that further bytes should have been sent, those would have waited for the rest of it. */
  #heard(): void {
    if (this.#sentMs === null) return;
    this.#heardMs = performance.now();
    const waitedMs = this.#heardMs - this.#sentMs;
    this.#sentMs = null;
    for (let ms = waitedMs; ms > 0; ms -= EVERY_MS) this.#waits.add(ms * 1_000);
  }
}
