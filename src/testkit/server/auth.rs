//! Digest access authentication, the server's part (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! A request needs right credentials for each [`Challenge`] that applies. Those that are missing are asked for in one
//! answer: 407 if a proxy asks, else 401. Wrong credentials are asked for again; right ones with a nonce that is used up,
//! too old or unknown are asked for with `stale=true`; a nonce count that was there before counts as used up too.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::prelude::rust_2024::*;
use std::vec;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::{ImServer, Incoming, User};
use crate::testkit::rng::Rng;
use crate::testkit::sip::{self, Sip};
use crate::time::Instant;

/// The hash of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `MD5`.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
}

impl Algorithm {
    fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    fn hash(self, text: &[u8]) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess => hex(&Md5::digest(text)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => hex(&Sha256::digest(text)),
        }
    }

    fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }
}

/// The quality of protection that a challenge offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// None: the form of RFC 2069.
    Absent,
    /// `qop="auth"`.
    Auth,
    /// `qop="auth-int"`.
    AuthInt,
    /// `qop="auth,auth-int"`.
    Both,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeHeader {
    /// WWW-Authenticate in a 401.
    Www,
    /// Proxy-Authenticate in a 407.
    Proxy,
}

impl ChallengeHeader {
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            ChallengeHeader::Www => ("WWW-Authenticate", "Authorization", "Authentication-Info"),
            ChallengeHeader::Proxy => (
                "Proxy-Authenticate",
                "Proxy-Authorization",
                "Proxy-Authentication-Info",
            ),
        }
    }
}

/// What a 2xx says about the credentials (RFC 7616 §3.5, RFC 7615).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    /// Nothing.
    Absent,
    /// The next nonce.
    NextNonce,
    /// The proof that the server knows the password.
    Rspauth,
    /// Both.
    Both,
}

/// Credentials that the server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// 401 or 407.
    pub header: ChallengeHeader,
    /// The realm.
    pub realm: String,
    /// One challenge each, in this order.
    pub algorithms: Vec<Algorithm>,
    /// Quality of protection.
    pub qop: Qop,
    /// How often a nonce may be used.
    pub nonce_uses: Option<usize>,
    /// How long a nonce may be used.
    pub nonce_ms: Option<u64>,
    /// What a 2xx tells.
    pub info: Info,
}

impl Challenge {
    /// MD5 with `qop="auth"`, nonces without end.
    pub fn new(header: ChallengeHeader, realm: &str) -> Self {
        Self {
            header,
            realm: realm.into(),
            algorithms: vec![Algorithm::Md5],
            qop: Qop::Auth,
            nonce_uses: None,
            nonce_ms: None,
            info: Info::Absent,
        }
    }
}

/// The nonces that were given out.
#[derive(Default)]
pub(super) struct Nonces(BTreeMap<String, Nonce>);

struct Nonce {
    realm: String,
    algorithm: Algorithm,
    since: Instant,
    uses: usize,
    counts: BTreeSet<u32>,
}

impl Nonces {
    fn issue(&mut self, now: Instant, rng: &mut Rng, realm: &str, algorithm: Algorithm) -> String {
        let text = rng.hex() + &rng.hex();
        let nonce = Nonce {
            realm: realm.into(),
            algorithm,
            since: now,
            uses: 0,
            counts: BTreeSet::new(),
        };
        self.0.insert(text.clone(), nonce);
        text
    }
}

/// What came of looking at the credentials of a request.
pub(super) enum Verdict {
    /// None are needed.
    Open,
    /// They are right.
    Known {
        user: String,
        info: Vec<(String, String)>,
    },
    /// These have to be asked for.
    Ask {
        stale: bool,
        missing: Vec<Challenge>,
    },
    /// They do not belong to this request.
    Refuse(&'static str),
}

/// What came of looking at one set of credentials.
enum Check {
    Right { user: String, info: Option<String> },
    Stale,
    Wrong,
    OtherRequest,
}

impl ImServer {
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        request: &Sip,
        challenges: &[Challenge],
    ) -> Verdict {
        let (mut known, mut infos) = (None, Vec::new());
        let (mut stale, mut missing) = (false, Vec::new());
        for challenge in challenges {
            let (_, credentials, info_name) = challenge.header.names();
            let ours = request
                .headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(credentials))
                .map(|(_, value)| digest_params(value))
                .find(|params| params.get("realm") == Some(&challenge.realm));
            let check = ours.map(|params| self.check(now, request, challenge, &params));
            match check {
                Some(Check::Right { user, info }) => {
                    known = Some(user);
                    infos.extend(info.map(|info| (info_name.into(), info)));
                }
                Some(Check::OtherRequest) => return Verdict::Refuse("Digest URI Differs"),
                Some(Check::Stale) => {
                    stale = true;
                    missing.push(challenge.clone());
                }
                Some(Check::Wrong) | None => missing.push(challenge.clone()),
            }
        }
        match known {
            _ if !missing.is_empty() => Verdict::Ask { stale, missing },
            Some(user) => Verdict::Known { user, info: infos },
            None => Verdict::Open,
        }
    }

    pub(super) fn challenge(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        missing: &[Challenge],
        stale: bool,
    ) {
        let proxy = missing
            .iter()
            .any(|challenge| challenge.header == ChallengeHeader::Proxy);
        let (status, reason) = if proxy {
            (407, "Proxy Authentication Required")
        } else {
            (401, "Unauthorized")
        };
        let mut response = Sip::response(&incoming.sip, status, reason, &self.rng.hex());
        for challenge in missing {
            for algorithm in &challenge.algorithms {
                let nonce = self
                    .nonces
                    .issue(now, &mut self.rng, &challenge.realm, *algorithm);
                let qop = match challenge.qop {
                    Qop::Absent => "",
                    Qop::Auth => ", qop=\"auth\"",
                    Qop::AuthInt => ", qop=\"auth-int\"",
                    Qop::Both => ", qop=\"auth,auth-int\"",
                };
                let stale = if stale { ", stale=true" } else { "" };
                let value = format!(
                    "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={}{qop}{stale}",
                    challenge.realm,
                    algorithm.as_str()
                );
                response.push(challenge.header.names().0, &value);
            }
        }
        self.respond(now, &incoming.key, response);
    }

    fn check(
        &mut self,
        now: Instant,
        request: &Sip,
        challenge: &Challenge,
        params: &BTreeMap<String, String>,
    ) -> Check {
        let get = |name: &str| params.get(name).map_or("", String::as_str);
        if Some(get("uri")) != request.uri() {
            return Check::OtherRequest;
        }
        let known = |user: &&User| user.auth_name == get("username");
        let Some(user) = self.users.iter().find(known).cloned() else {
            return Check::Wrong;
        };
        let nonce = get("nonce").to_string();
        let algorithm = match self.nonces.0.get(&nonce) {
            Some(known) if known.realm == challenge.realm => known.algorithm,
            Some(_) | None => return Check::Stale,
        };
        let said = params.get("algorithm").map_or("MD5", String::as_str);
        if !said.eq_ignore_ascii_case(algorithm.as_str()) {
            return Check::Wrong;
        }
        let qop_fits = match (challenge.qop, get("qop")) {
            (_, "") => matches!(challenge.qop, Qop::Absent),
            (Qop::Auth | Qop::Both, "auth") | (Qop::AuthInt | Qop::Both, "auth-int") => true,
            _ => false,
        };
        let secret = Secret {
            username: user.auth_name.clone(),
            realm: challenge.realm.clone(),
            password: user.password.clone().into_bytes(),
        };
        let method = request.method().unwrap_or_default();
        let expected = secret.proof(algorithm, params, method, &request.body);
        if !qop_fits || expected != get("response") {
            return Check::Wrong;
        }
        let Some(state) = self.nonces.0.get_mut(&nonce) else {
            return Check::Stale;
        };
        let count = u32::from_str_radix(get("nc"), 16).ok();
        let used_up = challenge.nonce_uses.is_some_and(|most| state.uses >= most)
            || challenge
                .nonce_ms
                .is_some_and(|most| now.since(state.since) > most)
            || count.is_some_and(|count| !state.counts.insert(count));
        if used_up {
            return Check::Stale;
        }
        state.uses += 1;
        let mut info = Vec::new();
        if matches!(challenge.info, Info::NextNonce | Info::Both) {
            let next = self
                .nonces
                .issue(now, &mut self.rng, &challenge.realm, algorithm);
            info.push(format!("nextnonce=\"{next}\""));
        }
        if matches!(challenge.info, Info::Rspauth | Info::Both) && get("qop") == "auth" {
            // RFC 7616 §3.5: as the request digest, with an empty method.
            let proof = secret.proof(algorithm, params, "", &[]);
            info.push(format!(
                "qop=auth, rspauth=\"{proof}\", cnonce=\"{}\", nc={}",
                get("cnonce"),
                get("nc")
            ));
        }
        let info = (!info.is_empty()).then(|| info.join(", "));
        Check::Right {
            user: user.name,
            info,
        }
    }
}

/// What a client and its server both know.
pub(super) struct Secret {
    pub(super) username: String,
    pub(super) realm: String,
    pub(super) password: Vec<u8>,
}

impl Secret {
    /// The response to a challenge (RFC 7616 §3.4.1).
    pub(super) fn proof(
        &self,
        algorithm: Algorithm,
        params: &BTreeMap<String, String>,
        method: &str,
        body: &[u8],
    ) -> String {
        let get = |name: &str| params.get(name).map_or("", String::as_str);
        let hash = |text: String| algorithm.hash(text.as_bytes());
        let names = format!("{}:{}:", self.username, self.realm);
        let mut a1 = algorithm.hash(&[names.as_bytes(), &self.password].concat());
        if algorithm.is_session() {
            a1 = hash(format!("{a1}:{}:{}", get("nonce"), get("cnonce")));
        }
        let mut a2 = format!("{method}:{}", get("uri"));
        if get("qop") == "auth-int" {
            a2 += &format!(":{}", algorithm.hash(body));
        }
        let a2 = hash(a2);
        match get("qop") {
            "" => hash(format!("{a1}:{}:{a2}", get("nonce"))),
            qop => hash(format!(
                "{a1}:{}:{}:{}:{qop}:{a2}",
                get("nonce"),
                get("nc"),
                get("cnonce")
            )),
        }
    }
}

/// The parameters of Digest credentials, quotes removed.
pub(super) fn digest_params(value: &str) -> BTreeMap<String, String> {
    let Some((scheme, rest)) = value.split_once(' ') else {
        return BTreeMap::new();
    };
    if !scheme.eq_ignore_ascii_case("Digest") {
        return BTreeMap::new();
    }
    let pair = |element: String| {
        let (name, value) = element.split_once('=')?;
        let value = value.trim();
        let unquoted = match value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
        {
            Some(quoted) => unescape(quoted),
            None => value.into(),
        };
        Some((name.trim().to_lowercase(), unquoted))
    };
    sip::split_list(rest).into_iter().filter_map(pair).collect()
}

fn unescape(quoted: &str) -> String {
    let mut out = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}
