//! Header names, methods and status codes.
//!
//! One table lists every header field this crate knows: its name as RFC 3261 and its extensions
//! spell it, its compact form, and how often it may stand. Everything else is made from that table
//! while compiling, the hash by which a name on the wire is found included. Headers that are not
//! in it are [`Name::Other`] and are kept, not judged.

use super::scan::eq_ignore_case;

/// How often a header field may stand in a message and whether commas separate its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// One line, one value; a second line is a fault.
    Single,
    /// A comma list that may also be spread over lines (RFC 3261 §7.3.1).
    List,
    /// Any number of lines with one value each, whose commas are part of it (RFC 3261 §20.7).
    Lines,
    /// As `Single`, and the value is free text: a quotation mark there opens no quoted string.
    Text,
}

macro_rules! names {
    ($($name:ident $text:literal $($compact:literal)? $form:ident;)*) => {
        /// A header field name that is known here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`.")] $name,)*
            /// Any other name.
            Other,
        }

        const TABLE: &[Entry] = &[
            $(Entry { name: Name::$name, text: $text, compact: names!(@compact $($compact)?), form: Form::$form },)*
        ];
    };
    (@compact) => { None };
    (@compact $compact:literal) => { Some($compact) };
}

struct Entry {
    name: Name,
    text: &'static str,
    compact: Option<u8>,
    form: Form,
}

names! {
    Accept "Accept" List;
    AcceptContact "Accept-Contact" b'a' List;
    AcceptEncoding "Accept-Encoding" List;
    AcceptLanguage "Accept-Language" List;
    AcceptResourcePriority "Accept-Resource-Priority" List;
    AlertInfo "Alert-Info" List;
    Allow "Allow" List;
    AllowEvents "Allow-Events" b'u' List;
    AnswerMode "Answer-Mode" Single;
    AuthenticationInfo "Authentication-Info" Single;
    Authorization "Authorization" Lines;
    CallId "Call-ID" b'i' Single;
    CallInfo "Call-Info" List;
    Contact "Contact" b'm' List;
    ContentDisposition "Content-Disposition" Single;
    ContentEncoding "Content-Encoding" b'e' List;
    ContentId "Content-ID" Single;
    ContentLanguage "Content-Language" List;
    ContentLength "Content-Length" b'l' Single;
    ContentTransferEncoding "Content-Transfer-Encoding" Single;
    ContentType "Content-Type" b'c' Single;
    CSeq "CSeq" Single;
    Date "Date" Single;
    ErrorInfo "Error-Info" List;
    Event "Event" b'o' Single;
    Expires "Expires" Single;
    FeatureCaps "Feature-Caps" List;
    FlowTimer "Flow-Timer" Single;
    From "From" b'f' Single;
    Geolocation "Geolocation" List;
    HistoryInfo "History-Info" List;
    Identity "Identity" b'y' Lines;
    IdentityInfo "Identity-Info" b'n' Lines;
    InReplyTo "In-Reply-To" List;
    InfoPackage "Info-Package" Single;
    Join "Join" Single;
    MaxBreadth "Max-Breadth" Single;
    MaxForwards "Max-Forwards" Single;
    MimeVersion "MIME-Version" Single;
    MinExpires "Min-Expires" Single;
    MinSe "Min-SE" Single;
    Organization "Organization" Text;
    PAccessNetworkInfo "P-Access-Network-Info" List;
    PAnswerState "P-Answer-State" Single;
    PAssertedIdentity "P-Asserted-Identity" List;
    PAssertedService "P-Asserted-Service" List;
    PAssociatedUri "P-Associated-URI" List;
    PCalledPartyId "P-Called-Party-ID" Single;
    PChargingFunctionAddresses "P-Charging-Function-Addresses" List;
    PChargingVector "P-Charging-Vector" Single;
    PEarlyMedia "P-Early-Media" List;
    PPreferredIdentity "P-Preferred-Identity" List;
    PPreferredService "P-Preferred-Service" List;
    PProfileKey "P-Profile-Key" Single;
    PRefusedUriList "P-Refused-URI-List" List;
    PServedUser "P-Served-User" Single;
    PUserDatabase "P-User-Database" Single;
    PVisitedNetworkId "P-Visited-Network-ID" List;
    Path "Path" List;
    PermissionMissing "Permission-Missing" List;
    Priority "Priority" Single;
    PrivAnswerMode "Priv-Answer-Mode" Single;
    Privacy "Privacy" Lines;
    ProxyAuthenticate "Proxy-Authenticate" Lines;
    ProxyAuthenticationInfo "Proxy-Authentication-Info" Single;
    ProxyAuthorization "Proxy-Authorization" Lines;
    ProxyRequire "Proxy-Require" List;
    RAck "RAck" Single;
    RSeq "RSeq" Single;
    Reason "Reason" List;
    RecordRoute "Record-Route" List;
    RecvInfo "Recv-Info" List;
    ReferSub "Refer-Sub" Single;
    ReferTo "Refer-To" b'r' Single;
    ReferredBy "Referred-By" b'b' Single;
    RejectContact "Reject-Contact" b'j' List;
    Replaces "Replaces" Single;
    ReplyTo "Reply-To" Single;
    RequestDisposition "Request-Disposition" b'd' List;
    Require "Require" List;
    ResourcePriority "Resource-Priority" List;
    RetryAfter "Retry-After" Single;
    Route "Route" List;
    SecurityClient "Security-Client" List;
    SecurityServer "Security-Server" List;
    SecurityVerify "Security-Verify" List;
    Server "Server" Text;
    ServiceRoute "Service-Route" List;
    SessionExpires "Session-Expires" b'x' Single;
    SipEtag "SIP-ETag" Single;
    SipIfMatch "SIP-If-Match" Single;
    Subject "Subject" b's' Text;
    SubscriptionState "Subscription-State" Single;
    Supported "Supported" b'k' List;
    SuppressIfMatch "Suppress-If-Match" Single;
    TargetDialog "Target-Dialog" Single;
    Timestamp "Timestamp" Single;
    To "To" b't' Single;
    TriggerConsent "Trigger-Consent" List;
    Unsupported "Unsupported" List;
    UserAgent "User-Agent" Text;
    Via "Via" b'v' List;
    Warning "Warning" List;
    WwwAuthenticate "WWW-Authenticate" Lines;
}

impl Name {
    /// The name that `bytes` spell in long or compact form, in any case; else `Other`.
    ///
    /// ```
    /// use oma_im::wire::name::Name;
    ///
    /// assert_eq!(Name::from_bytes(b"call-id"), Name::CallId);
    /// assert_eq!(Name::from_bytes(b"I"), Name::CallId);
    /// assert_eq!(Name::from_bytes(b"X-Call-ID"), Name::Other);
    /// ```
    // Both indices come from tables that are filled from TABLE while compiling; the hash is
    // masked to the size of the first.
    #[allow(clippy::indexing_slicing)]
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [letter] => COMPACT[(letter & 0x1f) as usize]
                .filter(|_| letter.is_ascii_alphabetic())
                .unwrap_or(Self::Other),
            [first, .., last] => {
                let mut next = HASH.heads[hash(*first, *last, bytes.len())];
                while let Some(entry) = TABLE.get(next as usize) {
                    if eq_ignore_case(bytes, entry.text.as_bytes()) {
                        return entry.name;
                    }
                    next = HASH.nexts[next as usize];
                }
                Self::Other
            }
            [] => Self::Other,
        }
    }

    /// The long form; `""` for `Other`.
    pub fn as_str(self) -> &'static str {
        self.entry().map_or("", |entry| entry.text)
    }

    /// The compact form, a lower-case letter.
    pub fn compact(self) -> Option<u8> {
        self.entry()?.compact
    }

    /// How often it may stand; `Lines` for `Other`, of which nothing is known.
    pub fn form(self) -> Form {
        self.entry().map_or(Form::Lines, |entry| entry.form)
    }

    /// Whether a second header field of this name is a fault.
    pub fn is_singleton(self) -> bool {
        matches!(self.form(), Form::Single | Form::Text)
    }

    /// All names but `Other`.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| entry.name)
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.get(self as usize)
    }
}

/// Chains of table entries whose names have the same hash.
struct Hash {
    heads: [u8; 256],
    nexts: [u8; TABLE.len()],
}

const END: u8 = u8::MAX;

static HASH: Hash = chains();
static COMPACT: [Option<Name>; 32] = compact();

/// Length, first and last letter: enough to tell most names apart. Times 8 the bit that tells upper
/// from lower case leaves the byte.
#[allow(clippy::arithmetic_side_effects)] // Three small numbers cannot leave usize.
#[inline]
const fn hash(first: u8, last: u8, len: usize) -> usize {
    ((first as usize + last as usize * 9) * 8 + len * 3) & 0xff
}

// Runs while compiling; an index out of range or a table of 255 names would not compile.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]
const fn chains() -> Hash {
    assert!(TABLE.len() < END as usize);
    let mut chains = Hash {
        heads: [END; 256],
        nexts: [END; TABLE.len()],
    };
    let mut i = TABLE.len();
    while i > 0 {
        i -= 1;
        let text = TABLE[i].text.as_bytes();
        let at = hash(text[0], text[text.len() - 1], text.len());
        chains.nexts[i] = chains.heads[at];
        chains.heads[at] = i as u8;
    }
    chains
}

// As above.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn compact() -> [Option<Name>; 32] {
    let mut table = [None; 32];
    let mut i = 0;
    while i < TABLE.len() {
        if let Some(letter) = TABLE[i].compact {
            table[(letter & 0x1f) as usize] = Some(TABLE[i].name);
        }
        i += 1;
    }
    table
}

macro_rules! methods {
    ($($name:ident $text:literal;)*) => {
        /// A request method. Methods compare with case (RFC 3261 §7.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Method<'b> {
            $(#[doc = concat!("`", $text, "`.")] $name,)*
            /// Any other method: its token.
            Other(&'b [u8]),
        }

        impl<'b> Method<'b> {
            /// The method that `bytes` spell.
            ///
            /// Whether they are a token is not looked at.
            pub fn from_bytes(bytes: &'b [u8]) -> Self {
                $(if bytes == $text.as_bytes() { return Self::$name; })*
                Self::Other(bytes)
            }

            /// The bytes on the wire.
            pub const fn as_bytes(&self) -> &'b [u8] {
                match self {
                    $(Self::$name => $text.as_bytes(),)*
                    Self::Other(bytes) => bytes,
                }
            }
        }
    };
}

methods! {
    Message "MESSAGE";
    Notify "NOTIFY";
    Invite "INVITE";
    Ack "ACK";
    Bye "BYE";
    Cancel "CANCEL";
    Register "REGISTER";
    Options "OPTIONS";
    Publish "PUBLISH";
    Subscribe "SUBSCRIBE";
    Refer "REFER";
    Update "UPDATE";
    Prack "PRACK";
    Info "INFO";
}

/// A status code from 100 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status(u16);

/// The first digit of a status code (RFC 3261 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StatusClass {
    /// 1xx: received, being worked on.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx: this request to this server cannot be fulfilled.
    ClientError,
    /// 5xx: the server failed.
    ServerError,
    /// 6xx: no server can fulfil it.
    GlobalFailure,
}

macro_rules! phrases {
    ($($code:literal $phrase:literal;)*) => {
        const fn phrase(code: u16) -> &'static str {
            match code {
                $($code => $phrase,)*
                100..200 => "Progress",
                200..300 => "Success",
                300..400 => "Redirected",
                400..500 => "Request Failure",
                500..600 => "Server Failure",
                _ => "Global Failure",
            }
        }
    };
}

impl Status {
    /// 100 Trying.
    pub const TRYING: Self = Self(100);
    /// 200 OK.
    pub const OK: Self = Self(200);
    /// 400 Bad Request.
    pub const BAD_REQUEST: Self = Self(400);
    /// 481 Call/Transaction Does Not Exist, to NOTIFY: Subscription does not exist (RFC 6665
    /// §4.1.3).
    pub const DOES_NOT_EXIST: Self = Self(481);
    /// 489 Bad Event (RFC 6665 §8.3.2).
    pub const BAD_EVENT: Self = Self(489);
    /// 500 Server Internal Error.
    pub const SERVER_INTERNAL_ERROR: Self = Self(500);

    /// A status of this code; `None` outside 100 to 699.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            100..700 => Some(Self(code)),
            _ => None,
        }
    }

    /// The code as a number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// What kind of answer it is.
    pub const fn class(self) -> StatusClass {
        match self.0 {
            ..200 => StatusClass::Provisional,
            200..300 => StatusClass::Success,
            300..400 => StatusClass::Redirection,
            400..500 => StatusClass::ClientError,
            500..600 => StatusClass::ServerError,
            _ => StatusClass::GlobalFailure,
        }
    }

    /// 1xx.
    pub const fn is_provisional(self) -> bool {
        self.0 < 200
    }

    /// Anything but 1xx.
    pub const fn is_final(self) -> bool {
        self.0 >= 200
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..300)
    }

    /// The reason phrase its RFC gives it; for a code without one, a phrase for its class.
    pub const fn reason(self) -> &'static str {
        phrase(self.0)
    }
}

phrases! {
    100 "Trying";
    180 "Ringing";
    181 "Call Is Being Forwarded";
    182 "Queued";
    183 "Session Progress";
    199 "Early Dialog Terminated";
    200 "OK";
    202 "Accepted";
    204 "No Notification";
    300 "Multiple Choices";
    301 "Moved Permanently";
    302 "Moved Temporarily";
    305 "Use Proxy";
    380 "Alternative Service";
    400 "Bad Request";
    401 "Unauthorized";
    402 "Payment Required";
    403 "Forbidden";
    404 "Not Found";
    405 "Method Not Allowed";
    406 "Not Acceptable";
    407 "Proxy Authentication Required";
    408 "Request Timeout";
    410 "Gone";
    412 "Conditional Request Failed";
    413 "Request Entity Too Large";
    414 "Request-URI Too Long";
    415 "Unsupported Media Type";
    416 "Unsupported URI Scheme";
    417 "Unknown Resource-Priority";
    420 "Bad Extension";
    421 "Extension Required";
    422 "Session Interval Too Small";
    423 "Interval Too Brief";
    424 "Bad Location Information";
    428 "Use Identity Header";
    429 "Provide Referrer Identity";
    430 "Flow Failed";
    433 "Anonymity Disallowed";
    436 "Bad Identity-Info";
    437 "Unsupported Certificate";
    438 "Invalid Identity Header";
    439 "First Hop Lacks Outbound Support";
    440 "Max-Breadth Exceeded";
    469 "Bad Info Package";
    470 "Consent Needed";
    480 "Temporarily Unavailable";
    481 "Call/Transaction Does Not Exist";
    482 "Loop Detected";
    483 "Too Many Hops";
    484 "Address Incomplete";
    485 "Ambiguous";
    486 "Busy Here";
    487 "Request Terminated";
    488 "Not Acceptable Here";
    489 "Bad Event";
    491 "Request Pending";
    493 "Undecipherable";
    494 "Security Agreement Required";
    500 "Server Internal Error";
    501 "Not Implemented";
    502 "Bad Gateway";
    503 "Service Unavailable";
    504 "Server Time-out";
    505 "Version Not Supported";
    513 "Message Too Large";
    580 "Precondition Failure";
    600 "Busy Everywhere";
    603 "Decline";
    604 "Does Not Exist Anywhere";
    606 "Not Acceptable";
    607 "Unwanted";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_name_is_found_in_every_spelling() {
        for (i, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.name as usize, i);
            let text = entry.text;
            for spelling in [
                text.into(),
                text.to_ascii_lowercase(),
                text.to_ascii_uppercase(),
            ] {
                assert_eq!(
                    Name::from_bytes(spelling.as_bytes()),
                    entry.name,
                    "{spelling}"
                );
            }
            if let Some(letter) = entry.compact {
                assert_eq!(Name::from_bytes(&[letter]), entry.name);
                assert_eq!(Name::from_bytes(&[letter.to_ascii_uppercase()]), entry.name);
            }
            assert_eq!(entry.name.as_str(), text);
        }
        for other in [
            &b""[..],
            b"z",
            b"1",
            b"!",
            b"\x05",
            b"Vi",
            b"Vias",
            b"V-a",
            b"X-Foo",
        ] {
            assert_eq!(Name::from_bytes(other), Name::Other, "{other:?}");
        }
    }

    // A chain is walked with a comparison a step, so this bounds the work for a name.
    #[test]
    fn chains_are_short() {
        let mut lengths = Vec::new();
        for head in HASH.heads {
            let (mut next, mut length) = (head, 0usize);
            while let Some(&n) = HASH.nexts.get(next as usize) {
                (next, length) = (n, length + 1);
            }
            lengths.push(length);
        }
        assert_eq!(lengths.iter().sum::<usize>(), TABLE.len());
        assert!(lengths.iter().max() <= Some(&4), "{lengths:?}");
    }

    #[test]
    fn methods_compare_with_case() {
        assert_eq!(Method::from_bytes(b"MESSAGE"), Method::Message);
        assert_eq!(Method::from_bytes(b"Message"), Method::Other(b"Message"));
        assert_eq!(Method::from_bytes(b"NEWMETHOD").as_bytes(), b"NEWMETHOD");
    }

    #[test]
    fn a_status_is_100_to_699() {
        assert_eq!((Status::new(99), Status::new(700)), (None, None));
        for code in 100..700 {
            let status = Status::new(code).unwrap();
            assert_eq!(status.is_provisional(), code < 200);
            assert_ne!(status.is_provisional(), status.is_final());
            assert_eq!(status.is_success(), status.class() == StatusClass::Success);
            assert!(!status.reason().is_empty());
        }
        assert_eq!(Status::OK.reason(), "OK");
    }
}
