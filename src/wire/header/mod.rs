//! Typed views of header values.
//!
//! Each view borrows from one value, as [`message`](super::message) cuts it out, and is made by
//! `X::parse(value)`, which checks the grammar once. Folds and escapes stay where they are; the
//! iterators of [`Text`] and of the parameters read through them. Of a comma list, a view is one
//! element: [`list`] walks a whole value. [`TokenList`], [`Privacy`] and [`Products`] take a whole
//! value at once.
//!
//! | Header | View | Clause |
//! |---|---|---|
//! | Accept | [`Accept`] | RFC 3261 §20.1 |
//! | Accept-Contact, Reject-Contact | [`AcceptContact`], [`RejectContact`] | RFC 3841 §9.2 |
//! | Accept-Encoding | [`AcceptEncoding`] | RFC 3261 §20.2 |
//! | Allow | [`Allow`] | RFC 3261 §20.5 |
//! | Allow-Events | [`AllowEvents`] | RFC 6665 §8.2.2, §8.4 |
//! | Call-ID | [`CallId`] | RFC 3261 §20.8 |
//! | Contact | [`Contact`] | RFC 3261 §20.10, RFC 5626 §4 |
//! | Content-Disposition | [`ContentDisposition`] | RFC 3261 §20.11 |
//! | Content-Encoding | [`ContentEncoding`] | RFC 3261 §20.12 |
//! | Content-ID | [`ContentId`] | RFC 8262 §3 |
//! | Content-Language | [`ContentLanguage`] | RFC 3261 §20.13 |
//! | Content-Length | [`ContentLength`] | RFC 3261 §20.14 |
//! | Content-Type | [`ContentType`] | RFC 3261 §20.15 |
//! | CSeq | [`CSeq`] | RFC 3261 §20.16 |
//! | Date | [`Date`] | RFC 3261 §20.17 |
//! | Event | [`Event`] | RFC 6665 §8.2.1, §8.4 |
//! | Expires | [`Expires`] | RFC 3261 §20.19 |
//! | Flow-Timer | [`FlowTimer`] | RFC 5626 §10 |
//! | From | [`From`] | RFC 3261 §20.20 |
//! | Max-Forwards | [`MaxForwards`] | RFC 3261 §20.22 |
//! | MIME-Version | [`MimeVersion`] | RFC 3261 §20.24 |
//! | Min-Expires | [`MinExpires`] | RFC 3261 §20.23 |
//! | Min-SE | [`MinSe`] | RFC 4028 §5 |
//! | P-Access-Network-Info | [`PAccessNetworkInfo`] | RFC 7315 §4.4, §5.4 |
//! | P-Asserted-Identity | [`PAssertedIdentity`] | RFC 3325 §9.1 |
//! | P-Associated-URI | [`PAssociatedUri`] | RFC 7315 §4.1 |
//! | P-Called-Party-ID | [`PCalledPartyId`] | RFC 7315 §4.2 |
//! | P-Preferred-Identity | [`PPreferredIdentity`] | RFC 3325 §9.2 |
//! | P-Refused-URI-List | [`PRefusedUriList`] | RFC 5318 §5 |
//! | Path | [`Path`] | RFC 3327 §4 |
//! | Privacy | [`Privacy`] | RFC 3323 §4.2 |
//! | RAck | [`RAck`] | RFC 3262 §7.2 |
//! | Reason | [`Reason`] | RFC 3326 §2 |
//! | Record-Route | [`RecordRoute`] | RFC 3261 §20.30 |
//! | Refer-Sub | [`ReferSub`] | RFC 4488 §4 |
//! | Refer-To | [`ReferTo`] | RFC 3515 §2.1 |
//! | Referred-By | [`ReferredBy`] | RFC 3892 §3 |
//! | Replaces | [`Replaces`] | RFC 3891 §6.1 |
//! | Reply-To | [`ReplyTo`] | RFC 3261 §20.31 |
//! | Require, Proxy-Require | [`Require`], [`ProxyRequire`] | RFC 3261 §20.32, §20.29 |
//! | Retry-After | [`RetryAfter`] | RFC 3261 §20.33 |
//! | Route | [`Route`] | RFC 3261 §20.34 |
//! | RSeq | [`RSeq`] | RFC 3262 §7.1 |
//! | Security-Client, -Server, -Verify | [`SecurityClient`], [`SecurityServer`], [`SecurityVerify`] | RFC 3329 §2.2, appendix A |
//! | Server, User-Agent | [`Server`], [`UserAgent`] | RFC 3261 §20.35, §20.41 |
//! | Service-Route | [`ServiceRoute`] | RFC 3608 §5 |
//! | Session-Expires | [`SessionExpires`] | RFC 4028 §4 |
//! | SIP-ETag, SIP-If-Match | [`SipEtag`], [`SipIfMatch`] | RFC 3903 §11.3 |
//! | Subject | [`Subject`] | RFC 3261 §20.36 |
//! | Subscription-State | [`SubscriptionState`] | RFC 6665 §8.2.3, §8.4 |
//! | Supported, Unsupported | [`Supported`], [`Unsupported`] | RFC 3261 §20.37, §20.40 |
//! | Target-Dialog | [`TargetDialog`] | RFC 4538 §7 |
//! | To | [`To`] | RFC 3261 §20.39 |
//! | Via | [`Via`] | RFC 3261 §20.42, RFC 3581, RFC 6223 |
//! | Warning | [`Warning`] | RFC 3261 §20.43 |
//!
//! Challenges and credentials are read by [`digest`](super::digest).

mod address;
mod date;
mod dialog;
mod event;
mod media;
mod number;
mod security;
mod text;
mod token;
mod via;

pub use address::{
    Contact, From, NameAddr, PAssertedIdentity, PAssociatedUri, PCalledPartyId, PPreferredIdentity,
    PRefusedUriList, Path, RecordRoute, ReferTo, ReferredBy, ReplyTo, Route, ServiceRoute, To,
};
pub use date::Date;
pub use dialog::{CallId, EntityTag, Replaces, SipEtag, SipIfMatch, TargetDialog};
pub use event::{AllowEvents, Event, EventReason, EventType, SubscriptionState, Substate};
pub use media::{Accept, ContentId, ContentType, MediaType, MimeVersion};
pub use number::{
    CSeq, ContentLength, Expires, FlowTimer, MaxForwards, MinExpires, MinSe, RAck, RSeq, Refresher,
    RetryAfter, SessionExpires,
};
pub use security::{
    Encryption, Integrity, Ipsec3gpp, IpsecMode, IpsecProtocol, IpsecSuite, SecurityClient,
    SecurityMechanism, SecurityServer, SecurityVerify, choose_ipsec, put_security_list,
};
pub use text::{Bytes, Display, Product, Products, Server, Subject, Text, UserAgent, Warning};
pub use token::{
    AcceptContact, AcceptEncoding, Allow, ContentDisposition, ContentEncoding, ContentLanguage,
    Handling, PAccessNetworkInfo, Privacy, ProxyRequire, Reason, ReferSub, RejectContact, Require,
    Supported, TokenList, Unsupported,
};
pub use via::{Keep, Rport, Via};

use super::error::ParseError;
use super::scan::{offset_in, split_commas};

/// Walks a comma list, parsing each element; the offset of an error is that in `value`.
///
/// ```
/// use oma_im::wire::header::{Route, list};
///
/// let routes: Result<Vec<Route>, _> = list(b"<sip:p1.example;lr>, <sip:p2.example;lr>", Route::parse).collect();
/// assert_eq!(routes?.len(), 2);
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
pub fn list<'b, T>(
    value: &'b [u8],
    parse: impl Fn(&'b [u8]) -> Result<T, ParseError>,
) -> impl Iterator<Item = Result<T, ParseError>> {
    split_commas(value)
        .map(move |element| parse(element).map_err(|error| error.at(offset_in(value, element))))
}
