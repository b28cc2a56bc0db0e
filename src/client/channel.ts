/**
 * What an open connection can be asked and told: which way it takes, and when there is room to send. An entry of its
 * own, so that who only chats need not load it. Owns nothing.
 */
import type { Connected, Path } from "./types.ts";

/** So much may wait in a channel before a sender does, in bytes. Browsers close a channel at 16 MiB. */
const ROOM_BYTES = 1 << 20;

/** What of getStats() is read here. */
interface Stats extends RTCStats {
  readonly selectedCandidatePairId?: string;
  readonly nominated?: boolean;
  readonly state?: string;
  readonly localCandidateId?: string;
  readonly remoteCandidateId?: string;
  readonly currentRoundTripTime?: number;
  readonly candidateType?: RTCIceCandidateType;
  readonly protocol?: "udp" | "tcp";
  readonly relayProtocol?: "udp" | "tcp" | "tls";
}

/** The pair of candidates in use; undefined where there is none yet. */
export async function path(connection: RTCPeerConnection): Promise<Path | undefined> {
  const stats = new Map<string | undefined, Stats>();
  (await connection.getStats()).forEach((one: Stats) => {
    stats.set(one.id, one);
  });
  const all = [...stats.values()];
  const pair =
    stats.get(all.find((one) => one.selectedCandidatePairId)?.selectedCandidatePairId) ??
    all.find((one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded");
  const local = stats.get(pair?.localCandidateId);
  const remote = stats.get(pair?.remoteCandidateId);
  if (!local?.candidateType || !remote?.candidateType) return undefined;
  const roundTrip = pair?.currentRoundTripTime;
  return {
    relayed: local.candidateType === "relay" || remote.candidateType === "relay",
    protocol: local.relayProtocol ?? local.protocol ?? "udp",
    local: local.candidateType,
    remote: remote.candidateType,
    roundTripMs: roundTrip === undefined ? undefined : roundTrip * 1_000,
  };
}

/** Waits until at most `bytes` wait in the channel. Rejects with an InvalidStateError where it closes before. */
export function drain(channel: RTCDataChannel, bytes = ROOM_BYTES): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const isOpen = channel.readyState === "open";
      if (isOpen && channel.bufferedAmount > bytes) return;
      channel.removeEventListener("bufferedamountlow", look);
      channel.removeEventListener("close", look);
      if (isOpen) resolve();
      else reject(new DOMException("The channel is not open.", "InvalidStateError"));
    };
    channel.bufferedAmountLowThreshold = bytes;
    channel.addEventListener("bufferedamountlow", look);
    channel.addEventListener("close", look);
    look();
  });
}

/** Sends when there is room. Rejects with a RangeError what the other side would not take, and as `drain` does. */
export async function send(
  { connection: { sctp }, channel }: Connected,
  data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>,
): Promise<void> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data).length : data.byteLength;
  const most = sctp?.maxMessageSize || Infinity;
  if (bytes > most) throw new RangeError(`${bytes} bytes: at most ${most} go into a message.`);
  await drain(channel);
  channel.send(data as string);
}
