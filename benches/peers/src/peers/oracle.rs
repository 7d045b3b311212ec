//! Reference limits, and a bare no-allocation scanner that supplies the expected checksum.
//! The oracle is NOT a validating parser: it is the floor for "find everything a deep parse returns".
use crate::contestant::*;
use std::hint::black_box;

pub struct Memcpy(pub Vec<u8>);
impl Contestant for Memcpy {
    fn name(&self) -> &'static str {
        "ref:memcpy"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        self.0.clear();
        self.0.extend_from_slice(m);
        black_box(&self.0).len()
    }
}

pub struct LineScan;
impl Contestant for LineScan {
    fn name(&self) -> &'static str {
        "ref:memchr-lines"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        let (mut p, mut n) = (0, 0);
        while let Some(i) = memchr::memchr(b'\n', &m[p..]) {
            p += i + 1;
            n += 1;
            if m[p..].starts_with(b"\r\n") {
                break;
            }
        }
        n - 1
    }
}

pub struct Httparse;
impl Contestant for Httparse {
    fn name(&self) -> &'static str {
        "ref:httparse"
    }
    fn version(&self) -> &'static str {
        "1"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        let Some(sl) = memchr::memchr(b'\n', m) else {
            return 0;
        };
        let mut h = [httparse::EMPTY_HEADER; 64];
        match httparse::parse_headers(&m[sl + 1..], &mut h) {
            Ok(httparse::Status::Complete((_, hs))) => black_box(hs).len(),
            _ => 0,
        }
    }
}

pub struct Oracle;
fn trim(mut s: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', r @ ..] = s {
        s = r
    }
    while let [r @ .., b' ' | b'\t' | b'\r'] = s {
        s = r
    }
    s
}
fn num(s: &[u8]) -> usize {
    s.iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0, |a, b| a * 10 + (b - b'0') as usize)
}
/// host[:port] at the start of s (IPv6 in brackets); params are walked by the caller.
fn hostport(s: &[u8]) -> (&[u8], usize) {
    let e = if s.first() == Some(&b'[') {
        memchr::memchr(b']', s).map_or(s.len(), |i| i + 1)
    } else {
        s.iter()
            .position(|b| matches!(b, b':' | b';' | b'?' | b'>' | b',' | b' '))
            .unwrap_or(s.len())
    };
    let port = if s.get(e) == Some(&b':') {
        num(&s[e + 1..])
    } else {
        0
    };
    (&s[..e], 100_000 + port)
}
fn uri(s: &[u8]) -> usize {
    let Some(c) = memchr::memchr(b':', s) else {
        return 0;
    };
    let rest = &s[c + 1..];
    if s[..c].eq_ignore_ascii_case(b"tel") {
        return 0;
    }
    let e = rest
        .iter()
        .position(|b| matches!(b, b'?'))
        .unwrap_or(rest.len());
    let h = match memchr::memchr(b'@', &rest[..e]) {
        Some(a) => &rest[a + 1..],
        None => rest,
    };
    let (host, v) = hostport(h);
    params(&h[host.len()..], b"\0");
    black_box(host);
    v
}
/// Walk ;name=value pairs, return the length of `want`'s value.
fn params(mut s: &[u8], want: &[u8]) -> usize {
    let mut r = 0;
    while let Some(i) = memchr::memchr(b';', s) {
        s = &s[i + 1..];
        let mut q = false;
        let e = s
            .iter()
            .position(|&b| {
                if b == b'"' {
                    q = !q
                }
                !q && (b == b';' || b == b',')
            })
            .unwrap_or(s.len());
        let (n, v) = match memchr::memchr(b'=', &s[..e]) {
            Some(k) => (&s[..k], trim(&s[k + 1..e])),
            None => (&s[..e], &b""[..]),
        };
        black_box((n, v));
        if trim(n).eq_ignore_ascii_case(want) {
            r = v.len()
        }
        s = &s[e..];
    }
    r
}
fn name_addr(s: &[u8], tag: bool) -> usize {
    // skip a quoted display name
    let mut i = 0;
    let t = trim(s);
    if t.first() == Some(&b'"') {
        i = 1;
        while i < t.len() && t[i] != b'"' {
            i += if t[i] == b'\\' { 2 } else { 1 }
        }
    }
    let (u, rest) = match memchr::memchr(b'<', &t[i..]) {
        Some(l) => {
            let a = i + l + 1;
            let e = a + memchr::memchr(b'>', &t[a..]).unwrap_or(t.len() - a);
            (&t[a..e], &t[e..])
        }
        None => {
            let e = memchr::memchr(b';', t).unwrap_or(t.len());
            (&t[..e], &t[e..])
        }
    };
    let p = params(rest, b"tag");
    uri(u) + if tag { p } else { 0 }
}
fn list(s: &[u8], mut f: impl FnMut(&[u8]) -> usize) -> usize {
    let (mut q, mut a, mut start, mut r) = (false, false, 0, 0);
    let mut i = 0;
    while i < s.len() {
        match s[i] {
            b'\\' if q => i += 1,
            b'"' => q = !q,
            b'<' if !q => a = true,
            b'>' if !q => a = false,
            b',' if !q && !a => {
                r += f(&s[start..i]);
                start = i + 1
            }
            _ => {}
        }
        i += 1;
    }
    r + f(&s[start..])
}
impl Oracle {
    fn walk<'a>(m: &'a [u8], mut f: impl FnMut(&'a [u8], &'a [u8])) -> Option<(&'a [u8], usize)> {
        let sl = memchr::memchr(b'\n', m)?;
        let (mut p, mut n) = (sl + 1, 0);
        loop {
            let e = p + memchr::memchr(b'\n', &m[p..])?;
            let line = &m[p..e];
            if line.len() <= 1 {
                break;
            }
            let c = memchr::memchr(b':', line)?;
            f(trim(&line[..c]), trim(&line[c + 1..]));
            n += 1;
            p = e + 1;
        }
        Some((&m[..sl], n))
    }
}
impl Contestant for Oracle {
    fn name(&self) -> &'static str {
        "ref:bare-scan"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        let mut h = [(&b""[..], &b""[..]); 64];
        let mut i = 0;
        let r = Self::walk(m, |n, v| {
            if i < 64 {
                h[i] = (n, v);
                i += 1
            }
        });
        black_box(&h);
        r.map_or(0, |r| r.1)
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        let mut sum = 0;
        let r = Self::walk(m, |n, v| {
            sum += match (n.len(), n[0] | 0x20) {
                (3, b'v') if n.eq_ignore_ascii_case(b"via") => list(v, |x| {
                    let x = trim(x);
                    let sp = memchr::memchr(b' ', x).unwrap_or(0);
                    let (h, hv) = hostport(&x[sp + 1..]);
                    hv + params(&x[sp + 1 + h.len()..], b"branch")
                }),
                (4, b'f') | (2, b't') => name_addr(v, true),
                (7, b'c') if n.eq_ignore_ascii_case(b"contact") => list(v, |x| name_addr(x, false)),
                (5, b'r') if n.eq_ignore_ascii_case(b"route") => list(v, |x| name_addr(x, false)),
                (12, b'r') if n.eq_ignore_ascii_case(b"record-route") => {
                    list(v, |x| name_addr(x, false))
                }
                (4, b'c') if n.eq_ignore_ascii_case(b"cseq") => num(v),
                _ => 0,
            };
        });
        let Some((sl, _)) = r else { return 0 };
        if !sl.starts_with(b"SIP/") {
            let a = memchr::memchr(b' ', sl).unwrap_or(0) + 1;
            let e = a + memchr::memchr(b' ', &sl[a..]).unwrap_or(0);
            sum += uri(&sl[a..e]);
        }
        sum
    }
    fn build(&mut self, s: &ReqSpec, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(s.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(s.ruri.as_bytes());
        out.extend_from_slice(b" SIP/2.0\r\n");
        for (n, v) in &s.headers {
            out.extend_from_slice(n.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(v.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"Content-Length: ");
        push_num(out, s.body.len());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&s.body);
        out.len()
    }
    fn respond_200(&mut self, m: &[u8], out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"SIP/2.0 200 OK\r\n");
        Self::walk(m, |n, v| {
            let tag = n.eq_ignore_ascii_case(b"to");
            if tag
                || n.eq_ignore_ascii_case(b"via")
                || n.eq_ignore_ascii_case(b"from")
                || n.eq_ignore_ascii_case(b"call-id")
                || n.eq_ignore_ascii_case(b"cseq")
                || n.eq_ignore_ascii_case(b"record-route")
            {
                out.extend_from_slice(n);
                out.extend_from_slice(b": ");
                out.extend_from_slice(v);
                if tag {
                    out.extend_from_slice(b";tag=uas7712")
                }
                out.extend_from_slice(b"\r\n");
            }
        });
        out.extend_from_slice(b"Contact: <sip:bertta@10.32.9.3:5060>\r\nContent-Length: 0\r\n\r\n");
        out.len()
    }
}
pub fn push_num(out: &mut Vec<u8>, mut n: usize) {
    let mut b = [0u8; 20];
    let mut i = 20;
    loop {
        i -= 1;
        b[i] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&b[i..]);
}
