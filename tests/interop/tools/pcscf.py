#!/usr/bin/env python3
"""The ports of a P-CSCF on an IMS core, in front of a SIPp that plays the rest of it (3GPP TS 24.229, TS 33.203).

SIPp has one port and answers to where a request came from. A P-CSCF has three, and over UDP a protected path is two
one-way flows: requests come from the phone's port-c to `port_s`; answers go from `port_c` to the phone's port-s, which
its Via names. There is no IPsec: what the associations would refuse is refused here by the port numbers alone. What
came is kept with its way, to be judged afterwards, and the digest responses of AKA are computed here anew.
"""
import base64
import hashlib
import hmac
import re
import select
import socket
import threading

from simple_ua import Message


class Gate:
    """Listens on `port` (unprotected), `port` + 1 (port-s) and `port` + 2 (port-c); SIPp is on `sipp_port`."""

    def __init__(self, port, sipp_port):
        self.port, self.port_s, self.port_c = port, port + 1, port + 2
        self.sipp = ("127.0.0.1", sipp_port)
        self.sockets = {}
        for name, number in (("open", self.port), ("s", self.port_s), ("c", self.port_c), ("inner", 0)):
            self.sockets[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sockets[name].bind(("127.0.0.1", number))
        self.requests = []  # (way, source port, Message), retransmissions apart
        self.answers = {}   # branch: (socket, address)
        self.refused = []
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        names = {one: name for name, one in self.sockets.items()}
        while not self.ending:
            for ready in select.select(list(names), [], [], 0.1)[0]:
                try:
                    data, source = ready.recvfrom(65536)
                    self._take(names[ready], data, source)
                except OSError:
                    pass  # nobody listens on the other side (any more)

    def _take(self, name, data, source):
        message = Message.parse(data)
        via = message.get("Via", "")
        branch = re.search(r"branch=([^;,\s]+)", via)
        if name == "inner":
            if message.code and branch and branch.group(1) in self.answers:
                way, address = self.answers[branch.group(1)]
                self.sockets[way].sendto(data, address)
            return
        sent_by = re.match(r"SIP/2\.0/UDP [0-9.]+:(\d+)", via)
        if name == "c" or message.code or not branch or not sent_by:
            self.refused.append((name, message.start))
            return
        if branch.group(1) not in self.answers:
            self.requests.append((name, source[1], message))
        back = ("open", source) if name == "open" else ("c", (source[0], int(sent_by.group(1))))
        self.answers[branch.group(1)] = back
        self.sockets["inner"].sendto(data, self.sipp)

    def stop(self):
        self.ending = True
        self.thread.join()
        for one in self.sockets.values():
            one.close()


def parameters(value):
    """The parameters of a Digest or of an ipsec-3gpp mechanism, unquoted."""
    return {name.lower(): text.strip('"') for name, text in re.findall(r'([\w-]+)\s*=\s*("[^"]*"|[^,;\s]+)', value)}


def password(algorithm, res, ik, ck):
    """RFC 3310, 3.3: RES itself; RFC 4169, 2.1: a key derived from RES, IK and CK."""
    if algorithm == "AKAv1-MD5":
        return res
    return base64.b64encode(hmac.new(res + ik + ck, b"http-digest-akav2-password", hashlib.md5).digest())


def response(authorization, secret, method):
    """The response that these credentials should have (RFC 7616, 3.4.1, qop=auth)."""
    p = parameters(authorization)

    def md5(data):
        return hashlib.md5(data).hexdigest()
    ha1 = md5(b"%s:%s:%s" % (p["username"].encode(), p["realm"].encode(), secret))
    ha2 = md5(("%s:%s" % (method, p["uri"])).encode())
    return md5((":".join((ha1, p["nonce"], p["nc"], p["cnonce"], p["qop"], ha2))).encode())
