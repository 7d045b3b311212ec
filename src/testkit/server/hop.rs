//! What concerns one hop: the topmost Via, STUN, and taking a SIP URI apart.

use std::format;
use std::net::{IpAddr, SocketAddr};
use std::prelude::rust_2024::*;
use std::vec;

use super::{Feature, ImServer, Remote};
use crate::testkit::sip::{self, Sip};

/// The parts of a `sip:` or `sips:` URI that the server looks at.
pub(super) struct SipUri {
    pub(super) user: String,
    /// Host and port as they stand there, in lower case.
    pub(super) host: String,
    params: Vec<(String, Option<String>)>,
}

impl SipUri {
    /// The host without the port.
    pub(super) fn host_name(&self) -> &str {
        self.host.split(':').next().unwrap_or_default()
    }

    /// The value of a URI parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known == name)?;
        found.1.as_deref()
    }

    pub(super) fn has_param(&self, name: &str) -> bool {
        self.params.iter().any(|(known, _)| known == name)
    }

    /// Host and port, if the host is an address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let address = self.host.parse();
        address
            .or_else(|_| format!("{}:5060", self.host).parse())
            .ok()
    }
}

impl ImServer {
    /// Completes the topmost Via and gives it.
    pub(super) fn fill_via(&self, from: &Remote, sip: &mut Sip) -> Option<String> {
        let via = sip.pop("Via")?;
        let mut pieces = via.split(';').map(|piece| piece.trim().to_string());
        let mut filled = pieces.next()?;
        let sent_by = filled
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_string();
        let mut rport = false;
        for piece in pieces {
            match (piece.to_lowercase().as_str(), self.config.keep) {
                ("rport", _) => {
                    rport = true;
                    filled += &format!(";rport={}", from.address.port());
                }
                ("keep", Some(seconds)) => filled += &format!(";keep={seconds}"),
                _ => filled += &format!(";{piece}"),
            }
        }
        // RFC 3261 §18.2.1, RFC 3581 §4: `received` if sent-by is another host, and always beside `rport`.
        let host = sent_by.strip_prefix('[').map_or_else(
            || sent_by.split(':').next().unwrap_or_default().to_string(),
            |rest| rest.split(']').next().unwrap_or_default().to_string(),
        );
        if rport || host != format!("{}", from.address.ip()) {
            filled += &format!(";received={}", from.address.ip());
        }
        sip.push_front("Via", &filled);
        Some(filled)
    }

    /// Where the server is reached from the other end of a flow: at port-s if it is protected.
    pub(super) fn address_for(&self, flow: &Remote) -> SocketAddr {
        let mut address = self.config.address;
        if let (Some(ims), Some(_)) = (&self.config.ims, flow.local_port) {
            address.set_port(ims.port_s);
        }
        address
    }

    /// RFC 5389: a Binding request gets its XOR-MAPPED-ADDRESS.
    pub(super) fn stun_answer(&self, from: Remote, bytes: &[u8]) -> Option<Vec<u8>> {
        let [0, 1, _, _, 0x21, 0x12, 0xA4, 0x42, id @ ..] = bytes else {
            return None;
        };
        let id = id.get(..12)?;
        let mut mask = vec![0x21, 0x12, 0xA4, 0x42];
        mask.extend_from_slice(id);
        let (family, octets) = match from.address.ip() {
            IpAddr::V4(address) => (1u8, address.octets().to_vec()),
            IpAddr::V6(address) => (2u8, address.octets().to_vec()),
        };
        let port = from.address.port() ^ 0x2112;
        let mut attribute = vec![0, family];
        attribute.extend_from_slice(&port.to_be_bytes());
        attribute.extend(octets.iter().zip(&mask).map(|(octet, mask)| octet ^ mask));
        let mut answer = vec![1, 1];
        answer.extend_from_slice(&(attribute.len() as u16 + 4).to_be_bytes());
        answer.extend_from_slice(&mask);
        answer.extend_from_slice(&[0, 0x20]);
        answer.extend_from_slice(&(attribute.len() as u16).to_be_bytes());
        answer.extend_from_slice(&attribute);
        (self.config.stun == Feature::On).then_some(answer)
    }
}

/// The port of a Via sent-by; 5060 if it has none.
pub(super) fn sent_by_port(via: &str) -> u16 {
    let sent_by = via
        .split(';')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .last()
        .unwrap_or_default();
    let behind_host = sent_by.rsplit_once(']').map_or(sent_by, |(_, rest)| rest);
    behind_host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(5060)
}

/// Takes a `sip:` or `sips:` URI apart.
pub(super) fn sip_uri(uri: &str) -> Option<SipUri> {
    let rest = uri
        .strip_prefix("sip:")
        .or_else(|| uri.strip_prefix("sips:"))?;
    let rest = rest.split('?').next().unwrap_or(rest);
    let (user, behind) = rest.rsplit_once('@').unwrap_or(("", rest));
    let host = behind.split(';').next().unwrap_or(behind).to_lowercase();
    let user = user.split([';', ':']).next().unwrap_or(user);
    Some(SipUri {
        user: user.into(),
        host,
        params: sip::params(behind),
    })
}
