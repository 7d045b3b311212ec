//! What the integrator decides once, when the client is made.
//!
//! [`Config`] borrows its text; the constructor checks it and copies it into the arena, where it
//! stays. [`Config::new`] has a default for everything but the IM Address and the next hop, so an
//! integrator states only what differs:
//!
//! ```
//! use oma_im::config::{Config, Credentials, NextHop, Transport};
//!
//! let hops = [NextHop::new("proxy.example.com", Transport::Tcp)];
//! let config = Config {
//!     credentials: Credentials::Password { user: "alice", password: "secret" },
//!     display_name: Some("Alice"),
//!     ..Config::new("sip:alice@example.com", &hops)
//! };
//! # assert_eq!(config.registration_expires, 3600);
//! ```

use crate::sip::publication::RefreshForm;
use crate::sip::transaction::Timers;
use crate::wire::header::{Encryption, Integrity, IpsecSuite};
use crate::wire::settings::{Dialect, PocSettings};

/// How bytes travel on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream in clear.
    Tcp,
    /// A stream under TLS, which the driver speaks; the crate only knows its name.
    Tls,
}

impl Transport {
    /// The `transport` of a Via (RFC 3261 §20.42).
    pub const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Whether bytes arrive in order and whole.
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

/// An outbound proxy or P-CSCF: where requests go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop<'a> {
    /// A host name or an address; the driver resolves it (RFC 3263) and keeps the list.
    pub host: &'a str,
    /// The port; `None`: the one of the transport, or what the resolver finds.
    pub port: Option<u16>,
    /// The transport of the path.
    pub transport: Transport,
}

impl<'a> NextHop<'a> {
    /// A next hop on the default port.
    pub const fn new(host: &'a str, transport: Transport) -> Self {
        Self {
            host,
            port: None,
            transport,
        }
    }
}

/// Where the answer to a digest challenge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// There are none: a challenge ends the request with the original status.
    None,
    /// The user name (private identity) and the password.
    Password {
        /// The private identity.
        user: &'a str,
        /// The password.
        password: &'a str,
    },
    /// H(user:realm:password) for MD5, so that the password itself is not on the device.
    Ha1 {
        /// The private identity.
        user: &'a str,
        /// The realm it was computed for; no other realm is answered.
        realm: &'a str,
        /// The digest.
        ha1: [u8; 16],
    },
    /// Each challenge is put to the application: `Event::Challenge`, then `Client::answer`.
    Ask {
        /// The private identity.
        user: &'a str,
    },
    /// An ISIM or USIM has the secret: `Event::Challenge` with RAND and AUTN, then `Client::answer` with
    /// what the card says. For [`Core::Ims`], and nothing else is for that.
    Aka {
        /// The private identity.
        user: &'a str,
    },
}

/// Which kind of core the next hop belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Core<'a> {
    /// A plain SIP core (RFC 3261).
    Sip,
    /// An IMS core (3GPP TS 24.229; OMA IM 5.2.4-12, 8.1.1-I): a card registers by AKA, and the path is
    /// protected by IPsec, which the platform does.
    ///
    /// Everything else of the configuration means the same. [`Config::ims`] has what is usual there. There
    /// is one registration: a second next hop is another P-CSCF for the case that the first cannot be
    /// reached.
    ///
    /// What comes and is not trusted: anything but the first answers to REGISTER by an unprotected flow; a 2xx to
    /// REGISTER without a challenge before it.
    ///
    /// | answer | to REGISTER | to another request |
    /// |---|---|---|
    /// | 401 | the card is asked; if nothing can be agreed on, another attempt with a new Call-ID after a while | ends it |
    /// | 421, 494 | once at once an initial registration; then after a while (`Failure::Security`) | an initial registration, and on 494 the request once more |
    /// | 504 that asks for restoration (TS 24.229 §5.1.2A.1.6) | a 5xx as any other | ends it; `Lost`, then an initial registration |
    /// | 305, 380, 420 | `RegistrationChange::Failed` with the status; nothing is sent by itself | ends it with the status; nothing is sent instead |
    /// | none to three requests in a row | the next candidate, or after a while | `Lost`, then an initial registration (§5.1.1.2.1) |
    Ims(Ims<'a>),
}

/// What is particular to an IMS core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ims<'a> {
    /// What the platform's IPsec can do, in the order of Security-Client: one to four.
    pub mechanisms: &'a [IpsecSuite],
    /// What the P-CSCF may choose of them.
    pub floor: SecurityFloor,
    /// Challenges in a row that the card may find invalid before the attempt ends (default 3: two are
    /// answered, as TS 24.229 §5.1.1.5.3 has it, and a valid third one goes on).
    pub invalid_challenges: u8,
}

impl Ims<'static> {
    /// ESP with HMAC-SHA-1-96 and AES-CBC.
    pub const DEFAULT: Self = Self {
        mechanisms: &[IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::AesCbc)],
        floor: SecurityFloor::Offered,
        invalid_challenges: 3,
    };
}

/// The weakest protection that is accepted, beside what is offered: Security-Client may have to name
/// mechanisms for other networks than this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum SecurityFloor {
    /// Whatever was offered.
    Offered,
    /// What encrypts too; with a P-CSCF that only checks integrity there is no registration.
    Encrypted,
}

/// What is done about address translation between the client and its next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Nat {
    /// `Outbound` on streams if there is an instance, `Rewrite` otherwise.
    Auto,
    /// RFC 5626: `+sip.instance`, `reg-id`, `Supported: outbound, path`.
    Outbound,
    /// The Contact takes the address that received and rport show, and is registered once more.
    Rewrite,
    /// Whatever the network does to our address is left as it is.
    Leave,
}

/// Whether the client uses GRUUs, URIs that lead to this one device (RFC 5627).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Gruu {
    /// It does not: `Contact` shows our address.
    Off,
    /// It says that it knows them, and shows those that the registrar gives to its instance in the
    /// `Contact` of what begins a dialog: the public one; in an anonymous request a temporary one.
    On,
}

/// How a flow is kept open (RFC 5626 §4.4, RFC 6223).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum KeepAlive {
    /// Pings as soon as a flow is registered; a missing pong counts only if one was promised.
    Auto,
    /// As `Auto`, with the long intervals of RFC 5626 §4.4.1 for devices on battery.
    Battery,
    /// As `Auto`, and the peer is known to answer: a missing pong ends the flow.
    Supervised,
    /// On datagrams OPTIONS requests are sent where STUN was not promised; streams as `Auto`. None goes by a flow that an
    /// IMS core does not protect.
    Options,
    /// Nothing is sent.
    Off,
}

/// Whether the core gives identities that can be believed (P-Asserted-Identity, RFC 3325).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Assertion {
    /// It does: what the next hop asserts is believed, From is not.
    Asserted,
    /// It never does: From is all there is.
    FromOnly,
}

/// What happens to a request on a flow that belongs to no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Strangers {
    /// It is dropped and counted (`stats().stranger`).
    Drop,
    /// It is taken, marked as untrusted; its asserted identity is not believed.
    Flag,
}

/// How a `tel:` target is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum TelTargets {
    /// Refused: a plain core cannot route it.
    Refuse,
    /// Sent as it is: the core has a numbering plan.
    Keep,
    /// Written as `sip:number@domain;user=phone` (RFC 3261 §19.1.6), domain of the IM Address.
    AsSip,
}

/// Whether pager mode may be used at 1300 bytes and more (OMA IM 8.1, RFC 3428 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum EndToEnd {
    /// Nothing is known of the hops behind the first: below 1300 bytes only.
    Unknown,
    /// The integrator knows that every hop is connection-oriented.
    Streams,
}

/// When a delivery report is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum DeliveryReports {
    /// By `Client::delivered`, when the application has kept the message.
    OnCommand,
    /// By itself, after the 200 went out without a refusal.
    Automatic,
    /// Never.
    Off,
}

/// Whether display reports are sent when `Client::displayed` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum DisplayReports {
    /// They are, for messages that ask for one.
    OnCommand,
    /// Never.
    Off,
}

/// Whether the client has the network tell it what changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Watching {
    /// It does not subscribe.
    Off,
    /// It subscribes.
    On,
}

/// The OMA release that User-Agent names (Appendix F.1).
///
/// `IM-client/OMA1.0` was found in public clients; `IM-client/OMA2.0` is reconstructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Release {
    /// `IM-client/OMA1.0`.
    Oma1_0,
    /// `IM-client/OMA2.0`.
    Oma2_0,
}

/// The weakest digest algorithm that is answered (RFC 8760 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum DigestFloor {
    /// MD5 and better.
    Md5,
    /// SHA-256 only.
    Sha256,
}

/// The decisions of the integrator; see the [module](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The IM Address of the user: a SIP or SIPS URI, the default identity of every request.
    pub im_address: &'a str,
    /// One or two next hops. With outbound both are registered (reg-id 1 and 2); else the second
    /// is for the case that the first cannot be reached.
    pub next_hops: &'a [NextHop<'a>],
    /// Which kind of core it is.
    pub core: Core<'a>,
    /// Where digest secrets come from.
    pub credentials: Credentials<'a>,
    /// The only realm that is answered; `None`: the realm of the first challenge to a REGISTER.
    pub realm: Option<&'a str>,
    /// The weakest digest algorithm that is answered.
    pub digest_floor: DigestFloor,
    /// Display name (OMA IM 5.5); never sent with an anonymous request.
    pub display_name: Option<&'a str>,
    /// The instance URN of the device (RFC 5626 §4.1), without `<>`: `urn:uuid:…`.
    pub instance: Option<&'a str>,
    /// Product tokens behind the release in User-Agent: `vendor/model-1.0`. May be empty.
    pub product: &'a str,
    /// The release that User-Agent names.
    pub release: Release,
    /// Further Contact parameters in REGISTER, such as `;+g.example.tag`; empty by default: the
    /// change request asks for no feature tag beyond the ones that IM needs.
    pub feature_tags: &'a str,
    /// T1, T2 and T4.
    pub timers: Timers,
    /// Address translation.
    pub nat: Nat,
    /// GRUUs (RFC 5627). On by default, as TS 24.229 §5.1.1.2.1 wants it too: only with an `instance`
    /// are there any. Off is for a core whose GRUUs do not lead back to the device.
    pub gruu: Gruu,
    /// Keep-alive of flows.
    pub keep_alive: KeepAlive,
    /// Seconds asked for in REGISTER (default 3600; 600,000 is usual on an IMS core).
    pub registration_expires: u32,
    /// The longest interval that a 423 may push us to, in seconds (default 2,592,000, 30 days).
    pub max_expires: u32,
    /// Where asserted identities come from.
    pub assertion: Assertion,
    /// Requests on flows of no path.
    pub strangers: Strangers,
    /// `tel:` targets.
    pub tel_targets: TelTargets,
    /// Pager mode at 1300 bytes and more.
    pub end_to_end: EndToEnd,
    /// Bytes set aside for credentials while no challenge is known (default 400).
    pub credentials_reserve: u16,
    /// The path MTU in bytes, if it is known: a datagram request may be 200 bytes shorter than
    /// this, else 1300 (RFC 3261 §18.1.1).
    pub path_mtu: Option<u16>,
    /// The longest message that the driver's buffer of a stream holds, in bytes (default 8192);
    /// longer ones are answered 413 and skipped.
    pub stream_buffer: u16,
    /// Delivery reports.
    pub delivery_reports: DeliveryReports,
    /// Display reports.
    pub display_reports: DisplayReports,
    /// Reports a minute and target before further ones are delayed (default 60).
    pub reports_per_minute: u16,
    /// How long reports on a message of ours are waited for, in seconds (default 86,400).
    pub report_window: u32,
    /// How long a peer that refused a report (405, 415, 488) gets none, in seconds (default 3600).
    pub report_backoff: u32,
    /// How long a challenge waits for `Client::answer`, in seconds (default 240).
    pub answer_timeout: u32,
    /// The longest time a de-registration may take, in milliseconds (default 2000).
    pub deregister_timeout: u32,
    /// The name of this device in the settings document (`id` of `entity`, RFC 4354 §6): the same in
    /// all of its life, and no other device's, such as a UUID URN made on the first start. Never the
    /// IMEI: the server may show the document to others (RFC 7255 §5). `None`: a random one, as long
    /// as the client lives.
    pub settings_entity: Option<&'a str>,
    /// The names of the settings (5.2.4 step 8, E.2). The default is reconstructed; an operator's
    /// own can leave settings out, see [`Dialect::left_out`].
    pub settings_dialect: Dialect,
    /// Push-to-talk settings in the same document; none by default.
    pub settings_poc: PocSettings,
    /// How the settings are refreshed: without a body, as RFC 3903 §4.3 demands, or with the
    /// document again for a server that insists.
    pub settings_refresh: RefreshForm,
    /// Whether the client subscribes to its own registration (RFC 3680), to hear when the network
    /// ends or shortens it. Off by default.
    pub watch_registration: Watching,
    /// Whether it subscribes to the settings of the user (RFC 4354 §5.11), to hear what another
    /// device publishes. Off by default.
    pub watch_settings: Watching,
    /// The first half of every branch and Contact user, so that a gateway can tell its clients
    /// apart on one socket; a request to a GRUU has none (see [`route_key`](crate::client::route_key)).
    pub key: u32,
}

impl<'a> Config<'a> {
    /// A configuration with every default.
    pub const fn new(im_address: &'a str, next_hops: &'a [NextHop<'a>]) -> Self {
        Self {
            im_address,
            next_hops,
            core: Core::Sip,
            credentials: Credentials::None,
            realm: None,
            digest_floor: DigestFloor::Md5,
            display_name: None,
            instance: None,
            product: "",
            release: Release::Oma1_0,
            feature_tags: "",
            timers: Timers::RFC3261,
            nat: Nat::Auto,
            gruu: Gruu::On,
            keep_alive: KeepAlive::Auto,
            registration_expires: 3600,
            max_expires: 2_592_000,
            assertion: Assertion::Asserted,
            strangers: Strangers::Drop,
            tel_targets: TelTargets::Refuse,
            end_to_end: EndToEnd::Unknown,
            credentials_reserve: 400,
            path_mtu: None,
            stream_buffer: 8192,
            delivery_reports: DeliveryReports::OnCommand,
            display_reports: DisplayReports::OnCommand,
            reports_per_minute: 60,
            report_window: 86_400,
            report_backoff: 3600,
            answer_timeout: 240,
            deregister_timeout: 2000,
            settings_entity: None,
            settings_dialect: Dialect::RECONSTRUCTED,
            settings_poc: PocSettings::UNSAID,
            settings_refresh: RefreshForm::Empty,
            watch_registration: Watching::Off,
            watch_settings: Watching::Off,
            key: 0,
        }
    }

    /// A configuration for an IMS core, with what is usual there: AKA with the card of this private
    /// identity, [`Ims::DEFAULT`], [`Timers::IMS`], 600,000 seconds asked for (TS 24.229 §5.1.1.2.1), a
    /// subscription to the own registration (§5.1.1.3), and no address translation, since the path is protected
    /// end to end.
    ///
    /// ```
    /// use oma_im::config::{Config, Core, Ims, NextHop, SecurityFloor, Transport};
    /// use oma_im::wire::header::{Encryption, Integrity, IpsecSuite};
    ///
    /// let hops = [NextHop::new("pcscf.ims.example.com", Transport::Udp)];
    /// let suites = [Encryption::AesCbc, Encryption::Null].map(|ealg| IpsecSuite::esp(Integrity::HmacSha1_96, ealg));
    /// let config = Config {
    ///     core: Core::Ims(Ims { mechanisms: &suites, floor: SecurityFloor::Encrypted, ..Ims::DEFAULT }),
    ///     ..Config::ims("sip:alice@ims.example.com", &hops, "alice_private@ims.example.com")
    /// };
    /// # assert!(oma_im::Client::new(&config, oma_im::storage::Small::new(), [7; 32]).is_ok());
    /// ```
    pub const fn ims(
        im_address: &'a str,
        next_hops: &'a [NextHop<'a>],
        private_identity: &'a str,
    ) -> Self {
        Self {
            core: Core::Ims(Ims::DEFAULT),
            credentials: Credentials::Aka {
                user: private_identity,
            },
            timers: Timers::IMS,
            registration_expires: 600_000,
            nat: Nat::Leave,
            watch_registration: Watching::On,
            ..Self::new(im_address, next_hops)
        }
    }
}
