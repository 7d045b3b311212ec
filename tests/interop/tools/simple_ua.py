"""A small SIP user agent that shares nothing with the crate. Python standard library only.

It is plain and blocking on purpose: with it the runner sees whether the lab itself works, before it
judges the client.
"""
import hashlib
import os
import random
import re
import select
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pcap_writer import Pcap  # noqa: E402

CRLF = b"\r\n"


def token(n=10):
    return "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(n))


class Message:
    """One SIP message. Header fields keep their order; names compare without case."""

    def __init__(self, start, headers, body=b""):
        self.start, self.headers, self.body = start, list(headers), body

    @classmethod
    def parse(cls, raw):
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode("utf-8", "replace").split("\r\n")
        headers = []
        for line in lines[1:]:
            if line[:1] in " \t" and headers:
                headers[-1][1] += " " + line.strip()
            else:
                name, _, value = line.partition(":")
                headers.append([name.strip(), value.strip()])
        return cls(lines[0], headers, body)

    def get(self, name, default=None):
        short = {"f": "from", "t": "to", "i": "call-id", "v": "via", "m": "contact", "l": "content-length",
                 "c": "content-type", "o": "event", "u": "allow-events", "k": "supported", "s": "subject"}
        for n, v in self.headers:
            n = n.lower()
            if short.get(n, n) == name.lower():
                return v
        return default

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()
                or (name.lower() == "via" and n.lower() == "v")]

    @property
    def code(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else None

    @property
    def method(self):
        return None if self.start.startswith("SIP/2.0") else self.start.split()[0]

    def bytes(self):
        out = [self.start.encode()]
        out += [("%s: %s" % (n, v)).encode() for n, v in self.headers]
        out.append(b"Content-Length: %d" % len(self.body))
        return CRLF.join(out) + CRLF + CRLF + self.body


def digest(header, user, password, method, uri, nc=1):
    """Answer a Digest challenge (RFC 7616): MD5 and SHA-256, qop=auth or none."""
    p = dict((k.lower(), v.strip('"')) for k, v in re.findall(r'(\w+)\s*=\s*("[^"]*"|[^,\s]+)', header))
    algo = p.get("algorithm", "MD5").upper()
    h = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algo]

    def hx(s):
        return h(s.encode()).hexdigest()
    ha1, ha2 = hx("%s:%s:%s" % (user, p["realm"], password)), hx("%s:%s" % (method, uri))
    out = 'Digest username="%s", realm="%s", nonce="%s", uri="%s"' % (user, p["realm"], p["nonce"], uri)
    if "qop" in p:
        cn = token(16)
        resp = hx("%s:%s:%08x:%s:auth:%s" % (ha1, p["nonce"], nc, cn, ha2))
        out += ', qop=auth, nc=%08x, cnonce="%s"' % (nc, cn)
    else:
        resp = hx("%s:%s:%s" % (ha1, p["nonce"], ha2))
    out += ', response="%s", algorithm=%s' % (resp, p.get("algorithm", "MD5"))
    if "opaque" in p:
        out += ', opaque="%s"' % p["opaque"]
    return out


class Sip:
    def __init__(self, user="alice", server=("127.0.0.1", 25060), proto="udp", realm="ims.test",
                 password=None, pcap=None, log=None, local_port=0):
        self.user, self.server, self.proto, self.realm = user, server, proto, realm
        self.password = password if password is not None else user + "pw"
        self.pcap, self.log = pcap, log
        self.buf, self.inbox = b"", []
        self.retransmissions = 0
        if proto == "udp":
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.bind(("127.0.0.1", local_port))
        else:
            self.sock = socket.create_connection(server, timeout=5)
            if proto == "tls":
                ctx = ssl.create_default_context()
                ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
                self.sock = ctx.wrap_socket(self.sock)
        self.local = self.sock.getsockname()
        self.contact = "<sip:%s@%s:%d%s>" % (user, self.local[0], self.local[1],
                                             "" if proto == "udp" else ";transport=" + proto)
        self.route_set = []
        self.nonces = {}

    def close(self):
        self.sock.close()

    # wire
    def raw_send(self, data, to=None):
        if self.pcap:
            self.pcap.add(data, self.local, to or self.server, "udp" if self.proto == "udp" else "tcp")
        if self.log:
            self.log.write(">>>\n%s\n" % data.decode("utf-8", "replace"))
        if self.proto == "udp":
            self.sock.sendto(data, to or self.server)
        else:
            self.sock.sendall(data)

    def recv(self, timeout):
        """Next message, or None."""
        if self.inbox:
            return self.inbox.pop(0)
        end = time.time() + timeout
        while True:
            m = self._from_buffer()
            if m:
                return m
            left = end - time.time()
            if left <= 0:
                return None
            if not (self.proto == "tls" and self.sock.pending()):
                if not select.select([self.sock], [], [], left)[0]:
                    return None
            if self.proto == "udp":
                data, peer = self.sock.recvfrom(65535)
                if self.pcap:
                    self.pcap.add(data, peer, self.local, "udp")
                if self.log:
                    self.log.write("<<<\n%s\n" % data.decode("utf-8", "replace"))
                if not data.strip():
                    continue
                m = Message.parse(data)
                m.peer = peer
                return m
            data = self.sock.recv(65535)
            if not data:
                return None
            if self.pcap:
                self.pcap.add(data, self.server, self.local, "tcp")
            if self.log:
                self.log.write("<<<\n%s\n" % data.decode("utf-8", "replace"))
            self.buf += data

    def _from_buffer(self):
        self.buf = self.buf.lstrip(CRLF)
        end = self.buf.find(b"\r\n\r\n")
        if end < 0:
            return None
        m = Message.parse(self.buf[:end + 4])
        need = end + 4 + int(m.get("content-length", "0"))
        if len(self.buf) < need:
            return None
        m.body, self.buf = self.buf[end + 4:need], self.buf[need:]
        m.peer = self.server
        return m

    # requests
    def build(self, method, ruri, headers=(), body=b"", cseq=1, call_id=None, from_tag=None, to=None,
              route=(), from_=None, branch=None):
        aor = "sip:%s@%s" % (self.user, self.realm)
        h = [["Via", "SIP/2.0/%s %s:%d;branch=%s;rport" % (self.proto.upper(), self.local[0], self.local[1],
                                                          branch or "z9hG4bK" + token())],
             ["Max-Forwards", "70"]]
        h += [["Route", r] for r in route]
        h += [["From", (from_ or "<%s>" % aor) + ";tag=" + (from_tag or token())],
              ["To", to or "<%s>" % ruri],
              ["Call-ID", call_id or token(16)],
              ["CSeq", "%d %s" % (cseq, method)]]
        h += [list(x) for x in headers]
        if isinstance(body, str):
            body = body.encode()
        return Message("%s %s SIP/2.0" % (method, ruri), h, body)

    def transact(self, msg, timeout=6.0, provisional=None):
        """Send; return the final answer. UDP retransmits as RFC 3261 17.1 says."""
        data = msg.bytes()
        branch = re.search(r"branch=([^;]+)", msg.get("via")).group(1)
        self.raw_send(data)
        end, wait, stop = time.time() + timeout, 0.5, self.proto != "udp"
        invite = msg.method == "INVITE"
        nxt = time.time() + wait
        pending = []
        try:
            while time.time() < end:
                left = end - time.time() if stop else min(end, nxt) - time.time()
                got = self.recv(max(left, 0.0))
                if got is None:
                    if not stop and time.time() >= nxt:
                        self.raw_send(data)
                        self.retransmissions += 1
                        wait = wait * 2 if invite else min(wait * 2, 4.0)
                        nxt = time.time() + wait
                    continue
                if got.code is None:
                    pending.append(got)
                    continue
                if branch not in (got.get("via") or ""):
                    continue
                if got.code < 200:
                    if provisional is not None:
                        provisional.append(got)
                    if invite:
                        stop = True
                    continue
                if invite and got.code >= 300:
                    ack = Message("ACK " + msg.start.split()[1] + " SIP/2.0",
                                  [["Via", msg.get("via")], ["Max-Forwards", "70"]]
                                  + [["Route", r] for r in msg.all("route")]
                                  + [["From", msg.get("from")], ["To", got.get("to")],
                                     ["Call-ID", msg.get("call-id")],
                                     ["CSeq", msg.get("cseq").split()[0] + " ACK"]])
                    self.raw_send(ack.bytes())
                return got
            return None
        finally:
            self.inbox = pending + self.inbox

    def request(self, method, ruri, headers=(), body=b"", auth=True, timeout=6.0, cseq=1, **kw):
        """A request outside a dialog, with one answer to a challenge."""
        kw.setdefault("call_id", token(16))
        kw.setdefault("from_tag", token())
        kw.setdefault("route", self.route_set if method != "REGISTER" else ())
        msg = self.build(method, ruri, headers, body, cseq=cseq, **kw)
        self.sent = msg
        got = self.transact(msg, timeout)
        if got is not None and got.code in (401, 407) and auth:
            ch, name = ("www-authenticate", "Authorization") if got.code == 401 else \
                       ("proxy-authenticate", "Proxy-Authorization")
            cred = digest(got.get(ch), self.user, self.password, method, ruri)
            msg = self.build(method, ruri, list(headers) + [[name, cred]], body, cseq=cseq + 1, **kw)
            self.sent, self.challenge = msg, got.get(ch)
            got = self.transact(msg, timeout)
        return got

    def register(self, expires=600, headers=(), auth=True, contact=None, **kw):
        h = [["Contact", (contact or self.contact)], ["Expires", str(expires)]] + [list(x) for x in headers]
        got = self.request("REGISTER", "sip:" + self.realm, h, auth=auth,
                           to="<sip:%s@%s>" % (self.user, self.realm), **kw)
        if got is not None and got.code == 200:
            self.route_set = got.all("service-route") if expires else []
        return got

    def respond(self, req, code, reason, headers=(), body=b"", to_tag=None):
        h = [[n, v] for n, v in req.headers if n.lower() in ("via", "v", "from", "f", "call-id", "i", "cseq",
                                                             "record-route")]
        to = req.get("to")
        if "tag=" not in to and code > 100:
            to += ";tag=" + (to_tag or token())
        h += [["To", to]] + [list(x) for x in headers]
        if isinstance(body, str):
            body = body.encode()
        m = Message("SIP/2.0 %d %s" % (code, reason), h, body)
        self.raw_send(m.bytes(), getattr(req, "peer", None))
        return m

    def expect(self, method, timeout=5.0):
        """Next request with that method; others are kept."""
        end, keep = time.time() + timeout, []
        try:
            while time.time() < end:
                m = self.recv(end - time.time())
                if m is None:
                    return None
                if m.method == method:
                    return m
                keep.append(m)
        finally:
            self.inbox = keep + self.inbox
