//! Authentication and key agreement, the home network's part (RFC 3310, RFC 4169).
//!
//! The server computes nothing of a card's: a test gives each user [`Vector`]s, which challenge in their order; the last one
//! serves for ever. So a test makes a challenge bad by giving a vector that its card does not accept, and a good one after
//! two bad ones by giving three.

use std::format;
use std::prelude::rust_2024::*;

use md5::{Digest, Md5};

use super::auth::{Secret, digest_params};
use super::ims::{Association, Offer, Refresh, Stage};
use super::{Algorithm, Feature, ImServer, Incoming, Qop, User};
use crate::testkit::sip::Sip;
use crate::time::Instant;

/// How a response follows from RES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AkaAlgorithm {
    /// `AKAv1-MD5`: RES is the password.
    V1Md5,
    /// `AKAv2-MD5`: a key derived from RES, IK and CK is.
    V2Md5,
}

impl AkaAlgorithm {
    fn as_str(self) -> &'static str {
        match self {
            AkaAlgorithm::V1Md5 => "AKAv1-MD5",
            AkaAlgorithm::V2Md5 => "AKAv2-MD5",
        }
    }

    fn password(self, vector: &Vector) -> Vec<u8> {
        match self {
            AkaAlgorithm::V1Md5 => vector.res.clone(),
            AkaAlgorithm::V2Md5 => {
                // RFC 4169 §2.1.
                let key = [&vector.res[..], &vector.ik, &vector.ck].concat();
                base64(&hmac_md5(&key, b"http-digest-akav2-password")).into_bytes()
            }
        }
    }
}

/// What a home network knows of one challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The random challenge.
    pub rand: [u8; 16],
    /// The proof that it comes from the home network.
    pub autn: [u8; 16],
    /// The expected answer of the card.
    pub res: Vec<u8>,
    /// The integrity key.
    pub ik: [u8; 16],
    /// The cipher key.
    pub ck: [u8; 16],
}

impl ImServer {
    /// Adds challenges for a user, behind those he has.
    pub fn add_vectors(&mut self, user: &str, vectors: &[Vector]) {
        self.vectors
            .entry(user.into())
            .or_default()
            .extend(vectors.iter().cloned());
    }

    /// What cards said about sequence numbers: user and AUTS (RFC 3310 §3.4).
    pub fn synchronisations(&self) -> &[(String, Vec<u8>)] {
        &self.synchronisations
    }

    /// Who sent a request on an IMS core, if it may go on; else it was answered.
    pub(super) fn ims_user(&mut self, now: Instant, incoming: &Incoming) -> Option<String> {
        if incoming.key.2 == "REGISTER" {
            return self.aka(now, incoming);
        }
        let id = incoming.association?;
        let known = self.associations.iter().find(|known| known.id == id)?;
        Some(known.user.clone())
    }

    fn aka(&mut self, now: Instant, incoming: &Incoming) -> Option<String> {
        let sip = &incoming.sip;
        let Some(params) = sip.header("Authorization").map(digest_params) else {
            self.violation("REGISTER without Authorization");
            self.answer(now, incoming, 403, "Forbidden", &[]);
            return None;
        };
        let get = |name: &str| params.get(name).map_or("", String::as_str);
        let Some(user) = self.user_with(get("username")) else {
            self.answer(now, incoming, 403, "Forbidden", &[]);
            return None;
        };
        // TS 24.229 §5.1.1.2.2: the realm is known before it was ever asked for.
        if get("realm") != self.config.domain || Some(get("uri")) != sip.uri() {
            self.violation("Authorization does not name the home network");
            self.answer(now, incoming, 400, "Bad Credentials", &[]);
            return None;
        }
        let secret = |password: &[u8]| Secret {
            username: get("username").into(),
            realm: get("realm").into(),
            password: password.into(),
        };
        let proof = |password: &[u8]| {
            secret(password).proof(Algorithm::Md5, &params, "REGISTER", &sip.body)
        };
        let by_id = |known: &&Association| Some(known.id) == incoming.association;
        let held = self.associations.iter().find(by_id).cloned();
        let waits = |known: &&Association| {
            known.user == user.name
                && known.stage == Stage::Temporary
                && known.nonce == get("nonce")
        };
        let pending = self.associations.iter().find(waits).cloned();

        if let Some(pending) = &pending
            && (params.contains_key("auts") || get("response").is_empty())
        {
            // The card refused the challenge.
            if held.as_ref().is_some_and(|held| held.id == pending.id) {
                self.violation("failure of the card told over the association it forbids");
            }
            self.check_renewed(sip, &pending.offer);
            self.check_order(sip, pending);
            match params.get("auts") {
                Some(auts) => {
                    let auts = unbase64(auts).unwrap_or_default();
                    if auts.len() != 14 {
                        self.violation("AUTS has not 14 octets");
                    }
                    // RFC 3310 §3.4: the password is empty.
                    if !get("response").is_empty() && get("response") != proof(b"") {
                        self.violation("response beside AUTS is not that of the empty password");
                    }
                    self.note(format!("{}: synchronisation failure", user.name));
                    self.synchronisations.push((user.name.clone(), auts));
                }
                None => self.note(format!("{}: the card refuses the network", user.name)),
            }
            self.aka_challenge(now, incoming, &user);
            return None;
        }
        match held {
            Some(held) if held.stage == Stage::Temporary => {
                self.check_order(sip, &held);
                let algorithm = self.ims_algorithm();
                if get("algorithm") != algorithm.as_str() {
                    self.violation("Authorization does not repeat the algorithm");
                }
                let password = algorithm.password(&held.vector);
                let right = get("nonce") == held.nonce && get("response") == proof(&password);
                if !right {
                    self.note(format!("{}: wrong response", user.name));
                    self.associations.retain(|known| known.id != held.id);
                    self.answer(now, incoming, 403, "Forbidden", &[]);
                    return None;
                }
                if self.wants_rspauth() {
                    // RFC 7616 §3.5: as the response, with an empty method.
                    let proof = secret(&password).proof(Algorithm::Md5, &params, "", &[]);
                    let info = match get("qop") {
                        "" => format!("rspauth=\"{proof}\""),
                        qop => format!(
                            "qop={qop}, rspauth=\"{proof}\", cnonce=\"{}\", nc={}",
                            get("cnonce"),
                            get("nc")
                        ),
                    };
                    if let Some(served) = self.served.get_mut(&incoming.key) {
                        served.info = Vec::from([("Authentication-Info".into(), info)]);
                    }
                }
                self.establish(now, held.id, get("response"));
                Some(user.name)
            }
            Some(held) => {
                // TS 24.229 §5.1.1.4.2: the last nonce, the last response, and an offer for new associations.
                let repeated =
                    get("nonce") == held.nonce && Some(get("response")) == held.proof.as_deref();
                if !repeated {
                    self.violation("REGISTER does not repeat the last nonce and response");
                }
                self.check_renewed(sip, &held.offer);
                let port_s = Offer::of(sip).map(|offer| offer.port_s);
                if port_s.is_some_and(|port| port != held.offer.port_s) {
                    self.violation("port-s changed with a refresh");
                }
                if repeated && self.trusts_refresh() {
                    return Some(user.name);
                }
                self.aka_challenge(now, incoming, &user);
                None
            }
            None => {
                if !get("nonce").is_empty() || !get("response").is_empty() {
                    self.violation("the first REGISTER has a nonce or a response");
                }
                self.aka_challenge(now, incoming, &user);
                None
            }
        }
    }

    /// A new challenge, whatever came with the request.
    pub(super) fn aka_again(&mut self, now: Instant, incoming: &Incoming) {
        let params = incoming.sip.header("Authorization").map(digest_params);
        let name = params.and_then(|params| params.get("username").cloned());
        match self.user_with(&name.unwrap_or_default()) {
            Some(user) => self.aka_challenge(now, incoming, &user),
            None => self.answer(now, incoming, 403, "Forbidden", &[]),
        }
    }

    fn aka_challenge(&mut self, now: Instant, incoming: &Incoming, user: &User) {
        let Some(ims) = self.config.ims.clone() else {
            return;
        };
        let n = self.next_association;
        let list = ims.list(n);
        let Some(offer) = Offer::of(&incoming.sip) else {
            let reason = "Security Agreement Required";
            return self.refuse_agreement(now, incoming, 494, reason, &list);
        };
        let Some(vector) = self.next_vector(&user.name) else {
            return self.answer(now, incoming, 500, "No Vectors", &[]);
        };
        let nonce = base64(&[&vector.rand[..], &vector.autn, &ims.server_data].concat());
        let qop = match ims.qop {
            Qop::Absent => "",
            Qop::Auth => ", qop=\"auth\"",
            Qop::AuthInt => ", qop=\"auth-int\"",
            Qop::Both => ", qop=\"auth,auth-int\"",
        };
        let mut response = Sip::response(&incoming.sip, 401, "Unauthorized", &self.rng.hex());
        response.push(
            "WWW-Authenticate",
            &format!(
                "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={}{qop}",
                self.config.domain,
                ims.algorithm.as_str()
            ),
        );
        if !list.is_empty() {
            response.push("Security-Server", &list.join(", "));
            self.next_association += 1;
            self.associations.retain(|known| {
                known.lives(now) && !(known.user == user.name && known.stage == Stage::Temporary)
            });
            self.associations.push(Association {
                user: user.name.clone(),
                stage: Stage::Temporary,
                until: now.after(ims.wait_ms),
                client: incoming.from.address.ip(),
                offer,
                port_c: ims.port_c + n,
                id: n,
                list,
                nonce,
                vector,
                proof: None,
                call_id: incoming.sip.header("Call-ID").unwrap_or_default().into(),
                cseq: incoming.sip.cseq().map_or(0, |(cseq, _)| cseq),
                confirmed: Feature::Off,
            });
        }
        self.respond(now, &incoming.key, response);
    }

    fn establish(&mut self, now: Instant, id: u16, proof: &str) {
        let Some(at) = self.associations.iter().position(|known| known.id == id) else {
            return;
        };
        let (user, client) = (
            self.associations[at].user.clone(),
            self.associations[at].client,
        );
        let other = self.associations.iter().any(|known| {
            known.user == user
                && known.client == client
                && known.stage == Stage::Established
                && known.lives(now)
        });
        let known = &mut self.associations[at];
        known.stage = Stage::Established;
        known.proof = Some(proof.into());
        known.confirmed = if other { Feature::Off } else { Feature::On };
        self.note(format!("{user}: protected path established"));
    }

    /// TS 24.229 §5.1.1.5.3, §5.1.1.4.2: spi-c, spi-s and port-c are new each time.
    fn check_renewed(&mut self, sip: &Sip, before: &Offer) {
        if !Offer::of(sip).is_some_and(|offer| offer.is_fresh_after(before)) {
            self.violation("Security-Client was not renewed");
        }
    }

    /// TS 24.229 §5.1.1.5.1: an answer to a challenge has its Call-ID, and the next CSeq.
    fn check_order(&mut self, sip: &Sip, challenged: &Association) {
        let cseq = sip.cseq().map_or(0, |(cseq, _)| cseq);
        if sip.header("Call-ID") != Some(&challenged.call_id) || cseq != challenged.cseq + 1 {
            self.violation("REGISTER has not the Call-ID and the CSeq that follow the challenge");
        }
    }

    fn next_vector(&mut self, user: &str) -> Option<Vector> {
        let vectors = self.vectors.get_mut(user)?;
        if vectors.len() > 1 {
            return Some(vectors.remove(0));
        }
        vectors.first().cloned()
    }

    fn user_with(&self, auth_name: &str) -> Option<User> {
        let known = |user: &&User| user.auth_name == auth_name;
        self.users.iter().find(known).cloned()
    }

    fn ims_algorithm(&self) -> AkaAlgorithm {
        let ims = self.config.ims.as_ref();
        ims.map_or(AkaAlgorithm::V1Md5, |ims| ims.algorithm)
    }

    fn wants_rspauth(&self) -> bool {
        let ims = self.config.ims.as_ref();
        ims.is_some_and(|ims| ims.rspauth == Feature::On)
    }

    fn trusts_refresh(&self) -> bool {
        let ims = self.config.ims.as_ref();
        ims.is_some_and(|ims| ims.refresh == Refresh::Trusted)
    }
}

/// RFC 2104, for keys of at most one block.
fn hmac_md5(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Md5::digest([&padded(0x36)[..], text].concat());
    Md5::digest([&padded(0x5C)[..], &inner[..]].concat()).to_vec()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for n in 0..4 {
            let index = (bits >> (18 - 6 * n)) as usize & 63;
            out.push(if n <= chunk.len() {
                char::from(BASE64[index])
            } else {
                '='
            });
        }
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let (mut out, mut bits, mut have) = (Vec::new(), 0u32, 0);
    for byte in text.bytes() {
        let value = BASE64.iter().position(|known| *known == byte)?;
        bits = (bits << 6) | value as u32;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}
