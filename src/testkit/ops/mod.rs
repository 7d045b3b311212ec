//! Sequences of operations on one client, drawn by chance (feature `arbitrary`).
//!
//! An [`Op`] is one thing that an application, a network, a server, a peer or the clock does. A [`Setup`] is a
//! configuration. Both come out of a fuzzer's bytes or of a seeded generator; [`Run`] does them one after the
//! other and checks after each what has to hold whatever happens. Servers and peers speak SIP of a small grammar
//! (`text`) which is mostly right, so that sequences get somewhere: a machine that only sees noise is never tried.

mod run;
mod text;

pub use run::Run;

use arbitrary::{Arbitrary, Unstructured};
use std::vec::Vec;

use crate::client::{OpenFailure, Refusal};
use crate::config::{
    Assertion, Config, Credentials, DeliveryReports, DigestFloor, DisplayReports, EndToEnd,
    KeepAlive, Nat, NextHop, Release, Strangers, TelTargets, Transport,
};
use crate::im::pager::{Anonymity, Wrap};
use crate::sip::publication::RefreshForm;
use crate::sip::transaction::Timers;
use crate::wire::cpim::Notifications;
use crate::wire::settings::Settings;

/// One thing that happens to a client. Numbers pick from what there is, modulo its count.
///
/// What ends everything is drawn less often than what goes on.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Named as the methods of `Client`.
pub enum Op {
    Register,
    Deregister,
    Adopt(Adopt),
    RegistrationChanged(Adopt),
    RegistrationLost,
    Send(Send),
    Withdraw(u8),
    Delivered(u8),
    Displayed(u8),
    /// A refusal after the drain: too late, as the client must notice.
    Refuse(u8, Refusal),
    PublishSettings(Settings),
    RemoveSettings,
    Answer(u8, Secret),
    NetworkChanged,
    WallClock(u32),
    Opened(u8),
    OpenFailed(u8, OpenFailure),
    Given(Transport),
    Accepted(Transport),
    Closed(u8),
    /// What is asked for is opened, and the server answers every request with success.
    Serve(Vec<Extra>),
    /// As `Serve`, but each request without credentials is challenged.
    Guard(Challenge),
    Respond(u8, Response),
    Request(u8, Request),
    /// The last bytes that came in, once more.
    Again,
    /// Keep-alives of the peer.
    Pings(u8, u8),
    Bytes(u8, Vec<u8>),
    Wait(Wait),
    /// The output is not drained after the next operations.
    Hold(u8),
    /// The next drain starts with a slice of this size.
    Short(u8),
}

impl<'a> Arbitrary<'a> for Op {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            0..40 => Self::Serve(u.arbitrary()?),
            40..48 => Self::Guard(u.arbitrary()?),
            48..60 => Self::PublishSettings(u.arbitrary()?),
            60..62 => Self::RemoveSettings,
            62..88 => Self::Send(u.arbitrary()?),
            88..110 => Self::Respond(u.arbitrary()?, u.arbitrary()?),
            110..156 => Self::Request(u.arbitrary()?, u.arbitrary()?),
            156..172 => Self::Delivered(u.arbitrary()?),
            172..182 => Self::Displayed(u.arbitrary()?),
            182..208 => Self::Wait(u.arbitrary()?),
            208..214 => Self::Opened(u.arbitrary()?),
            214..220 => Self::Again,
            220..223 => Self::Pings(u.arbitrary()?, u.arbitrary()?),
            223..226 => Self::Bytes(u.arbitrary()?, u.arbitrary()?),
            226..229 => Self::Withdraw(u.arbitrary()?),
            229..233 => Self::Answer(u.arbitrary()?, u.arbitrary()?),
            233..237 => Self::Register,
            237..239 => Self::WallClock(u.arbitrary()?),
            239..241 => Self::OpenFailed(u.arbitrary()?, u.arbitrary()?),
            241..243 => Self::Closed(u.arbitrary()?),
            243..245 => Self::Hold(u.arbitrary()?),
            245..247 => Self::Short(u.arbitrary()?),
            247 => Self::Refuse(u.arbitrary()?, u.arbitrary()?),
            248 => Self::Deregister,
            249 => Self::NetworkChanged,
            250 => Self::Given(u.arbitrary()?),
            251 => Self::Accepted(u.arbitrary()?),
            252..254 => Self::Adopt(u.arbitrary()?),
            254 => Self::RegistrationChanged(u.arbitrary()?),
            255 => Self::RegistrationLost,
        })
    }
}

/// Texts of an adopted registration.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Adopt {
    Nothing,
    Routes,
    Identities,
    Both,
    ControlCharacter,
}

/// A message to be sent.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Send {
    pub to: u8,
    pub body: u16,
    pub identity: u8,
    pub display_name: u8,
    pub anonymity: Anonymity,
    pub reports: Option<Notifications>,
    pub wrap: Wrap,
    pub subject: u8,
    pub expires: Option<u16>,
}

/// A secret for a challenge.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Secret {
    Password,
    Ha1,
    Long,
    Abandon,
}

/// How long nothing happens.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Wait {
    Deadline,
    Millis(u8),
    Quarters(u8),
    Minutes(u8),
    /// The clock steps back.
    Back(u8),
    /// A call without need.
    Not,
}

/// A response to one of the last requests.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Response {
    pub status: Code,
    pub contact: Contact,
    pub extras: Vec<Extra>,
    #[arbitrary(with = faults)]
    pub mangle: Vec<Mangle>,
}

/// A status code.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Code {
    Ok,
    Usual(u8),
    Any(u16),
}

/// The Contact of a 200.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Contact {
    Ours(u16),
    OursForLong,
    None,
    Other,
    Broken,
}

/// A further header of a response.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Extra {
    Challenge(Challenge),
    NextNonce(u8),
    ServiceRoute,
    Associated,
    MinExpires(u32),
    RetryAfter(u16),
    Anonymity,
    FlowTimer(u16),
    Outbound,
    Expires(u16),
    Keep(u8),
    Mapped(u8),
    SecondVia,
    EntityTag(u8),
}

/// A digest challenge.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Challenge {
    pub by: By,
    pub realm: u8,
    pub nonce: u8,
    pub algorithm: u8,
    pub qop: u8,
    pub stale: u8,
}

/// Who challenges.
#[derive(Clone, Copy, Debug, Arbitrary, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum By {
    Server,
    Proxy,
}

/// A request that comes in.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Request {
    pub method: u8,
    pub branch: u8,
    pub call: u8,
    pub from: u8,
    pub cseq: u8,
    pub headers: Vec<InHeader>,
    pub body: Body,
    #[arbitrary(with = faults)]
    pub mangle: Vec<Mangle>,
    pub then: Then,
}

/// What the application does with a message before the 200 goes out.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Then {
    Nothing,
    Delivered,
    Refuse(Refusal),
}

/// A further header of a request.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum InHeader {
    Asserted(u8),
    ToTag,
    Require,
    Expires(u16),
    Date,
    ContentEncoding(u8),
    SecondVia,
    Server,
    Called,
    Subject,
    NoFrom,
    NoContentLength,
    Twice,
}

/// The body of a request.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Body {
    None,
    Text(u8),
    Cpim {
        id: u8,
        from: u8,
        wants: Notifications,
        date: u8,
        route: u8,
    },
    Report {
        id: u8,
        kind: u8,
    },
    Reports(u8),
    Other(u8, Vec<u8>),
}

/// A fault put into bytes.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Mangle {
    Set(u16, u8),
    Insert(u16, u8),
    Remove(u16, u8),
    Cut(u16),
    Double(u16, u8),
}

/// Most messages have no fault.
fn faults(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Mangle>> {
    match u.arbitrary::<u8>()? {
        0..32 => u.arbitrary(),
        _ => Ok(Vec::new()),
    }
}

/// A configuration.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Setup {
    pub transport: Transport,
    pub second: Option<Transport>,
    pub credentials: u8,
    pub instance: u8,
    pub texts: u8,
    pub nat: Nat,
    pub keep_alive: KeepAlive,
    pub assertion: Assertion,
    pub strangers: Strangers,
    pub tel_targets: TelTargets,
    pub end_to_end: EndToEnd,
    pub delivery_reports: DeliveryReports,
    pub display_reports: DisplayReports,
    pub release: Release,
    pub floor: DigestFloor,
    pub mtu: Option<u16>,
    pub reports_per_minute: u8,
    pub ims: u8,
    pub seed: u8,
}

impl Setup {
    /// Makes something with the configuration, whose texts live for the call.
    pub fn with<T>(&self, make: impl FnOnce(&Config<'_>, [u8; 32]) -> T) -> T {
        let hop = |transport| NextHop::new("proxy.example.com", transport);
        let hops = [
            hop(self.transport),
            hop(self.second.unwrap_or(Transport::Tcp)),
        ];
        let user = "alice@example.com";
        let config = Config {
            credentials: match self.credentials % 5 {
                0 | 1 => Credentials::Password {
                    user,
                    password: "secret",
                },
                2 => Credentials::Ha1 {
                    user,
                    realm: "example.com",
                    ha1: [7; 16],
                },
                3 => Credentials::Ask { user },
                _ => Credentials::None,
            },
            realm: (self.credentials > 200).then_some("example.com"),
            instance: (self.instance % 2 == 1)
                .then_some("urn:uuid:00000000-0000-1000-8000-aabbccddeeff"),
            display_name: (self.texts % 2 == 1).then_some("Alice \"A\" Smith"),
            product: if self.texts % 4 > 1 {
                "Vendor/Model-1.0"
            } else {
                ""
            },
            nat: self.nat,
            keep_alive: self.keep_alive,
            assertion: self.assertion,
            strangers: self.strangers,
            tel_targets: self.tel_targets,
            end_to_end: self.end_to_end,
            delivery_reports: self.delivery_reports,
            display_reports: self.display_reports,
            release: self.release,
            digest_floor: self.floor,
            path_mtu: self.mtu,
            reports_per_minute: u16::from(self.reports_per_minute),
            timers: if self.ims % 2 == 1 {
                Timers::IMS
            } else {
                Timers::RFC3261
            },
            settings_refresh: if self.texts % 16 > 11 {
                RefreshForm::Document
            } else {
                RefreshForm::Empty
            },
            key: 42,
            ..Config::new(
                "sip:alice@example.com",
                &hops[..if self.second.is_some() { 2 } else { 1 }],
            )
        };
        make(&config, [self.seed; 32])
    }
}

/// Reads a configuration and operations out of bytes, until these are used up.
pub fn draw(bytes: &[u8]) -> (Setup, Vec<Op>) {
    let mut u = Unstructured::new(bytes);
    let setup = Setup::arbitrary(&mut u).expect("it takes no text");
    let mut ops = Vec::new();
    while !u.is_empty() && ops.len() < 400 {
        ops.extend(Op::arbitrary(&mut u));
    }
    (setup, ops)
}
