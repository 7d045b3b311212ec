#!/usr/bin/env python3
"""Judges SIP and MSRP traffic in a pcap file with tshark as the parser.

  wirecheck.py FILE.pcap [--sip PORT ...] [--msrp PORT ...] [--strict-im] [--quiet]

tshark takes the octets apart (a parser that shares nothing with the code under test); the rules below look at
the fields it found. tshark 4.0 by itself calls very little malformed (a header line without a colon, broken XML tokens; wrong lengths,
missing header fields and a CSeq of another method all pass), hence the rules.
One line per finding: "frame N: what". Exit status: 0 nothing found, 1 findings, 3 no SIP or MSRP in the file.

Each MSRP message must be in a TCP segment of its own or begin one: tshark shows only the first of a segment.
--strict-im also asks for what OMA-TS-SIMPLE_IM makes mandatory in initial INVITE, MESSAGE and PUBLISH requests.
"""
import argparse
import re
import subprocess
import sys
import xml.parsers.expat

SEP = "\x1f"
FIELDS = ["frame.number", "frame.protocols", "udp.payload", "tcp.len", "tcp.payload",
          "_ws.expert.severity", "_ws.expert.message", "sip.Method", "sip.Status-Code", "sip.CSeq.method", "sip.CSeq.seq",
          "sip.Via", "sip.Via.branch", "sip.From", "sip.from.addr", "sip.from.tag", "sip.To", "sip.to.addr", "sip.to.tag",
          "sip.Call-ID", "sip.Max-Forwards", "sip.Content-Length", "sip.Content-Type", "sip.Contact", "sip.Expires",
          "sip.Event", "sip.Subscription-State", "sip.Accept-Contact", "sip.User-Agent", "sip.Supported",
          "sip.Session-Expires", "sip.Min-SE", "sip.Min-Expires", "sdp.version", "sdp.owner", "sdp.session_name", "sdp.time",
          "sdp.media", "sdp.media.proto", "sdp.connection_info", "sdp.media_attr",
          "msrp.method", "msrp.status.code", "msrp.transaction.id", "msrp.to.path", "msrp.from.path", "msrp.messageid",
          "msrp.byte.range", "msrp.end.line", "msrp.cnt.flg", "msrp.content.type",
          "xml.unrecognized_text", "xml.closing_unopened_tag"]
PATH = re.compile(r"^msrps?://[^\s/]+(:\d+)?/[^\s;]+;tcp(;\S+)?( msrps?://\S+)*$")
# from the octets: tshark leaves a number field empty when there is no number
SYNTAX = {"Max-Forwards": r"^\d{1,3}$", "CSeq": r"^\d{1,10} +[A-Z]+$", "Expires": r"^\d{1,10}$",
          "Content-Length": r"^\d+$", "Min-SE": r"^\d+( *;.*)?$", "Min-Expires": r"^\d+$",
          "Session-Expires": r"^\d+( *; *refresher *= *(uac|uas))?( *;.*)?$"}


def xml_error(body):
    try:
        xml.parsers.expat.ParserCreate().Parse(body, True)
    except xml.parsers.expat.ExpatError as e:
        return str(e)
    return None


def cpim_findings(body):
    """RFC 3862: message headers, an empty line, content headers, an empty line, content."""
    head, sep, rest = body.partition(b"\r\n\r\n")
    if not sep:
        return ["CPIM: no empty line after the message headers"]
    out, names = [], []
    for line in head.split(b"\r\n"):
        m = re.match(rb"^([A-Za-z0-9.!#$%&'*+_`|~^-]+): (.*)$", line)
        if not m:
            out.append("CPIM: bad header line %r" % line)
            continue
        names.append(m.group(1).decode())
    for need in ("From", "To"):
        if need not in names:
            out.append("CPIM: no %s" % need)
    if any(n.lower().startswith("imdn.") for n in names):
        if not re.search(rb"(?m)^NS: imdn ?<urn:ietf:params:imdn>", head):
            out.append("CPIM: imdn header fields without their namespace")
    chead, sep, content = rest.partition(b"\r\n\r\n")
    m = re.search(rb"(?im)^content-type: *([^;\r\n]+)", chead)
    if not sep or not m:
        out.append("CPIM: no Content-type of the content")
    else:
        ln = re.search(rb"(?im)^content-length: *(\d+)", chead)
        if ln and int(ln.group(1)) != len(content):
            out.append("CPIM: Content-length %s, %d octets" % (ln.group(1).decode(), len(content)))
        out += body_findings(m.group(1).decode(), content)
    return out


def body_findings(ctype, body):
    kind = ctype.split(";")[0].strip().lower()
    if kind.endswith("+xml") or kind == "application/xml":
        e = xml_error(body)
        return ["%s is not well-formed: %s" % (kind, e)] if e else []
    if kind == "message/cpim":
        return cpim_findings(body)
    if kind.startswith("multipart/"):
        m = re.search(r'boundary="?([^";]+)"?', ctype)
        if not m:
            return ["multipart without boundary"]
        b = b"--" + m.group(1).encode()
        if (b + b"--") not in body:
            return ["multipart: closing boundary missing"]
        out = []
        for part in body.split(b)[1:-1]:
            head, sep, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
            t = re.search(rb"(?im)^content-type: *([^\r\n]+)", head)
            if sep and t:
                out += body_findings(t.group(1).decode(), content[:-2])
        return out
    return []


def sip_findings(r, raw, strict):
    out, req = [], r["sip.Method"]
    for name in ("sip.Via", "sip.From", "sip.To", "sip.Call-ID", "sip.CSeq.seq", "sip.CSeq.method"):
        if not r[name]:
            out.append("no usable %s" % name[4:])
    if req:
        if not r["sip.Max-Forwards"]:
            out.append("no Max-Forwards")
        if r["sip.CSeq.method"] and r["sip.CSeq.method"] != req:
            out.append("CSeq names %s, the request is %s" % (r["sip.CSeq.method"], req))
    elif not re.match(r"^[1-6]\d\d$", r["sip.Status-Code"]):
        out.append("bad status code")
    if r["sip.Via"] and not r["sip.Via.branch"].startswith("z9hG4bK"):
        out.append("Via branch without the magic cookie")
    if not r["sip.from.tag"]:
        out.append("From without a tag")
    for name in ("from", "to"):
        if r["sip.%s" % name.capitalize()] and not re.match(r"^(sips?|tel):\S+$", r["sip.%s.addr" % name]):
            out.append("no URI in %s" % name.capitalize())
    if not req and r["sip.Status-Code"] > "100" and not r["sip.to.tag"]:
        out.append("response without a To tag")
    for line in raw.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").split("\r\n")[1:]:
        name, _, v = line.partition(":")
        for known, rx in SYNTAX.items():
            if name.strip().lower() == known.lower() and not re.match(rx, v.strip()):
                out.append("%s: %r" % (known, v.strip()))
    if req == "INVITE" and not r["sip.Contact"]:
        out.append("INVITE without Contact")
    if req == "MESSAGE" and r["sip.Contact"]:
        out.append("MESSAGE with Contact (RFC 3428 section 4)")
    if req in ("PUBLISH", "SUBSCRIBE", "NOTIFY") and not r["sip.Event"]:
        out.append("%s without Event" % req)
    if req == "NOTIFY" and not r["sip.Subscription-State"]:
        out.append("NOTIFY without Subscription-State")
    if r["sip.Status-Code"] == "422" and not r["sip.Min-SE"]:
        out.append("422 without Min-SE")
    if r["sip.Status-Code"] == "423" and not r["sip.Min-Expires"]:
        out.append("423 without Min-Expires")
    head, sep, body = raw.partition(b"\r\n\r\n")
    if not sep:
        return out + ["no CRLF CRLF after the header fields"]
    if b"\n" in head.replace(b"\r\n", b""):
        out.append("bare LF in the header fields")
    if r["sip.Content-Length"].isdigit() and int(r["sip.Content-Length"]) != len(body):
        out.append("Content-Length %s, %d octets follow" % (r["sip.Content-Length"], len(body)))
    if body and not r["sip.Content-Type"]:
        out.append("body without Content-Type")
    if r["sip.Content-Type"].lower().startswith("application/sdp"):
        for name in ("sdp.version", "sdp.owner", "sdp.session_name", "sdp.time", "sdp.media", "sdp.media.proto"):
            if not r[name]:
                out.append("SDP without %s" % name[4:])
        if not r["sdp.connection_info"]:
            out.append("SDP without c=")
        if r["sdp.media"] and not re.match(r"^\S+ \d+(/\d+)? \S+ \S", r["sdp.media"]):
            out.append("m=%s" % r["sdp.media"])
        if "MSRP" in r["sdp.media.proto"]:
            if "accept-types:" not in r["sdp.media_attr"]:
                out.append("MSRP media without accept-types")
            if not re.search(r"path:msrps?://[^\s/]+/\S+;tcp", r["sdp.media_attr"]):
                out.append("MSRP media without a usable path")
        if body and not body.endswith(b"\r\n"):
            out.append("SDP does not end with CRLF")
    else:
        out += body_findings(r["sip.Content-Type"], body)
    if strict and req in ("INVITE", "MESSAGE", "PUBLISH") and not r["sip.to.tag"]:
        if "+g.oma.sip-im" not in r["sip.Accept-Contact"]:
            out.append("IM: Accept-Contact lacks +g.oma.sip-im")
        if not r["sip.User-Agent"]:
            out.append("IM: no User-Agent")
        if req == "INVITE" and "+g.oma.sip-im" not in r["sip.Contact"]:
            out.append("IM: Contact lacks +g.oma.sip-im")
        if req == "INVITE" and "timer" not in r["sip.Supported"]:
            out.append("IM: Supported lacks timer")
        if req == "PUBLISH" and r["sip.Event"].split(";")[0] != "poc-settings":
            out.append("IM: Event is not poc-settings")
        if req == "PUBLISH" and not r["sip.Expires"]:
            out.append("IM: no Expires")
    return out


def msrp_findings(r, raw):
    out = []
    tids = r["msrp.transaction.id"].split(",")
    if len(tids) != 2 or tids[0] != tids[1]:
        out.append("transaction id and end line differ: %s" % tids)
    elif not re.match(r"^[A-Za-z0-9][A-Za-z0-9.+%=-]{3,31}$", tids[0]):
        out.append("transaction id %r" % tids[0])
    if r["msrp.cnt.flg"] not in ("$", "+", "#"):
        out.append("continuation flag %r" % r["msrp.cnt.flg"])
    for name in ("msrp.to.path", "msrp.from.path"):
        # a relay that is asked with AUTH has no session part in its URI
        bare = r["msrp.method"] in ("AUTH", "") and re.match(r"^msrps?://[^\s/;]+;tcp$", r[name])
        if not PATH.match(r[name]) and not bare:
            out.append("%s: %r" % (name[5:], r[name]))
    lines = raw.split(b"\r\n")
    if len(lines) > 2 and not (lines[1].startswith(b"To-Path: ") and lines[2].startswith(b"From-Path: ")):
        out.append("To-Path and From-Path are not the first two header fields")
    if r["msrp.method"] in ("SEND", "REPORT") and not r["msrp.messageid"]:
        out.append("%s without Message-ID" % r["msrp.method"])
    if r["msrp.byte.range"] and not re.match(r"^\d+-(\d+|\*)/(\d+|\*)$", r["msrp.byte.range"]):
        out.append("Byte-Range: %r" % r["msrp.byte.range"])
    end = re.search(rb"\r\n-------" + re.escape(tids[0].encode()) + rb"[$+#]\r\n", raw)
    if end and raw[end.end():]:
        out.append("more octets after the end line, not looked at: one message per segment, please")
    m = re.match(rb"MSRP (\S+) SEND\r\n(.*?\r\n)\r\n(.*)\r\n-------\1([$+#])\r\n", raw, re.S)
    if m:
        if not r["msrp.content.type"]:
            out.append("SEND with a body, without Content-Type")
        rng = re.match(r"^(\d+)-(\d+)/(\d+|\*)$", r["msrp.byte.range"])
        if rng and int(rng.group(2)) - int(rng.group(1)) + 1 != len(m.group(3)) and m.group(4) != b"#":
            out.append("Byte-Range %s, %d octets" % (r["msrp.byte.range"], len(m.group(3))))
        if rng and rng.group(1) == "1" and rng.group(2) == rng.group(3) and m.group(4) == b"$":
            out += body_findings(r["msrp.content.type"], m.group(3))
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("file")
    ap.add_argument("--sip", action="append", default=[], metavar="PORT")
    ap.add_argument("--msrp", action="append", default=[], metavar="PORT")
    ap.add_argument("--strict-im", action="store_true")
    ap.add_argument("--quiet", action="store_true")
    a = ap.parse_args()
    cmd = ["tshark", "-r", a.file, "-T", "fields", "-E", "separator=" + SEP, "-E", "occurrence=a", "-E", "aggregator=,",
           "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    for p in a.sip:
        cmd += ["-d", "udp.port==%s,sip" % p, "-d", "tcp.port==%s,sip" % p]
    for p in a.msrp:
        cmd += ["-d", "tcp.port==%s,msrp" % p]
    for f in FIELDS:
        cmd += ["-e", f]
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        sys.stderr.write(p.stderr.decode("utf-8", "replace"))
        return 2
    seen = bad = 0
    for line in p.stdout.decode("utf-8", "replace").split("\n"):
        if not line:
            continue
        r = dict(zip(FIELDS, (line + SEP * len(FIELDS)).split(SEP)))
        protos = r["frame.protocols"].split(":")
        raw = bytes.fromhex((r["udp.payload"] or r["tcp.payload"]).replace(":", "").split(",")[0])
        if not raw.strip():
            continue        # no payload, or a keep-alive
        if len(raw) >= 20 and raw[0] < 4 and raw[4:8] == b"\x21\x12\xa4\x42":
            continue        # STUN, the keep-alive of datagrams (RFC 5626 section 3.5.2)
        found = []
        for sev, msg in zip(r["_ws.expert.severity"].split(","), (r["_ws.expert.message"] + "," * 20).split(",")):
            if sev and int(sev) >= 0x600000:
                found.append("tshark: %s" % msg)
        if r["xml.unrecognized_text"] or r["xml.closing_unopened_tag"]:
            found.append("tshark: XML that it could not read")
        if "sip" in protos:
            seen += 1
            found += sip_findings(r, raw, a.strict_im)
        elif "msrp" in protos:
            seen += 1
            found += msrp_findings(r, raw)
        else:
            found.append("neither SIP nor MSRP to tshark (%s)" % r["frame.protocols"])
        for f in found:
            bad += 1
            print("frame %s: %s" % (r["frame.number"], f))
    if not a.quiet:
        print("%d messages, %d findings" % (seen, bad))
    return 1 if bad else 0 if seen else 3


if __name__ == "__main__":
    sys.exit(main())
