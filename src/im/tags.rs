//! Every magic string of the TS, once, with its clause.
//!
//! Strings that the TS itself was not read for are said to be reconstructed; they are chosen by a
//! configuration value.

/// The IM feature tag, in Contact and Accept-Contact (5.2.4, 7.1.1.1, 8.1.1, 9.1.1.1).
pub const FEATURE_TAG: &str = "+g.oma.sip-im";

/// The value of Accept-Contact in every initial request (8.1.1 step 1): a preference without
/// `require` and `explicit` (RFC 3841 §7.2.4).
pub const ACCEPT_CONTACT: &str = "*;+g.oma.sip-im";

/// The first product of User-Agent, release 1.0 (Appendix F.1).
pub const USER_AGENT_1_0: &str = "IM-client/OMA1.0";

/// The first product of User-Agent, release 2.0 (Appendix F.1; reconstructed).
pub const USER_AGENT_2_0: &str = "IM-client/OMA2.0";

/// How the Server header of an IM Server begins, whatever its release (Appendix F.1).
pub const SERVER_PRODUCT: &str = "IM-serv";

/// From of an anonymous request (8.1.1 step 4; RFC 3323 §4.1.1.3).
pub const ANONYMOUS_URI: &str = "sip:anonymous@anonymous.invalid";

/// Display name of an anonymous request (RFC 3323 §4.1.1.1).
pub const ANONYMOUS_NAME: &str = "Anonymous";

/// The Privacy value of an anonymous request (8.1.1 step 4; RFC 3325 §9.3).
pub const PRIVACY_ID: &str = "id";

/// The OMA Warning "Anonymity not allowed" in a 403 (reconstructed from a deployed client).
pub const WARNING_ANONYMITY: u16 = 119;

/// Pager mode is for requests below this many bytes (8.1).
pub const PAGER_LIMIT: usize = 1300;
