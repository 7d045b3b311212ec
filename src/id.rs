//! Names for things that outlive a call.
//!
//! All are plain numbers. The client numbers what it starts ([`OpenId`], [`SendId`], [`IncomingId`],
//! [`ChallengeId`], [`SettingsId`]) and never uses a number twice in its life; the driver numbers its flows
//! ([`FlowId`]) and may do so as it likes, as long as two open flows differ.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(pub u32);
    )*};
}

ids! {
    /// A flow, named by the driver: one UDP association or one TCP or TLS connection.
    FlowId;
    /// A request of the client's to open a flow.
    OpenId;
    /// A message that was given to be sent.
    SendId;
    /// A message that came in.
    IncomingId;
    /// A digest challenge that waits for its secret.
    ChallengeId;
    /// A command on the IM service settings.
    SettingsId;
    /// A set of security associations with a P-CSCF (3GPP TS 33.203): the four of one agreement.
    SecurityId;
}

/// A path: one next hop with its flows, numbered from 0 as in `Config::next_hops`.
///
/// The path is the unit of registration and trust; its `reg-id` (RFC 5626 §4.2) is one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct PathId(pub u8);
