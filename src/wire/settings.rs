//! IM service settings: the document `application/poc-settings+xml` (OMA IM 5.2.4, E.2; RFC 4354 §6).
//!
//! [`Settings`] are the seven values a) to g) of 5.2.4 step 8, each always there. [`NewDocument`] writes
//! them into a document with one `<entity>`; [`Entities`] reads the entities of any document by
//! namespace, passes over what it does not know, and gives [`PartialSettings`]: what this one says.
//!
//! RFC 4354 names the element of a) and of three settings of Push-to-talk ([`PocSettings`]). The
//! names of the IM elements stand in an appendix whose text was not at hand, so no code holds one:
//! they are data, a [`Dialect`], with [`Dialect::RECONSTRUCTED`] as the one to start from and a
//! mark on each name that says how sure it is. A server ignores elements of a namespace that it does
//! not know (RFC 4354 §6), so a wrong name does no harm on the wire, and a right one is a change of
//! data.
//!
//! ```
//! use oma_im::wire::settings::{Dialect, Entities, NewDocument, OfflineDelivery, PocSettings, Settings};
//! use oma_im::wire::sink::Sink;
//!
//! let settings = Settings { offline_delivery: OfflineDelivery::Off, ..Settings::DEFAULT };
//! let document = NewDocument {
//!     id: "urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128",
//!     settings,
//!     poc: PocSettings::UNSAID,
//!     dialect: Dialect::RECONSTRUCTED,
//! };
//! let mut out = [0; 1200];
//! let mut sink = Sink::new(&mut out);
//! document.put(&mut sink);
//!
//! let mut entities = Entities::new(sink.written().unwrap(), Dialect::RECONSTRUCTED)?;
//! let ours = entities.find(|entity| entity.as_ref().is_ok_and(|it| it.id == *document.id)).unwrap()?;
//! assert_eq!(ours.settings.or(Settings::DEFAULT), settings);
//! # Ok::<(), oma_im::wire::error::ParseError>(())
//! ```

mod dialect;
mod read;
mod write;

pub use dialect::{Certainty, Coding, Dialect, DialectError, Element, Kind, Named, Place};
pub use read::{Entities, Entity};
pub use write::NewDocument;

/// The namespace of the document (RFC 4354 §6).
pub const NAMESPACE: &str = "urn:oma:params:xml:ns:poc:poc-settings";
/// The media type of the document (RFC 4354 §6).
pub const MEDIA_TYPE: &str = "application/poc-settings+xml";
/// The event package of the document (RFC 4354 §5.1).
pub const EVENT: &str = "poc-settings";

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $(#[$ydoc:meta])* $yes:ident, $(#[$ndoc:meta])* $no:ident, })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub enum $name {
            $(#[$ydoc])*
            $yes,
            $(#[$ndoc])*
            $no,
        }

        impl From<Answer> for $name {
            fn from(answer: Answer) -> Self {
                match answer { Answer::Yes => Self::$yes, Answer::No => Self::$no }
            }
        }

        impl From<$name> for Answer {
            fn from(choice: $name) -> Self {
                match choice { $name::$yes => Self::Yes, $name::$no => Self::No }
            }
        }
    )*};
}

/// A choice without its type: the first value of its enum, or the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

choices! {
    /// Whether what comes in is refused for the user.
    Barring {
        /// It is.
        Barred,
        /// It is not.
        Allowed,
    }
    /// Whether the user can be seen by others.
    Visibility {
        /// Yes.
        Visible,
        /// No.
        Invisible,
    }
    /// Whether messages that came while the user was away are delivered without being asked for.
    OfflineDelivery {
        /// The server sends them.
        On,
        /// The client fetches them (OMA IM 5.2.4-10).
        Off,
    }
    /// Whether the server keeps a conversation history.
    Storing {
        /// It does.
        On,
        /// It does not.
        Off,
    }
    /// Who answers an incoming Push-to-talk session (RFC 4354 §6, `answer-mode`).
    AnswerMode {
        /// The server, at once.
        Automatic,
        /// The user.
        Manual,
    }
    /// Whether a second Push-to-talk session may come in (RFC 4354 §6).
    SimultaneousSessions {
        /// It may.
        Supported,
        /// It is declined.
        Refused,
    }
}

macro_rules! settings {
    ($($letter:literal $variant:ident $field:ident: $type:ident = $default:ident, $what:literal;)*) => {
        /// The seven IM service settings (OMA IM 5.2.4 step 8); none can be missing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct Settings {
            $(
                #[doc = concat!($letter, ") ", $what, "; by default `", stringify!($default), "`.")]
                pub $field: $type,
            )*
        }

        impl Settings {
            /// What holds if nobody says otherwise: nothing barred, visible, offline delivery on, nothing stored.
            pub const DEFAULT: Self = Self { $($field: $type::$default,)* };

            fn answer(&self, setting: Setting) -> Answer {
                match setting { $(Setting::$variant => self.$field.into(),)* }
            }
        }

        /// What a document says of the settings; `None` where it says nothing that can be understood.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct PartialSettings {
            $(
                #[doc = concat!($letter, ") ", $what, ".")]
                pub $field: Option<$type>,
            )*
        }

        impl PartialSettings {
            /// What is said, and the rest from `rest`.
            #[must_use]
            pub fn or(self, rest: Settings) -> Settings {
                Settings { $($field: self.$field.unwrap_or(rest.$field),)* }
            }

            /// Whether the document says something of `setting`.
            pub const fn says(&self, setting: Setting) -> bool {
                match setting { $(Setting::$variant => self.$field.is_some(),)* }
            }

            /// The first word on a setting counts.
            fn hear(&mut self, setting: Setting, answer: Answer) {
                match setting { $(Setting::$variant => { self.$field.get_or_insert(answer.into()); })* }
            }
        }

        impl From<Settings> for PartialSettings {
            fn from(settings: Settings) -> Self {
                Self { $($field: Some(settings.$field),)* }
            }
        }

        /// One of the seven settings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[repr(u8)]
        pub enum Setting {
            $(
                #[doc = concat!($letter, ") ", $what, ".")]
                $variant,
            )*
        }

        impl Setting {
            /// All of them, in the order of the clause.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its letter in OMA IM 5.2.4 step 8.
            pub const fn letter(self) -> char {
                match self { $(Self::$variant => $letter,)* }
            }
        }
    };
}

settings! {
    'a' SessionBarring sessions: Barring = Allowed, "incoming IM sessions";
    'b' MessageBarring messages: Barring = Allowed, "incoming messages of pager mode and large message mode";
    'c' Visibility visibility: Visibility = Visible, "whether the user can be seen";
    'd' OfflineDelivery offline_delivery: OfflineDelivery = On, "delivery of what came while the user was away";
    'e' SessionHistory session_history: Storing = Off, "a history of sessions";
    'f' MessageHistory message_history: Storing = Off, "a history of pager mode and large message mode";
    'g' FileTransferBarring file_transfers: Barring = Allowed, "incoming file transfers";
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The settings of the document that IM has no use for: those of Push-to-talk (RFC 4354 §6).
///
/// What is `None` is not written. Of an element that the dialect uses for an IM setting, nothing is written or
/// read here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct PocSettings {
    /// Who answers a session: `am-settings`.
    pub answer_mode: Option<AnswerMode>,
    /// Incoming personal alerts: `ipab-settings`.
    pub personal_alerts: Option<Barring>,
    /// A second session: `sss-settings`.
    pub simultaneous_sessions: Option<SimultaneousSessions>,
}

impl PocSettings {
    /// None of them.
    pub const UNSAID: Self = Self {
        answer_mode: None,
        personal_alerts: None,
        simultaneous_sessions: None,
    };
}
