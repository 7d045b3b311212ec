//! Errors, by whose fault they are.
//!
//! [`ConfigError`]: the integrator's, met in the constructor only. [`CommandError`]: the
//! application's; nothing has changed. [`ParseError`](crate::wire::error::ParseError): the peer's
//! bytes; no machine has changed. [`Failure`]: peer or network; it comes inside an event, and the
//! operation that it names is over. All are `Copy` and hold no text.

use core::fmt;

/// A rule that the configuration breaks; the constructor refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// `im_address` is no SIP or SIPS URI with a user part.
    ImAddress,
    /// `next_hops` is empty or longer than [`MAX_PATHS`](crate::limits::MAX_PATHS).
    NextHops,
    /// A host in `next_hops` is empty or no host name or address.
    NextHopHost,
    /// `instance` is no URN (`urn:…`), or outbound is asked for without one (RFC 5626 §4.1).
    Instance,
    /// `product`, `display_name`, `feature_tags` or a credential holds a control character.
    Text,
    /// `product` is not a list of product tokens (RFC 3261 §20.41).
    Product,
    /// `registration_expires` is 0 or above 2^31.
    Expires,
    /// `Core::Ims` without `Credentials::Aka`, or the other way round; or no private identity in it.
    Credentials,
    /// `Ims::mechanisms` is empty or longer than
    /// [`MAX_MECHANISMS`](crate::limits::MAX_MECHANISMS), or `Ims::invalid_challenges` is 0.
    Mechanisms,
    /// A next hop over TLS on an IMS core: IPsec protects the path, and not TLS (RFC 3329 §2.3.1).
    ImsTransport,
    /// The storage cannot hold the account text: the arena is too small.
    Arena {
        /// Bytes that the account text takes.
        needed: usize,
        /// Bytes that the arena has.
        available: usize,
    },
    /// The storage has no transaction or no request slot.
    Storage,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImAddress => f.write_str("im_address must be a sip: or sips: URI with a user"),
            Self::NextHops => f.write_str("next_hops needs one or two entries"),
            Self::NextHopHost => f.write_str("a next hop needs a host name or an address"),
            Self::Instance => f.write_str("outbound needs an instance of the form urn:…"),
            Self::Text => f.write_str("a text holds a control character"),
            Self::Product => f.write_str("product must be tokens such as vendor/model-1.0"),
            Self::Expires => f.write_str("registration_expires must be 1 to 2^31 seconds"),
            Self::Credentials => {
                f.write_str("an IMS core takes Credentials::Aka, and no other does")
            }
            Self::Mechanisms => f.write_str("an IMS core needs one to four security mechanisms"),
            Self::ImsTransport => f.write_str("a path to an IMS core is over UDP or TCP"),
            Self::Arena { needed, available } => {
                write!(
                    f,
                    "the arena has {available} bytes, the account takes {needed}"
                )
            }
            Self::Storage => f.write_str("the storage needs at least two transactions"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// A limit of this client, see [`limits`](crate::limits) for each one's default and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Limit {
    /// Transactions at once (`TXNS` of the storage).
    Transactions,
    /// Requests from command to outcome (as many as transactions).
    Requests,
    /// Octets of the arena (`ARENA` of the storage).
    Arena,
    /// Flows at once.
    Flows,
    /// Octets of one message that the client writes.
    MessageSize,
}

/// Why a command was refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum CommandError {
    /// No such message, challenge or path (or not any more).
    UnknownId,
    /// The operation does not fit the state: registered already, not registered, outcome known.
    WrongState,
    /// Output waits to be polled: drain to `Idle`, then repeat the command.
    Busy,
    /// A table or the arena is full; drain, or wait until something ends.
    Full {
        /// Which limit.
        limit: Limit,
        /// How much the command needs.
        needed: usize,
        /// How much there is.
        available: usize,
    },
    /// 1300 bytes or more and no end-to-end stream vouched for (OMA IM 8.1): large message mode.
    TooLargeForPager {
        /// The whole request as it would go out, in bytes.
        size: usize,
    },
    /// A target that is no URI, or one that this core cannot reach (`tel:` on a plain core).
    Target,
    /// An identity that is not registered for this user.
    Identity,
    /// A text with a control character, or content that its type does not allow.
    Text,
    /// A report asked for together with anonymity (RFC 5438 §12.1.1).
    AnonymousReport,
    /// The command needs the date, and `wall_clock` was never called.
    NoWallClock,
    /// The incoming message did not ask for this report, or may not have one.
    NotAskedFor,
    /// An answer to a challenge that asks for something else: a password for a card, RES alone for
    /// AKAv2, a RES of less than 4 or more than 16 bytes (TS 33.102 §6.3.7).
    Answer,
    /// An SPI below 256 (RFC 4303 §2.1), a port 0, two of the numbers alike; an SPI or the port-c of the
    /// last offer again, or, on a path that is protected already, another port-s (TS 24.229 §5.1.1.4.2).
    SecurityOffer,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownId => f.write_str("there is nothing of that id"),
            Self::WrongState => f.write_str("the command does not fit the state"),
            Self::Busy => f.write_str("poll the output to Idle, then repeat the command"),
            Self::Full {
                limit,
                needed,
                available,
            } => {
                write!(
                    f,
                    "{limit:?} full: {needed} needed, {available} free; drain or wait"
                )
            }
            Self::TooLargeForPager { size } => {
                write!(
                    f,
                    "{size} bytes are too many for pager mode: use large message mode"
                )
            }
            Self::Target => f.write_str("the target is no URI that this core can reach"),
            Self::Identity => f.write_str("the identity is not one of this user's"),
            Self::Text => f.write_str("the text holds a control character"),
            Self::AnonymousReport => f.write_str("an anonymous message cannot ask for a report"),
            Self::NoWallClock => f.write_str("call wall_clock first: the message needs a date"),
            Self::NotAskedFor => f.write_str("the message asks for no such report"),
            Self::Answer => f.write_str("the challenge asks for another kind of answer"),
            Self::SecurityOffer => f.write_str("these SPIs or ports cannot be offered"),
        }
    }
}

impl core::error::Error for CommandError {}

/// Why an operation ended without success; it comes inside an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Failure {
    /// The peer answered with this final status.
    Status {
        /// 300 to 699.
        status: u16,
        /// The three digits of the Warning, or those of the OMA text inside a 399 (`119`…).
        warning: Option<u16>,
        /// Seconds of Retry-After, if the answer had one.
        retry_after: Option<u32>,
    },
    /// Nobody answered within 64·T1.
    Timeout,
    /// The flow was lost and the request could not be sent again.
    FlowLost,
    /// No next hop could be reached.
    Unreachable,
    /// The server refuses the credentials, or asks for what is not supported; with its status.
    Credentials {
        /// 401 or 407, as the server answered last.
        status: u16,
    },
    /// The challenge was abandoned by the application, or not answered in time.
    Abandoned,
    /// Anonymity is not allowed here: 433, or 403 with Warning 119. Never repeated in clear.
    AnonymityRefused {
        /// 403 or 433.
        status: u16,
    },
    /// The request would have crossed 1300 bytes when it had to be built again.
    TooLargeForPager {
        /// The whole request, in bytes.
        size: usize,
    },
    /// The arena does not hold the request as it had to be built again, and nothing is under way
    /// that would make room.
    NoRoom,
    /// The server wants a registration longer than `Config::max_expires`, or none that can be had.
    Interval,
    /// The local network changed or the registration ended under it.
    Withdrawn,
    /// No protected path could be agreed on with the IMS core: nothing, or less than
    /// `SecurityFloor` wants, in Security-Server; a 2xx without a challenge; a challenge that is none,
    /// of another realm or algorithm than before, or refused too often by the card; or the platform
    /// gave no path.
    Security,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, .. } => write!(f, "answered with {status}"),
            Self::Timeout => f.write_str("not answered in time"),
            Self::FlowLost => f.write_str("the flow was lost"),
            Self::Unreachable => f.write_str("no next hop could be reached"),
            Self::Credentials { status } => write!(f, "credentials refused ({status})"),
            Self::Abandoned => f.write_str("the challenge was not answered"),
            Self::AnonymityRefused { status } => {
                write!(f, "anonymity is not allowed here ({status}): ask the user")
            }
            Self::TooLargeForPager { size } => {
                write!(f, "{size} bytes are too many for pager mode")
            }
            Self::NoRoom => f.write_str("the arena is too full to build the request again"),
            Self::Interval => f.write_str("the server's interval cannot be met"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::Security => f.write_str("no protected path could be agreed on"),
        }
    }
}

impl core::error::Error for Failure {}
