//! The edge of an IMS core (P-CSCF): security agreement and protected paths (RFC 3329; TS 24.229 as it is quoted).
//!
//! With [`super::Config::ims`] the server has two ports more. An unprotected REGISTER has to offer `ipsec-3gpp` and is
//! answered 401 with a challenge of AKA and the server's list (see `aka.rs`); that makes a temporary [`Association`], which
//! the right answer turns into an established one. A protected request arrives at port-s, from the port-c of an association;
//! it repeats the list and requires `sec-agree`. What comes otherwise is refused or, as IPsec would do it, not heard at all, and
//! stands in [`ImServer::violations`].
//!
//! There is no IPsec here: ports stand for security associations. Over UDP a path is two one-way flows: from the client's port-c to
//! the server's port-s, and from the server's port-c to the client's port-s, for requests and answers alike. Over a
//! connection, which the client opens from its port-c, everything goes both ways.

use std::format;
use std::net::{IpAddr, SocketAddr};
use std::prelude::rust_2024::*;
use std::vec;

use super::aka::{AkaAlgorithm, Vector};
use super::hop::{sent_by_port, sip_uri};
use super::{Feature, ImServer, Incoming, Qop, Remote, TIMER_J_MS};
use crate::testkit::sip::{self, Sip};
use crate::time::Instant;

/// What is done about the REGISTER that refreshes or ends a registration on an established association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It is believed if it repeats nonce and response of the last challenge.
    Trusted,
    /// It is challenged again, and a new association follows.
    Challenged,
}

/// An IMS core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ims {
    /// Where protected requests and answers arrive.
    pub port_s: u16,
    /// Where the server's datagrams come from, on the first association; each one more takes the next port.
    pub port_c: u16,
    /// The list of Security-Server. Parameters of the association are added behind each `ipsec-3gpp`. An empty list is not
    /// sent, and no association is made.
    pub mechanisms: Vec<String>,
    /// Of the challenge.
    pub algorithm: AkaAlgorithm,
    /// Of the challenge.
    pub qop: Qop,
    /// Whether the 200 proves that the server knows RES (RFC 3310 §3.5).
    pub rspauth: Feature,
    /// What stands behind RAND and AUTN in the nonce.
    pub server_data: Vec<u8>,
    /// What becomes of a refresh.
    pub refresh: Refresh,
    /// Path in the 200 to REGISTER, topmost first (RFC 3327).
    pub path: Vec<String>,
    /// How long a challenge waits for its answer (TS 24.229 §7.8: reg-await-auth).
    pub wait_ms: u64,
}

impl Ims {
    /// Ports 7531 and up from 8642, one mechanism, AKAv1-MD5 without qop, refreshes trusted, four minutes for an answer.
    pub fn new() -> Self {
        Self {
            port_s: 7_531,
            port_c: 8_642,
            mechanisms: vec!["ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;ealg=aes-cbc".into()],
            algorithm: AkaAlgorithm::V1Md5,
            qop: Qop::Absent,
            rspauth: Feature::Off,
            server_data: Vec::new(),
            refresh: Refresh::Trusted,
            path: Vec::new(),
            wait_ms: 240_000,
        }
    }

    /// The elements of Security-Server on the n-th association.
    pub(super) fn list(&self, n: u16) -> Vec<String> {
        let spi = 87_654_321 + 2 * u32::from(n);
        let own = format!(
            ";spi-c={spi};spi-s={};port-c={};port-s={}",
            spi + 1,
            self.port_c + n,
            self.port_s
        );
        let element = |mechanism: &String| match mechanism.split(';').next() {
            Some("ipsec-3gpp") => format!("{mechanism}{own}"),
            _ => mechanism.clone(),
        };
        self.mechanisms.iter().map(element).collect()
    }
}

impl Default for Ims {
    fn default() -> Self {
        Self::new()
    }
}

/// How far an association is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For the REGISTER that answers the challenge.
    Temporary,
    /// For everything.
    Established,
}

/// The security associations that one challenge made.
#[derive(Clone, Debug)]
pub struct Association {
    /// Whose.
    pub user: String,
    /// How far it is.
    pub stage: Stage,
    /// When it ends.
    pub until: Instant,
    /// The address of the client.
    pub client: IpAddr,
    /// What the client offered.
    pub offer: Offer,
    /// Where the server's datagrams come from.
    pub port_c: u16,
    pub(super) id: u16,
    /// The elements of Security-Server.
    pub(super) list: Vec<String>,
    pub(super) nonce: String,
    pub(super) vector: Vector,
    /// The response that established it.
    pub(super) proof: Option<String>,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    /// Whether the server may send on it: once the client has, or if there was none before.
    pub(super) confirmed: Feature,
}

impl Association {
    pub(super) fn lives(&self, now: Instant) -> bool {
        self.until > now
    }
}

/// The `ipsec-3gpp` element of Security-Client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Parameter of the element.
    pub spi_c: String,
    /// Parameter of the element.
    pub spi_s: String,
    /// Where the client's datagrams come from.
    pub port_c: u16,
    /// Where the client is reached.
    pub port_s: u16,
    /// The whole header field as it came.
    pub text: String,
}

impl Offer {
    pub(super) fn of(sip: &Sip) -> Option<Self> {
        let elements = sip.all("Security-Client");
        let element = elements
            .iter()
            .find(|element| element.split(';').next() == Some("ipsec-3gpp"))?;
        let get = |name| sip::param(element, name);
        Some(Self {
            spi_c: get("spi-c")?,
            spi_s: get("spi-s")?,
            port_c: get("port-c")?.parse().ok()?,
            port_s: get("port-s")?.parse().ok()?,
            text: elements.join(", "),
        })
    }

    /// Whether nothing of this is taken from the other, but for port-s.
    pub(super) fn is_fresh_after(&self, other: &Offer) -> bool {
        self.spi_c != other.spi_c && self.spi_s != other.spi_s && self.port_c != other.port_c
    }
}

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// It was answered, or not heard.
    Shut,
}

/// RFC 3329 §2.6: no field of it belongs into these.
const BARE: [&str; 3] = ["ACK", "CANCEL", "PRACK"];

impl ImServer {
    /// The associations of a user that live, the newest last.
    pub fn associations(&self, now: Instant, user: &str) -> Vec<&Association> {
        self.associations
            .iter()
            .filter(|known| known.user == user && known.lives(now))
            .collect()
    }

    /// Forgets all associations, as after a restart of the edge: protected requests are not heard any more.
    pub fn forget_associations(&mut self) {
        self.associations.clear();
    }

    /// Looks at the path by which a request came, and takes off what belongs to it.
    pub(super) fn gate(&mut self, now: Instant, incoming: &mut Incoming) -> Gate {
        let Some(port_s) = self.config.ims.as_ref().map(|ims| ims.port_s) else {
            return Gate::Open;
        };
        let gate = match incoming.from.local_port {
            None => self.unprotected(now, incoming),
            Some(port) if port == port_s => self.protected(now, incoming),
            Some(_) => {
                let method = &incoming.key.2;
                self.violation(format!("{method} to the client port of the server"));
                Gate::Shut
            }
        };
        if gate == Gate::Open {
            strip(&mut incoming.sip);
        }
        gate
    }

    /// Looks at the path by which an answer came.
    pub(super) fn answer_gate(&mut self, now: Instant, from: &Remote, sip: &Sip) -> Gate {
        let Some(ims) = &self.config.ims else {
            return Gate::Open;
        };
        let protected = from.local_port == Some(ims.port_s);
        if !protected || self.association_from(now, from).is_none() {
            self.violation(format!(
                "answer outside of a security association: {}",
                sip.start
            ));
            return Gate::Shut;
        }
        // RFC 7315 §6.4: in responses, but for 100 and those to CANCEL.
        let cancel = sip.cseq().is_some_and(|(_, method)| method == "CANCEL");
        if (sip.status() == Some(100) || cancel) && sip.header(ACCESS).is_some() {
            self.violation(format!("{ACCESS} in {}", sip.start));
        }
        Gate::Open
    }

    /// An ACK has nothing but to be without the fields of a protected path.
    pub(super) fn check_bare(&mut self, method: &str, sip: &Sip) {
        if self.config.ims.is_none() {
            return;
        }
        for name in ["Security-Verify", "Security-Client"] {
            if sip.header(name).is_some() {
                self.violation(format!("{name} in {method}"));
            }
        }
        // TS 24.229 §5.1.2A.1.1: PRACK has it.
        if method != "PRACK" && sip.header(ACCESS).is_some() {
            self.violation(format!("{ACCESS} in {method}"));
        }
    }

    fn unprotected(&mut self, now: Instant, incoming: &Incoming) -> Gate {
        let (sip, method) = (&incoming.sip, &incoming.key.2);
        if method != "REGISTER" {
            self.violation(format!("{method} outside of a security association"));
            self.answer(now, incoming, 403, "Forbidden", &[]);
            return Gate::Shut;
        }
        // RFC 7315 §6.4: it names the cell, and anybody can read it here.
        for name in [ACCESS, "Security-Verify"] {
            if sip.header(name).is_some() {
                self.violation(format!("{name} in an unprotected REGISTER"));
            }
        }
        let tagged = |name| sip.lists(name, "sec-agree");
        if tagged("Require") && tagged("Proxy-Require") && Offer::of(sip).is_some() {
            return Gate::Open;
        }
        self.violation("unprotected REGISTER without a security agreement");
        // RFC 3329 §2.3.2.
        let known = tagged("Require") || tagged("Proxy-Require") || tagged("Supported");
        let (status, reason) = if known {
            (494, "Security Agreement Required")
        } else {
            (421, "Extension Required")
        };
        let list = self.next_list();
        self.refuse_agreement(now, incoming, status, reason, &list);
        Gate::Shut
    }

    fn protected(&mut self, now: Instant, incoming: &mut Incoming) -> Gate {
        let method = incoming.key.2.clone();
        let Some(at) = self.association_from(now, &incoming.from) else {
            let from = incoming.from.address;
            self.violation(format!(
                "{method} from {from} without a security association"
            ));
            return Gate::Shut;
        };
        self.confirm(now, at);
        let known = self.associations[at].clone();
        incoming.association = Some(known.id);
        self.check_ports(incoming, &known);
        let sip = &incoming.sip;
        if BARE.contains(&method.as_str()) {
            self.check_bare(&method, sip);
            return Gate::Open;
        }
        if known.stage == Stage::Temporary && method != "REGISTER" {
            self.violation(format!("{method} over a temporary security association"));
            self.answer(now, incoming, 403, "Forbidden", &[]);
            return Gate::Shut;
        }
        for name in ["Require", "Proxy-Require"] {
            if !sip.lists(name, "sec-agree") {
                self.violation(format!("{name} of a protected {method} lacks sec-agree"));
            }
        }
        // RFC 3329 §2.3.1: what was said in the clear is repeated where nobody can change it.
        if sip.all("Security-Verify") != known.list {
            self.violation(format!(
                "Security-Verify of {method} is not the server's list"
            ));
            let reason = "Security Agreement Required";
            self.refuse_agreement(now, incoming, 494, reason, &known.list);
            return Gate::Shut;
        }
        if method == "REGISTER" {
            let offer = sip.all("Security-Client").join(", ");
            if known.stage == Stage::Temporary && offer != known.offer.text {
                self.violation("Security-Client differs from the challenged one");
            }
            return Gate::Open;
        }
        if sip.header("Security-Client").is_some() {
            self.violation(format!("Security-Client in {method}"));
        }
        self.check_identities(incoming, &known.user);
        self.check_route(incoming);
        Gate::Open
    }

    /// TS 24.229 §5.1.1.2.2, §5.1.2A.1.1: Via and Contact name the client's port-s.
    fn check_ports(&mut self, incoming: &Incoming, known: &Association) {
        let (sip, method) = (&incoming.sip, &incoming.key.2);
        let port_s = known.offer.port_s;
        let via = sip.all("Via").into_iter().next().unwrap_or_default();
        // On a connection REGISTER may name another one.
        let matters = incoming.from.conn.is_none() || method != "REGISTER";
        if matters && sent_by_port(&via) != port_s {
            self.violation(format!("Via of a protected {method} does not name port-s"));
        }
        for contact in sip.all("Contact") {
            let Some(uri) = sip_uri(sip::uri_of(&contact)) else {
                continue;
            };
            let names = uri.address().is_some_and(|at| at.port() == port_s);
            if !names && !uri.has_param("gr") {
                self.violation(format!(
                    "Contact of a protected {method} does not name port-s"
                ));
            }
        }
    }

    /// TS 24.229 §5.1.1.1A: a barred identity is shown to nobody.
    fn check_identities(&mut self, incoming: &Incoming, user: &str) {
        let Some(account) = self.users.iter().find(|account| account.name == user) else {
            return;
        };
        let (barred, sip) = (account.barred.clone(), &incoming.sip);
        let mut named = sip.all("P-Preferred-Identity");
        named.extend(sip.header("From").map(Into::into));
        named.extend(sip.uri().map(Into::into));
        for value in named {
            if barred.iter().any(|barred| *barred == sip::uri_of(&value)) {
                self.violation(format!("{} names a barred identity", incoming.key.2));
            }
        }
    }

    /// TS 24.229 §5.1.2A.1.1: outside of dialogs by the server's port-s, then by Service-Route.
    fn check_route(&mut self, incoming: &mut Incoming) {
        let in_dialog = |to: &str| sip::param(to, "tag").is_some();
        if incoming.sip.header("To").is_some_and(in_dialog) {
            return;
        }
        let routes = incoming.sip.all("Route");
        let ours = routes.first().is_some_and(|first| self.is_port_s(first));
        let service: Vec<&str> = self
            .config
            .service_route
            .iter()
            .map(|route| sip::uri_of(route))
            .collect();
        let behind = routes.iter().skip(1).map(|route| sip::uri_of(route));
        if !ours || !behind.eq(service) {
            self.violation(format!(
                "Route of {} is not port-s and Service-Route",
                incoming.key.2
            ));
        }
        // All of it is inside of this server.
        incoming.sip.remove("Route");
    }

    /// Whether a Route names the protected port of this server, by whatever host name the client knows it.
    pub(super) fn is_port_s(&self, route: &str) -> bool {
        let port_s = self.config.ims.as_ref().map(|ims| ims.port_s);
        sip_uri(sip::uri_of(route)).is_some_and(|uri| {
            let port = uri
                .host
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok());
            port_s.is_some() && port == port_s && uri.has_param("lr")
        })
    }

    /// The first message on a new association ends the one before, once its transactions have ended.
    fn confirm(&mut self, now: Instant, at: usize) {
        let known = &mut self.associations[at];
        if known.stage == Stage::Temporary || known.confirmed == Feature::On {
            return;
        }
        known.confirmed = Feature::On;
        let (user, client) = (known.user.clone(), known.client);
        for older in &mut self.associations[..at] {
            if older.user == user && older.client == client {
                older.until = older.until.min(now.after(TIMER_J_MS));
            }
        }
    }

    /// The newest association that somebody sends on.
    fn association_from(&self, now: Instant, from: &Remote) -> Option<usize> {
        self.associations.iter().rposition(|known| {
            known.client == from.address.ip()
                && known.offer.port_c == from.address.port()
                && known.lives(now)
        })
    }

    /// Where the answer to a datagram goes that came over a protected path.
    pub(super) fn protected_way_back(&self, from: &Remote) -> Option<Remote> {
        from.local_port?;
        let known = self.associations.iter().rfind(|known| {
            known.client == from.address.ip() && known.offer.port_c == from.address.port()
        })?;
        Some(known.way_in())
    }

    /// Where a request of ours goes that is meant for this place: over the newest association that the client has used.
    pub(super) fn protected_way_in(&self, now: Instant, to: Remote) -> Remote {
        if to.conn.is_some() || self.config.ims.is_none() {
            return to;
        }
        let port = to.address.port();
        let is_of = |known: &&Association| {
            let named = match to.local_port {
                Some(_) => known.offer.port_c,
                None => known.offer.port_s,
            };
            known.client == to.address.ip() && named == port
        };
        let Some(port_s) = self
            .associations
            .iter()
            .rfind(is_of)
            .map(|known| known.offer.port_s)
        else {
            return to;
        };
        let usable = |known: &&Association| {
            known.client == to.address.ip()
                && known.offer.port_s == port_s
                && known.stage == Stage::Established
                && known.confirmed == Feature::On
                && known.lives(now)
        };
        let known = self.associations.iter().rfind(usable);
        known.map_or(to, Association::way_in)
    }

    /// What follows from a 200 to REGISTER.
    pub(super) fn ims_registered(&mut self, now: Instant, incoming: &Incoming, user: &str) {
        let ends = self
            .bindings(now, user)
            .into_iter()
            .filter(|binding| binding.flow.address.ip() == incoming.from.address.ip())
            .map(|binding| binding.until)
            .max();
        let id = incoming.association;
        let Some(known) = self
            .associations
            .iter_mut()
            .find(|known| Some(known.id) == id)
        else {
            return;
        };
        known.until = match ends {
            // TS 24.229 §5.1.1.2.2: 30 s more than the registration.
            Some(until) => until.after(30_000),
            None => now.after(TIMER_J_MS),
        };
    }

    fn next_list(&self) -> Vec<String> {
        let ims = self.config.ims.clone().unwrap_or_default();
        ims.list(self.next_association)
    }

    /// RFC 3329 §2.3.1 and §2.3.2: with the list, so that the client can start again.
    pub(super) fn refuse_agreement(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        status: u16,
        reason: &str,
        list: &[String],
    ) {
        let list = list.join(", ");
        let mut headers = vec![("Require", "sec-agree")];
        if !list.is_empty() {
            headers.push(("Security-Server", &list));
        }
        self.answer(now, incoming, status, reason, &headers);
    }
}

impl Association {
    fn way_in(&self) -> Remote {
        Remote {
            local_port: Some(self.port_c),
            ..Remote::udp(SocketAddr::new(self.client, self.offer.port_s))
        }
    }
}

const ACCESS: &str = "P-Access-Network-Info";

/// RFC 3329 §2.3.1: the option tag goes no further; RFC 7315 §6.4: nor does what only the core may know.
fn strip(sip: &mut Sip) {
    for name in ["Require", "Proxy-Require"] {
        let mut tags = sip.all(name);
        let before = tags.len();
        tags.retain(|tag| !tag.eq_ignore_ascii_case("sec-agree"));
        if tags.is_empty() {
            sip.remove(name);
        } else if tags.len() < before {
            sip.set(name, &tags.join(", "));
        }
    }
    sip.remove("Security-Verify");
    sip.remove(ACCESS);
}
