//! What a contestant has to provide. Add a crate: implement this, push it in `peers::all()`.

/// A request to build: strings in, wire bytes out. Header values are ready-made strings; the
/// per-message ones (branch, tag, Call-ID, CSeq) are already in them.
pub struct ReqSpec {
    pub method: String,
    pub ruri: String,
    pub headers: Vec<(String, String)>, // without Content-Length
    pub body: Vec<u8>,
}

impl ReqSpec {
    /// Takes one of the benchmark files apart (not timed).
    pub fn from_wire(msg: &[u8]) -> ReqSpec {
        let end = msg.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&msg[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let mut sl = lines.next().unwrap().split(' ');
        let (method, ruri) = (
            sl.next().unwrap().to_string(),
            sl.next().unwrap().to_string(),
        );
        let headers = lines
            .map(|l| l.split_once(": ").unwrap())
            .filter(|(n, _)| *n != "Content-Length")
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect();
        ReqSpec {
            method,
            ruri,
            headers,
            body: msg[end + 4..].to_vec(),
        }
    }
    #[cfg(feature = "heavy")]
    pub fn get(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|h| h.0 == name)
            .map(|h| h.1.as_str())
            .unwrap_or("")
    }
}

/// `parse_*` return 0 for "rejected" and `NA` for "the peer does not offer this".
pub const NA: usize = usize::MAX;

pub trait Contestant {
    fn name(&self) -> &'static str;
    fn version(&self) -> &'static str {
        ""
    }
    /// Start line and headers split; returns the number of header fields seen.
    fn parse_shallow(&mut self, msg: &[u8]) -> usize;
    /// As above, and the Request-URI, every Via, From, To, Contact, CSeq, Route and Record-Route
    /// parsed to URI and parameters; returns the checksum described in README.md.
    fn parse_deep(&mut self, _msg: &[u8]) -> usize {
        NA
    }
    /// Serialise a request from strings.
    fn build(&mut self, _spec: &ReqSpec, _out: &mut Vec<u8>) -> usize {
        NA
    }
    /// Request bytes in, 200 OK bytes out (Via*, From, To+tag, Call-ID, CSeq, Contact).
    fn respond_200(&mut self, _req: &[u8], _out: &mut Vec<u8>) -> usize {
        NA
    }
    /// A whole MESSAGE client transaction without I/O: build, create, take the bytes to send,
    /// parse and feed the 200, take the event, fire Timer K (UDP), gone.
    fn txn_client(&mut self, _spec: &ReqSpec, _resp: &[u8], _out: &mut Vec<u8>) -> usize {
        NA
    }
    /// A whole MESSAGE server transaction: parse, create, answer 200, take the bytes, fire Timer J, gone.
    fn txn_server(&mut self, _req: &[u8], _out: &mut Vec<u8>) -> usize {
        NA
    }
}

/// Checksum parts shared by the shims: a host counts 100000 + port (0 if absent).
#[cfg(feature = "peers")]
#[inline]
pub fn hp(port: Option<u16>) -> usize {
    100_000 + port.unwrap_or(0) as usize
}
