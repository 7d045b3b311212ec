//! The header fields that an IMS core wants beside those of everybody (RFC 3329 §2.3.1, §2.6; RFC 7315 §6.4; TS 24.229
//! §5.1.1.2.2, §5.1.2A.1.1).

use core::net::SocketAddr;

use super::{Saying, SecurityOffer, Which};
use crate::arena::{Block, Blocks};
use crate::client::account::{Account, Field};
use crate::client::engine::{Engine, Policy};
use crate::client::slots::{Request, RequestKind};
use crate::id::FlowId;
use crate::sip::draft::{self, Answers, Edge, Hop};
use crate::wire::digest::{
    Answer as DigestAnswer, Challenge, Cnonce, Response, Secret, write_credentials,
    write_empty_credentials,
};
use crate::wire::header::Ipsec3gpp;
use crate::wire::name::{Method, Name};
use crate::wire::sink::Sink;
use crate::wire::writer::Value;

/// What one request adds for an IMS core.
#[derive(Clone, Copy)]
pub(crate) struct ImsFields {
    register: Option<Register>,
    protected: Option<Protected>,
}

/// What only REGISTER has.
#[derive(Clone, Copy)]
struct Register {
    saying: Saying,
    proof: Option<Response>,
    cnonce: Cnonce,
    challenge: Option<Block>,
    offer: Option<SecurityOffer>,
}

/// What only a protected path has.
#[derive(Clone, Copy)]
struct Protected {
    list: Block,
    access: Option<Block>,
    port_s: u16,
    /// The P-CSCF's.
    edge_port: u16,
}

impl Engine<'_> {
    /// What an IMS core wants in a request on this flow; `None` on a plain core.
    pub(crate) fn ims_fields(&self, request: &Request, flow: FlowId) -> Option<ImsFields> {
        if !self.is_ims() {
            return None;
        }
        let ims = &self.core.ims;
        let set = self.set_of(flow).and_then(|which| ims.set(which));
        Some(ImsFields {
            register: (request.kind == RequestKind::Register).then_some(Register {
                saying: ims.saying,
                proof: ims.proof,
                cnonce: ims.cnonce,
                challenge: ims.challenge,
                offer: ims.offer,
            }),
            protected: set.map(|set| Protected {
                list: set.list,
                access: ims.access,
                port_s: set.ours.port_s,
                edge_port: set.theirs.port_s,
            }),
        })
    }

    /// The address that Via and Contact give out for a flow (TS 24.229 §5.1.1.2.2 b, c; §5.1.2A.1.1).
    pub(crate) fn given_out(&self, flow: FlowId, mut local: SocketAddr) -> SocketAddr {
        if let Some(set) = self.set_of(flow).and_then(|which| self.core.ims.set(which)) {
            local.set_port(set.ours.port_s);
        }
        local
    }

    /// P-Access-Network-Info for an answer on this flow: it names the cell, and so needs protection (RFC 7315 §6.4).
    pub(crate) fn access_info(&self, flow: FlowId) -> Option<Block> {
        let access = self.core.ims.access?;
        self.set_of(flow).map(|_: Which| access)
    }
}

impl ImsFields {
    /// Over a protected path answers come to port-s.
    pub(crate) fn answers(&self) -> Answers {
        match self.protected {
            Some(_) => Answers::AtVia,
            None => Answers::Back,
        }
    }

    /// The P-CSCF by its protected port: the first Route.
    pub(crate) fn edge<'a>(&self, host: &'a [u8]) -> Option<Edge<'a>> {
        self.protected.map(|protected| Edge {
            host,
            port: protected.edge_port,
        })
    }

    /// The address for the Via.
    pub(crate) fn sent_by(&self, mut local: SocketAddr) -> SocketAddr {
        if let Some(protected) = self.protected {
            local.set_port(protected.port_s);
        }
        local
    }

    /// Puts the header fields.
    pub(crate) fn write(
        &self,
        blocks: Blocks<'_>,
        account: &Account,
        policy: &Policy,
        hop: &Hop<'_>,
        kept: &[u8],
        sink: &mut Sink<'_>,
    ) {
        // RFC 3329 §2.3.1.
        if matches!(hop.method, Method::Ack | Method::Cancel | Method::Prack) {
            return;
        }
        if let Some(register) = &self.register {
            register.put(blocks, account, policy, draft::request_uri(kept), sink);
        }
        if let Some(protected) = &self.protected {
            put(sink, Name::SecurityVerify, blocks.get(protected.list));
        }
        if self.register.is_some() || self.protected.is_some() {
            put(sink, Name::Require, b"sec-agree");
            put(sink, Name::ProxyRequire, b"sec-agree");
        }
        if let Some(access) = self.protected.and_then(|protected| protected.access) {
            put(sink, Name::PAccessNetworkInfo, blocks.get(access));
        }
    }
}

impl Register {
    fn put(
        &self,
        blocks: Blocks<'_>,
        account: &Account,
        policy: &Policy,
        uri: &[u8],
        sink: &mut Sink<'_>,
    ) {
        let text = account
            .block()
            .map(|block| blocks.get(block))
            .unwrap_or_default();
        let username = account.slice(text, Field::User);
        let before = sink.len();
        sink.put(b"Authorization: ");
        let challenge = self.challenge.map(|block| blocks.get(block));
        let challenge = challenge.and_then(|kept| Challenge::parse(kept).ok());
        let secret = match self.saying {
            Saying::First => None,
            Saying::Proof => self.proof.map(Secret::Computed),
            Saying::SyncFailure(auts) => Some(Secret::SyncFailure(auts)),
            Saying::MacFailure => Some(Secret::MacFailure),
        };
        let written = match challenge.zip(secret) {
            Some((challenge, secret)) => {
                let answer = DigestAnswer {
                    username,
                    secret,
                    method: b"REGISTER",
                    uri,
                    body: &[],
                    cnonce: self.cnonce,
                    nc: 1,
                };
                write_credentials(sink, &challenge, &answer)
            }
            // TS 24.229 §5.1.1.2.2 a: the realm is the home domain, unless another one is configured.
            None => {
                let configured = account.slice(text, Field::Realm);
                let registrar = account.slice(text, Field::Registrar);
                let home = registrar.strip_prefix(b"sip:").unwrap_or(registrar);
                let realm = if configured.is_empty() {
                    home
                } else {
                    configured
                };
                write_empty_credentials(sink, username, realm, uri)
            }
        };
        if written.is_ok() {
            sink.put(b"\r\n");
        } else {
            sink.truncate(before);
        }
        if let (Some(offer), Some(ims)) = (self.offer, &policy.ims) {
            sink.put(b"Security-Client: ");
            for (i, suite) in ims.suites().enumerate() {
                if i > 0 {
                    sink.put(b", ");
                }
                let element = Ipsec3gpp {
                    suite,
                    spi_c: offer.spi_c,
                    spi_s: offer.spi_s,
                    port_c: offer.port_c,
                    port_s: offer.port_s,
                };
                element.write(sink);
            }
            sink.put(b"\r\n");
        }
    }
}

fn put(sink: &mut Sink<'_>, name: Name, value: &[u8]) {
    sink.put(name.as_str().as_bytes());
    sink.put(b": ");
    sink.put(value);
    sink.put(b"\r\n");
}
