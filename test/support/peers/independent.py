"""
A client that shares no code with the relay or with Bun: Python's websockets plays the scenarios of independent.test.ts
against the relay at the URL it is given, and prints one JSON line each: its name and what was seen, in order.
It judges nothing. Any version of websockets from 10 on will do.
"""

import asyncio
import json
import secrets
import sys

import websockets

URL = sys.argv[1]
PATIENCE_S = 10
MAX_MESSAGE_BYTES = 64 * 1024


class Peer:
    def __init__(self, socket):
        self.socket = socket

    @classmethod
    async def connect(cls, **options):
        # No pings of its own, so that only the relay's are on the wire.
        return cls(await websockets.connect(URL, ping_interval=None, **options))

    @classmethod
    async def join(cls, code, is_initiator):
        peer = await cls.connect()
        await peer.send({"type": "join", "sessionCode": code, "isInitiator": is_initiator})
        peer.joined = json.loads(await peer.next())
        return peer

    async def send(self, message):
        text = message if isinstance(message, (str, bytes)) else json.dumps(message)
        await self.socket.send(text)
        return text

    async def next(self):
        return await asyncio.wait_for(self.socket.recv(), PATIENCE_S)

    async def types(self, count):
        """The types of the next messages; of an error its code."""
        found = []
        for _ in range(count):
            message = json.loads(await self.next())
            found.append(message.get("code", message["type"]))
        return found

    async def closed(self):
        """The code and the reason of the close, whatever comes before it."""
        try:
            while True:
                await self.next()
        except websockets.exceptions.ConnectionClosed as closed:
            return [closed.rcvd.code, closed.rcvd.reason] if closed.rcvd else [1006, ""]

    async def close(self):
        await self.socket.close()


def new_code():
    return secrets.token_hex(6).upper()


async def new_pair():
    code = new_code()
    alice = await Peer.join(code, True)
    bob = await Peer.join(code, False)
    await asyncio.gather(alice.types(1), bob.types(1))
    return code, alice, bob


async def is_undisturbed(code, alice, bob):
    sent = await alice.send({"type": "offer", "sessionCode": code, "offer": {"sdp": new_code()}})
    back = await bob.send({"type": "answer", "sessionCode": code, "answer": {"sdp": new_code()}})
    return [await bob.next() == sent, await alice.next() == back]


async def ready_in_either_order():
    seen = []
    for first in (True, False):
        code = new_code()
        early = await Peer.join(code, first)
        late = await Peer.join(code, not first)
        seen.append([early.joined["type"], len(early.joined["token"]), early.joined["expiresInMs"]])
        seen.append([await early.next(), await late.next()])
        await early.close()
        await late.close()
    return seen


async def byte_for_byte():
    code, alice, bob = await new_pair()
    texts = [
        '{"type":"offer","sessionCode":"%s","offer":{"type":"offer","sdp":"v=0\\r\\n\u00e9\u20ac\U0001f511\u2028"}}',
        '\t{ "offer":\n{"sdp":"\\u0041\\/\\ud83d\\udd11\\u0000","n":1.50e2},"x":[],"sessionCode" : "%s","type":"offer"} ',
        '{"type":"ice-candidate","sessionCode":"%s","candidate":{"candidate":"","sdpMid":"0","sdpMLineIndex":0}}',
        '{"type":"answer","sessionCode":"%s","answer":{"type":"answer","sdp":"\u4f60\u597d"}}',
    ]
    seen = []
    for sender, receiver in ((alice, bob), (bob, alice)):
        for text in texts:
            sent = await sender.send(text % code)
            seen.append((await receiver.next()).encode() == sent.encode())
        whole = texts[0] % code
        await sender.socket.send([whole[:60], whole[60:]])  # one message in two fragments
        seen.append((await receiver.next()).encode() == whole.encode())
    await alice.close()
    await bob.close()
    return seen


async def third_peer():
    code, alice, bob = await new_pair()
    seen = []
    for is_initiator in (True, False):
        mallory = await Peer.connect()
        await mallory.send({"type": "join", "sessionCode": code, "isInitiator": is_initiator})
        seen.append([await mallory.types(1), await mallory.closed()])
    seen.append(await is_undisturbed(code, alice, bob))
    await alice.close()
    await bob.close()
    return seen


async def held_seat():
    """The relay asks the holder, which answers a ping as any WebSocket does: so the newcomer is refused at once."""
    code = new_code()
    alice = await Peer.join(code, True)
    mallory = await Peer.connect()
    await mallory.send({"type": "join", "sessionCode": code, "isInitiator": True})
    seen = [await mallory.types(1), await mallory.closed()]
    bob = await Peer.join(code, False)
    seen.append([await alice.next(), await bob.next()])
    seen.append(await is_undisturbed(code, alice, bob))
    await alice.close()
    await bob.close()
    return seen


async def leaving():
    code, alice, bob = await new_pair()
    await alice.send({"type": "leave"})
    seen = [await alice.closed(), await bob.types(1)]
    await bob.send({"type": "answer", "sessionCode": code, "answer": {}})
    seen.append(await bob.types(1))
    again = await Peer.join(code, True)
    seen.append([await again.next(), await bob.next()])
    await again.close()
    seen.append(await bob.types(1))
    await bob.close()
    return seen


async def takeover():
    code, alice, bob = await new_pair()
    again = await Peer.connect()
    token = alice.joined["token"]
    await again.send({"type": "join", "sessionCode": code, "isInitiator": True, "token": token})
    seen = [await again.types(2), await bob.types(1), await alice.types(1), await alice.closed()]
    seen.append(await is_undisturbed(code, again, bob))
    await again.close()
    await bob.close()
    return seen


async def bad_messages():
    mallory = await Peer.connect()
    seen = []
    for text in ("rubbish", b'{"type":"ping"}', "[]", "", '{"type":"ready"}'):
        await mallory.send(text)
        seen.append(await mallory.types(1))
    await mallory.send({"type": "ping"})
    seen.append(await mallory.types(1))
    await mallory.send("rubbish")
    seen.append([await mallory.types(1), await mallory.closed()])
    return seen


async def pings():
    alice = await Peer.connect()
    await alice.send('{"type":"ping"}')
    seen = [await alice.next()]
    for payload in (b"", b"\x00\xff", b"x" * 125):
        answered = await alice.socket.ping(payload)
        await asyncio.wait_for(answered, PATIENCE_S)
        seen.append(len(payload))
    await alice.close()
    return seen


async def sizes():
    code, alice, bob = await new_pair()
    around = json.dumps({"type": "offer", "sessionCode": code, "offer": {"sdp": ""}})
    filler = MAX_MESSAGE_BYTES - len(around)
    largest = around.replace('""', '"%s"' % ("x" * filler))
    await alice.send(largest)
    seen = [len(largest), await bob.next() == largest]
    await alice.send(around.replace('""', '"%s"' % ("x" * (filler + 1))))
    seen.append([await alice.types(1), await alice.closed(), await bob.types(1)])
    huge = await Peer.connect()
    try:
        await huge.send("x" * (16 * MAX_MESSAGE_BYTES))
    except websockets.exceptions.ConnectionClosed:
        pass
    seen.append((await huge.closed())[0])
    await bob.close()
    return seen


async def no_compression():
    alice = await Peer.connect(compression="deflate")
    response = getattr(alice.socket, "response", None)
    headers = response.headers if response else alice.socket.response_headers
    seen = [headers.get("Sec-WebSocket-Extensions")]
    await alice.send({"type": "ping"})
    seen.append(await alice.next())
    await alice.close()
    return seen


async def closing():
    alice = await Peer.connect()
    await alice.socket.close(4999, "good night")
    return [alice.socket.close_code]


async def main():
    scenarios = [
        *(ready_in_either_order, byte_for_byte, third_peer, held_seat, leaving, takeover),
        *(bad_messages, pings, sizes, no_compression, closing),
    ]
    for scenario in scenarios:
        try:
            seen = await asyncio.wait_for(scenario(), 3 * PATIENCE_S)
        except Exception as failure:  # seen instead of what should have been
            seen = f"{type(failure).__name__}: {failure}"
        print(json.dumps({"scenario": scenario.__name__, "seen": seen}), flush=True)


asyncio.run(main())
