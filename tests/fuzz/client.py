"""A fuzzing client: connection after connection, each drawn from the seed and its number.

    python -m fuzz.client PORT AE_TITLE SEED SECONDS RATE     so many connections a second, or all of them later
    python -m fuzz.client PORT AE_TITLE SEED --only NUMBER     says one conversation again, aloud

Prints one JSON object: how many connections there were, and how they ended.
"""

import argparse
import json
import random
import socket
import threading
import time
from collections import Counter

from fuzz.conversation import Said, conversation
from fuzz.mutation import spoiled
from support import wire

THREADS = 6
_PATIENCE = 60.0
"""Longer than a busy machine holds anybody up: who takes longer is stuck."""
_ANSWER_SECONDS = 0.08
"""How long an answer is waited for: who was spoiled may never get one, and the next connection waits."""


def words_of(seed: str, number: int, called: str) -> list[Said]:
    """The conversation of this number; always the same one."""
    chance = random.Random(f"{seed}/{number}")
    return spoiled(chance, conversation(chance, called))


def converse(port: int, said: list[Said], chance: random.Random) -> str:
    """Say it, in pieces as TCP might; how it ended: by whom, and after which answers."""
    try:
        peer = wire.connect(port, source=f"127.0.0.{chance.randrange(1, 10)}", timeout=_PATIENCE)
    except OSError as error:
        return f"not connected: {type(error).__name__}"
    with peer:
        try:
            for part in said:
                _send(peer, part.words, chance)
                if part.awaits and not _hear(peer):
                    return "ended by the peer"
            if chance.random() < 0.2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except TimeoutError:
            return "stuck"
        except OSError:
            return "ended by the peer"
    return "ended by the client"


def _send(peer: socket.socket, words: bytes, chance: random.Random) -> None:
    if chance.random() < 0.2 and len(words) > 2:
        at = chance.randrange(1, len(words))
        peer.sendall(words[:at])
        time.sleep(chance.choice((0.0, 0.001, 0.01)))
        words = words[at:]
    peer.sendall(words)


def _hear(peer: socket.socket) -> bool:
    """Wait for any answer for a while; False at the end of the connection."""
    peer.settimeout(_ANSWER_SECONDS)
    try:
        return bool(peer.recv(65536))
    except TimeoutError:
        return True
    finally:
        peer.settimeout(_PATIENCE)


def run(port: int, called: str, seed: str, seconds: float, rate: float) -> Counter[str]:
    """Fuzz from THREADS threads: what the rate makes in this time, however long it takes on a busy machine."""
    tally: Counter[str] = Counter()
    counting = threading.Lock()
    begin = time.monotonic()

    def work(thread: int) -> None:
        number = thread
        while number < round(rate * seconds):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            chance = random.Random(f"{seed}/{number}/pieces")
            end = converse(port, words_of(seed, number, called), chance)
            with counting:
                tally[end] += 1
            number += THREADS

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def _say_again(port: int, called: str, seed: str, number: int) -> None:
    said = words_of(seed, number, called)
    for part in said:
        print(part.words[:200].hex(" "), f"... {len(part.words)} bytes", "awaits" if part.awaits else "")
    print(converse(port, said, random.Random(f"{seed}/{number}/pieces")))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("called")
    parser.add_argument("seed")
    parser.add_argument("seconds", type=float, nargs="?", default=10.0)
    parser.add_argument("rate", type=float, nargs="?", default=50.0)
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    if arguments.only is not None:
        _say_again(arguments.port, arguments.called, arguments.seed, arguments.only)
        return
    tally = run(arguments.port, arguments.called, arguments.seed, arguments.seconds, arguments.rate)
    print(json.dumps(dict(tally)))


if __name__ == "__main__":
    main()
