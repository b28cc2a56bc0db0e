/**
 * What an open connection can be asked and told: which way it takes, and when there is room to send. Owns nothing.
 */
import { failure } from "./error.ts";
import { utf8 } from "./tools.ts";
import type { Connected, Path } from "./types.ts";

/** So much may wait in a channel before a sender does, in bytes. Browsers close a channel at 16 MiB. */
const ROOM_BYTES = 1 << 20;

/** The pair of candidates in use; undefined where there is none yet. */
export async function path(connection: RTCPeerConnection): Promise<Path | undefined> {
  const stats = await connection.getStats();
  let pair: { localCandidateId: string; remoteCandidateId: string; currentRoundTripTime?: number } | undefined;
  // Some browsers name the pair in use; in the others it is the one that was nominated.
  stats.forEach((one) => {
    if (one.selectedCandidatePairId) pair = stats.get(one.selectedCandidatePairId);
    else if (one.nominated && one.state === "succeeded") pair ??= one;
  });
  if (!pair) return undefined;
  const { candidateType: local, protocol, relayProtocol = protocol } = stats.get(pair.localCandidateId);
  const { candidateType: remote } = stats.get(pair.remoteCandidateId);
  return {
    relayed: /relay/.test(local + remote),
    protocol: relayProtocol,
    local,
    remote,
    roundTripMs: pair.currentRoundTripTime && pair.currentRoundTripTime * 1_000,
  };
}

/** Waits until at most `bytes` wait in the channel. Rejects with `closed` where it closes before. */
export function drain(channel: RTCDataChannel, bytes = ROOM_BYTES): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const isOpen = channel.readyState === "open";
      if (isOpen && channel.bufferedAmount > bytes) {
        channel.bufferedAmountLowThreshold = bytes; // again each time: another caller may wait for more room
        return;
      }
      channel.removeEventListener("bufferedamountlow", look);
      channel.removeEventListener("close", look);
      if (isOpen) resolve();
      else reject(failure("closed", true));
    };
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
  const bytes = (data as ArrayBuffer).byteLength ?? utf8(data as string).length;
  const most = sctp?.maxMessageSize || Infinity;
  if (bytes > most) throw RangeError(`over ${most} bytes`);
  await drain(channel);
  channel.send(data as string);
}
