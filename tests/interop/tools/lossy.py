#!/usr/bin/env python3
"""A relay for UDP datagrams that loses some of the SIP messages of one method.

It stands between one client and one server. What is lost depends on the seed, the direction, the kind of
the message (request or answer) and how many of that kind went that way before; not on the clock and not on
what else is under way. So a run loses the same ones each time: it cannot fail by bad luck, and never loses
nothing at all. Retransmissions more than usual (a busy machine) only add to the end of a sequence.
"""
import random
import re
import select
import socket
import threading


def sequence(rate, seed, way, kind):
    """For one kind of message in one direction, without end: whether the next one is lost."""
    chance = random.Random("%d %s %s" % (seed, way, kind))
    while True:
        yield chance.random() < rate


class Relay:
    """Listens on `port`; the server is on `server_port`; of `method`, requests and answers, `rate` is lost."""

    def __init__(self, port, server_port, method, rate, seed):
        self.method, self.rate, self.seed = method, rate, seed
        self.sequences = {}
        self.passed, self.lost = {}, {}
        self.server = ("127.0.0.1", server_port)
        self.client = None
        self.outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outer.bind(("127.0.0.1", port))
        self.inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inner.bind(("127.0.0.1", 0))
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ending:
            for ready in select.select([self.outer, self.inner], [], [], 0.1)[0]:
                try:
                    data, sender = ready.recvfrom(65536)
                    if ready is self.outer:
                        self.client = sender
                        if not self._loses("up", data):
                            self.inner.sendto(data, self.server)
                    elif self.client and not self._loses("down", data):
                        self.outer.sendto(data, self.client)
                except OSError:
                    pass  # nobody listens on the other side (any more)

    def _loses(self, way, data):
        text = data.decode("utf-8", "replace")
        method = re.search(r"^CSeq:\s*\d+\s+(\w+)", text, re.M | re.I)
        if not method or method.group(1) != self.method:
            return False
        key = (way, "answer" if text.startswith("SIP/2.0 ") else "request")
        if key not in self.sequences:
            self.sequences[key] = sequence(self.rate, self.seed, *key)
        lost = next(self.sequences[key])
        counts = self.lost if lost else self.passed
        counts[key] = counts.get(key, 0) + 1
        return lost

    def stop(self):
        self.ending = True
        self.thread.join()
        self.outer.close()
        self.inner.close()


if __name__ == "__main__":
    # what a seed loses (L) and lets pass
    for n in range(40):
        ways = [(way, kind) for way in ("up", "down") for kind in ("request", "answer")]
        lines = []
        for way, kind in ways:
            one = sequence(0.3, n, way, kind)
            lines.append("%s %s %s" % (way, kind, "".join("L" if next(one) else "." for _ in range(16))))
        print(n, "  ".join(lines))
