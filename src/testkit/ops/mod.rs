//! Sequences of operations on one client, drawn by chance (feature `arbitrary`).
//!
//! An [`Op`] is one thing that an application, a network, a server, a peer or the clock does. A [`Setup`] is a
//! configuration. Both come out of a fuzzer's bytes or of a seeded generator; [`Run`] does them one after the
//! other and checks after each what has to hold whatever happens. Servers and peers speak SIP of a small grammar
//! (`text`, `notify`) which is mostly right, so that sequences get somewhere: a machine that only sees noise is never
//! tried. On an IMS core there is a platform too (`platform`), with its security associations and its card.

mod notify;
mod platform;
mod run;
mod text;

pub use run::Run;

use arbitrary::{Arbitrary, Unstructured};
use std::vec::Vec;

use crate::client::{OpenFailure, Refusal};
use crate::config::{
    Assertion, Config, Core, Credentials, DeliveryReports, DigestFloor, DisplayReports, EndToEnd,
    Ims, KeepAlive, Nat, NextHop, Release, SecurityFloor, Strangers, TelTargets, Transport,
    Watching,
};
use crate::im::pager::{Anonymity, Wrap};
use crate::sip::publication::RefreshForm;
use crate::sip::transaction::Timers;
use crate::wire::cpim::Notifications;
use crate::wire::header::{Encryption, Integrity, IpsecSuite};
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
    /// The numbers for the next security associations.
    Offer(Offer),
    AccessNetwork(u8),
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
    /// A request is challenged for the card, and a protected path agreed on.
    Demand(u8, Demand),
    /// A request is answered 504, and an initial registration asked for.
    Restore(u8),
    Request(u8, Request),
    /// What a subscription of the client's is told.
    Notify(u8, Notify),
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
            0..38 => Self::Serve(u.arbitrary()?),
            38..48 => Self::Guard(u.arbitrary()?),
            48..58 => Self::PublishSettings(u.arbitrary()?),
            58..60 => Self::RemoveSettings,
            60..82 => Self::Send(u.arbitrary()?),
            82..102 => Self::Respond(u.arbitrary()?, u.arbitrary()?),
            102..104 => Self::Restore(u.arbitrary()?),
            104..140 => Self::Request(u.arbitrary()?, u.arbitrary()?),
            140..154 => Self::Notify(u.arbitrary()?, u.arbitrary()?),
            154..168 => Self::Delivered(u.arbitrary()?),
            168..177 => Self::Displayed(u.arbitrary()?),
            177..201 => Self::Wait(u.arbitrary()?),
            201..206 => Self::Opened(u.arbitrary()?),
            206..211 => Self::Again,
            211..213 => Self::Pings(u.arbitrary()?, u.arbitrary()?),
            213..216 => Self::Bytes(u.arbitrary()?, u.arbitrary()?),
            216..219 => Self::Withdraw(u.arbitrary()?),
            219..225 => Self::Answer(u.arbitrary()?, u.arbitrary()?),
            225..230 => Self::Demand(u.arbitrary()?, u.arbitrary()?),
            230..233 => Self::Offer(u.arbitrary()?),
            233..235 => Self::AccessNetwork(u.arbitrary()?),
            235..238 => Self::Register,
            238..240 => Self::WallClock(u.arbitrary()?),
            240..242 => Self::OpenFailed(u.arbitrary()?, u.arbitrary()?),
            242..244 => Self::Closed(u.arbitrary()?),
            244..246 => Self::Hold(u.arbitrary()?),
            246..248 => Self::Short(u.arbitrary()?),
            248 => Self::Refuse(u.arbitrary()?, u.arbitrary()?),
            249 => Self::Deregister,
            250 => Self::NetworkChanged,
            251 => Self::Given(u.arbitrary()?),
            252 => Self::Accepted(u.arbitrary()?),
            253 => Self::Adopt(u.arbitrary()?),
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

/// A secret for a challenge, or what the card says to it.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Secret {
    Password,
    Ha1,
    Long,
    Abandon,
    /// RES of this length.
    Res(u8),
    Keys,
    /// The sequence number is out of range.
    Auts,
    MacWrong,
}

/// Numbers for security associations.
#[derive(Clone, Copy, Debug, Arbitrary, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Offer {
    Fresh,
    /// As `Fresh`, but for the protected server port.
    OtherServerPort,
    /// Those of the last offer.
    Last,
    /// Those of a set that is installed.
    Installed,
    Reserved,
    Equal,
    NoPort,
    OtherPath,
}

/// How long nothing happens.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Wait {
    Deadline,
    /// So many deadlines, one after the other.
    Deadlines(u8),
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
    /// The IM Address is not among the associated identities.
    Barred,
    Path,
    AgreementList(u8),
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

/// A challenge for the card, with what the P-CSCF takes of the offer.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Demand {
    pub algorithm: u8,
    pub realm: u8,
    pub nonce: u8,
    pub qop: u8,
    pub list: u8,
    #[arbitrary(with = faults)]
    pub mangle: Vec<Mangle>,
}

/// A NOTIFY for a subscription of the client's.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub struct Notify {
    pub state: Standing,
    /// Whether Event, tags, Call-ID, CSeq and Contact are right.
    pub fault: u8,
    pub document: Document,
    pub way: u8,
    #[arbitrary(with = faults)]
    pub mangle: Vec<Mangle>,
}

/// A Subscription-State.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Standing {
    Active(u16),
    Timeless,
    Pending(u16),
    Terminated {
        reason: u8,
        retry_after: Option<u16>,
    },
    Missing,
    Strange,
}

/// What a NOTIFY carries.
#[derive(Clone, Debug, Arbitrary)]
#[allow(missing_docs)]
pub enum Document {
    None,
    Registration {
        version: u8,
        partial: u8,
        contact: u8,
        seconds: u16,
    },
    Settings(u8),
    Other(u8, Vec<u8>),
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

/// What a platform can do, the first so many of them.
const SUITES: [IpsecSuite; 4] = [
    IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::AesCbc),
    IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::Null),
    IpsecSuite::esp(Integrity::HmacMd5_96, Encryption::Null),
    IpsecSuite::esp(Integrity::HmacMd5_96, Encryption::DesEde3Cbc),
];

/// What an integrator may have put into the Contact of REGISTER.
const FEATURE_TAGS: &str = ";+g.example.tag";

const fn watching(bit: u8) -> Watching {
    if bit == 0 {
        Watching::Off
    } else {
        Watching::On
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
    pub core: u8,
    pub watch: u8,
    pub security: u8,
    pub seed: u8,
}

impl Setup {
    /// Whether the core is an IMS core.
    pub fn is_ims(&self) -> bool {
        self.core % 4 > 1
    }

    /// The same on an IMS core.
    #[must_use]
    pub fn on_ims(self) -> Self {
        Self {
            core: self.core | 2,
            ..self
        }
    }

    /// Makes something with the configuration, whose texts live for the call.
    pub fn with<T>(&self, make: impl FnOnce(&Config<'_>, [u8; 32]) -> T) -> T {
        let hop = |transport| {
            let secured = match transport {
                Transport::Tls if self.is_ims() => Transport::Tcp,
                other => other,
            };
            NextHop::new("proxy.example.com", secured)
        };
        let hops = [
            hop(self.transport),
            hop(self.second.unwrap_or(Transport::Tcp)),
        ];
        let user = "alice@example.com";
        let config = Config {
            core: if self.is_ims() {
                Core::Ims(Ims {
                    mechanisms: SUITES
                        .get(..1 + usize::from(self.security % 4))
                        .unwrap_or_default(),
                    floor: if self.security & 16 == 0 {
                        SecurityFloor::Offered
                    } else {
                        SecurityFloor::Encrypted
                    },
                    invalid_challenges: 1 + (self.security >> 2) % 4,
                })
            } else {
                Core::Sip
            },
            credentials: match self.credentials % 5 {
                _ if self.is_ims() => Credentials::Aka { user },
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
            timers: match self.core % 4 {
                0 => Timers::RFC3261,
                _ => Timers::IMS,
            },
            registration_expires: match self.watch % 8 {
                4..6 => 600_000,
                6 => 60,
                _ => 3_600,
            },
            watch_registration: watching(self.watch & 16),
            watch_settings: watching(self.watch & 32),
            feature_tags: if self.texts % 8 == 7 {
                FEATURE_TAGS
            } else {
                ""
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
