//! The names of the elements, as data.

use core::fmt;

use super::super::xml;
use super::{Answer, NAMESPACE, Setting};

/// Where one setting stands in a document, and how its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Element {
    /// The namespace of all elements of the path.
    pub namespace: &'static str,
    /// The local names from the child of `<entity>` down to the element that has the value.
    pub path: &'static [&'static str],
    /// Where in that element the value stands.
    pub place: Place,
    /// Which words stand for which value.
    pub coding: Coding,
    /// What tells it from another setting with the same path.
    pub kind: Kind,
}

/// Where in its element a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Place {
    /// In this attribute, which has no namespace.
    Attribute(&'static str),
    /// As its text.
    Content,
}

/// Which words stand for which value.
///
/// Yes is the first value of the setting's enum: barred, visible, delivered, stored. `true` and `false` are
/// read as `xs:boolean`: `1` and `0` and white space around them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Coding {
    /// `true` is yes.
    Boolean,
    /// `true` is no.
    Inverted,
    /// Two words, which compare with case.
    Words {
        /// For yes.
        yes: &'static str,
        /// For no.
        no: &'static str,
    },
}

/// What tells two settings with the same path apart, if their elements are of different types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// Nothing: there is one such element.
    Only,
    /// An empty child element of this name, in the same namespace.
    Child(&'static str),
    /// An attribute without namespace, and its value.
    Attribute(&'static str, &'static str),
    /// The text of the element.
    Text(&'static str),
}

/// How sure the names and the coding of an element are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Certainty {
    /// The element is that of RFC 4354; that IM uses it unchanged is inferred.
    Standard,
    /// The names are those of a deployed implementation, the coding follows the text of the clause.
    Deployed,
    /// The names are those of a deployed implementation, the coding (polarity, type) is a guess.
    CodingGuessed,
    /// Names and coding are made up, by analogy with others.
    Invented,
    /// The operator's word.
    Operator,
}

/// An element of a dialect, for its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Named {
    /// What it sets.
    pub setting: Setting,
    /// Where that stands.
    pub element: Element,
    /// How sure that is. Nothing hangs on it: it is for people to read.
    pub certainty: Certainty,
}

/// The elements of all settings, in the order in which they are written; checked.
///
/// The table is the integrator's; it can be made in a `const`:
///
/// ```
/// use oma_im::wire::settings::{Certainty, Coding, Dialect, Element, Kind, Named, Place, Setting};
///
/// const OPERATOR: Dialect = match Dialect::new(&[Named {
///     setting: Setting::Visibility,
///     element: Element {
///         namespace: "urn:example:im",
///         path: &["presence", "invisible"],
///         place: Place::Attribute("on"),
///         coding: Coding::Inverted,
///         kind: Kind::Only,
///     },
///     certainty: Certainty::Operator,
/// }]) {
///     Ok(dialect) => dialect,
///     Err(_) => panic!("the table breaks a rule"),
/// };
/// assert_eq!(OPERATOR.left_out().count(), 6);
/// assert_eq!(Dialect::RECONSTRUCTED.left_out().count(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dialect {
    table: &'static [Named],
}

/// A rule that a table breaks, and the setting at which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DialectError {
    /// A setting has two elements.
    Twice(Setting),
    /// A namespace is empty, longer than [`MAX_NAME`](xml::MAX_NAME), one of XML itself, or has white space or
    /// other characters than those of ASCII.
    Namespace(Setting),
    /// A path is empty or longer than [`Dialect::MAX_PATH`].
    Path(Setting),
    /// The name of an element or attribute is no name (NCName, in ASCII), or is longer than [`MAX_NAME`](xml::MAX_NAME).
    Name(Setting),
    /// The two words are the same, one is empty, has white space at an end or a character that XML cannot carry; or
    /// the value that tells the type is of that sort.
    Words(Setting),
    /// The type stands where the value stands, or a value that is text has a type.
    Kind(Setting),
    /// Another setting has the same path, and nothing tells them apart.
    Ambiguous(Setting),
    /// An element in the namespace of RFC 4354 that its schema does not have: only
    /// `isb-settings/incoming-session-barring`, `ipab-settings/incoming-personal-alert-barring` and
    /// `sss-settings/simultaneous-sessions-support` with a boolean `active` may stand there.
    Schema(Setting),
}

impl DialectError {
    /// The setting whose element breaks the rule.
    pub const fn setting(self) -> Setting {
        let (Self::Twice(setting)
        | Self::Namespace(setting)
        | Self::Path(setting)
        | Self::Name(setting)
        | Self::Words(setting)
        | Self::Kind(setting)
        | Self::Ambiguous(setting)
        | Self::Schema(setting)) = self;
        setting
    }
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Twice(_) => "has two elements",
            Self::Namespace(_) => "has no proper namespace",
            Self::Path(_) => "has no path, or one that is too long",
            Self::Name(_) => "has a name that is none",
            Self::Words(_) => "has no two proper words",
            Self::Kind(_) => "has its type where its value is",
            Self::Ambiguous(_) => "cannot be told from another",
            Self::Schema(_) => "has an element that RFC 4354 does not have",
        };
        write!(f, "setting {}) {what}", self.setting().letter())
    }
}

impl core::error::Error for DialectError {}

/// The namespace of the IM elements in a deployed implementation of 2007.
const IM: &str = "urn:oma:xml:im:service-settings";
const ACTIVE: Place = Place::Attribute("active");

/// The settings of RFC 4354 that are booleans, in the order of its schema.
pub(super) const ISB: Element = standard(&["isb-settings", "incoming-session-barring"]);
pub(super) const IPAB: Element = standard(&["ipab-settings", "incoming-personal-alert-barring"]);
pub(super) const SSS: Element = standard(&["sss-settings", "simultaneous-sessions-support"]);
/// And the one that is text, second of the four.
pub(super) const AM: Element = Element {
    place: Place::Content,
    coding: Coding::Words {
        yes: "automatic",
        no: "manual",
    },
    ..standard(&["am-settings", "answer-mode"])
};

const fn standard(path: &'static [&'static str]) -> Element {
    Element {
        namespace: NAMESPACE,
        path,
        place: ACTIVE,
        coding: Coding::Boolean,
        kind: Kind::Only,
    }
}

const fn im(
    setting: Setting,
    path: &'static [&'static str],
    kind: Kind,
    certainty: Certainty,
) -> Named {
    Named {
        setting,
        element: Element {
            namespace: IM,
            path,
            place: ACTIVE,
            coding: Coding::Boolean,
            kind,
        },
        certainty,
    }
}

const RECONSTRUCTED: &[Named] = &[
    Named {
        setting: Setting::SessionBarring,
        element: ISB,
        certainty: Certainty::Standard,
    },
    im(
        Setting::MessageBarring,
        &["ipmb-settings", "incoming-pager-message-barring"],
        Kind::Only,
        Certainty::Invented, // by analogy with a)
    ),
    im(
        Setting::Visibility,
        &["vis-settings", "vis-status"],
        Kind::Only,
        Certainty::CodingGuessed, // true: visible, or invisible?
    ),
    im(
        Setting::OfflineDelivery,
        &["deferred-settings", "offline-delivery"],
        Kind::Only,
        Certainty::Deployed, // OMA IM 5.2.4-10: active="false" if the client fetches
    ),
    im(
        Setting::SessionHistory,
        &["hist-settings", "hist-activation"],
        Kind::Child("session-mode"), // a child, an attribute or text?
        Certainty::CodingGuessed,
    ),
    im(
        Setting::MessageHistory,
        &["hist-settings", "hist-activation"],
        Kind::Child("pager-large-mode"),
        Certainty::CodingGuessed,
    ),
    im(
        Setting::FileTransferBarring,
        &["iftb-settings", "incoming-file-transfer-barring"],
        Kind::Only,
        Certainty::Invented, // by analogy with a)
    ),
];

impl Dialect {
    /// How many elements a path may have.
    pub const MAX_PATH: usize = 8;

    /// The names as they could be found or, for b) and g), had to be made up: `active="true"` for barred, visible,
    /// delivered, stored; two `hist-activation`, told apart by a child element.
    ///
    /// [`table`](Self::table) says of each how sure it is.
    pub const RECONSTRUCTED: Self = {
        assert!(Self::new(RECONSTRUCTED).is_ok());
        Self {
            table: RECONSTRUCTED,
        }
    };

    /// Checks a table.
    ///
    /// A setting may be left out: it is then neither written nor read, and [`left_out`](Self::left_out) names it.
    ///
    /// # Errors
    /// The first rule that the table breaks.
    pub const fn new(table: &'static [Named]) -> Result<Self, DialectError> {
        let mut rest = table;
        while let [named, tail @ ..] = rest {
            if let Some(error) = fault(named, tail) {
                return Err(error);
            }
            rest = tail;
        }
        Ok(Self { table })
    }

    /// The table, in the order in which it is written.
    pub const fn table(&self) -> &'static [Named] {
        self.table
    }

    /// The element of a setting; `None` if it is left out.
    pub fn element(&self, setting: Setting) -> Option<&'static Named> {
        self.table.iter().find(|named| named.setting == setting)
    }

    /// The settings that this dialect has no element for, though OMA IM 5.2.4 step 8 asks for all seven.
    pub fn left_out(&self) -> impl Iterator<Item = Setting> + use<> {
        let table = self.table;
        let has = move |setting| table.iter().any(|named| named.setting == setting);
        Setting::ALL.iter().copied().filter(move |s| !has(*s))
    }

    /// The setting that uses this element of RFC 4354.
    pub(super) fn using(&self, standard: &Element) -> Option<&'static Named> {
        let same = |it: &Element| it.namespace == standard.namespace && it.path == standard.path;
        self.table.iter().find(|named| same(&named.element))
    }
}

impl Coding {
    /// The word for a value.
    pub(super) const fn word(self, answer: Answer) -> &'static str {
        match (self, answer) {
            (Self::Boolean, Answer::Yes) | (Self::Inverted, Answer::No) => "true",
            (Self::Boolean, Answer::No) | (Self::Inverted, Answer::Yes) => "false",
            (Self::Words { yes, .. }, Answer::Yes) => yes,
            (Self::Words { no, .. }, Answer::No) => no,
        }
    }

    /// The value that a text stands for.
    pub(super) fn read(self, text: xml::Text<'_>) -> Option<Answer> {
        let (yes, no): (&[&str], &[&str]) = match &self {
            Self::Boolean => (&["true", "1"], &["false", "0"]),
            Self::Inverted => (&["false", "0"], &["true", "1"]),
            Self::Words { yes, no } => (&[yes], &[no]),
        };
        let among = |words: &[&str]| words.iter().any(|word| collapsed_is(text, word));
        if among(yes) {
            Some(Answer::Yes)
        } else if among(no) {
            Some(Answer::No)
        } else {
            None
        }
    }
}

/// Whether a text is `word`, but for white space around it (XML Schema 2 §4.3.6, whiteSpace collapse).
pub(super) fn collapsed_is(text: xml::Text<'_>, word: &str) -> bool {
    let space = |c: &char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut chars = text.chars().skip_while(space);
    word.chars().all(|c| chars.next() == Some(c)) && chars.all(|c| space(&c))
}

// --- the rules, in a form that runs while compiling ---

/// The first rule that an entry breaks, alone or against one of those after it.
const fn fault(named: &Named, after: &[Named]) -> Option<DialectError> {
    let Named {
        setting, element, ..
    } = *named;
    let names = match (element.place, element.kind) {
        (Place::Attribute(place), Kind::Attribute(kind, _)) => is_name(place) && is_name(kind),
        (Place::Attribute(place), Kind::Child(child)) => is_name(place) && is_name(child),
        (Place::Attribute(place), _) => is_name(place),
        (Place::Content, _) => true,
    };
    let words = match element.coding {
        Coding::Words { yes, no } => is_word(yes) && is_word(no) && !same(yes, no),
        Coding::Boolean | Coding::Inverted => true,
    };
    let kind_word = match element.kind {
        Kind::Attribute(_, word) | Kind::Text(word) => is_word(word),
        Kind::Only | Kind::Child(_) => true,
    };
    let kind = match (element.place, element.kind) {
        (Place::Attribute(place), Kind::Attribute(kind, _)) => !same(place, kind),
        (Place::Content, kind) => matches!(kind, Kind::Only),
        (Place::Attribute(_), _) => true,
    };
    if !is_namespace(element.namespace) {
        return Some(DialectError::Namespace(setting));
    }
    if element.path.is_empty() || element.path.len() > Dialect::MAX_PATH {
        return Some(DialectError::Path(setting));
    }
    if !names || !are_names(element.path) {
        return Some(DialectError::Name(setting));
    }
    if !words || !kind_word {
        return Some(DialectError::Words(setting));
    }
    if !kind {
        return Some(DialectError::Kind(setting));
    }
    if same(element.namespace, NAMESPACE) && !in_schema(&element) {
        return Some(DialectError::Schema(setting));
    }
    let mut rest = after;
    while let [other, tail @ ..] = rest {
        if other.setting as u8 == setting as u8 {
            return Some(DialectError::Twice(setting));
        }
        if clash(&element, &other.element) {
            return Some(DialectError::Ambiguous(other.setting));
        }
        rest = tail;
    }
    None
}

/// Whether a reader could take one for the other.
const fn clash(a: &Element, b: &Element) -> bool {
    if !same(a.namespace, b.namespace) || !same_path(a.path, b.path) {
        return false;
    }
    match (a.kind, b.kind) {
        (Kind::Child(a), Kind::Child(b)) | (Kind::Text(a), Kind::Text(b)) => same(a, b),
        (Kind::Attribute(a, x), Kind::Attribute(b, y)) => !same(a, b) || same(x, y),
        _ => true,
    }
}

const fn in_schema(element: &Element) -> bool {
    let named = same_path(element.path, ISB.path)
        || same_path(element.path, IPAB.path)
        || same_path(element.path, SSS.path);
    let active = match element.place {
        Place::Attribute(name) => same(name, "active"),
        Place::Content => false,
    };
    let boolean = matches!(element.coding, Coding::Boolean | Coding::Inverted);
    named && active && boolean && matches!(element.kind, Kind::Only)
}

const fn same(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a, b) {
            ([], []) => return true,
            ([x, a_tail @ ..], [y, b_tail @ ..]) if *x == *y => (a, b) = (a_tail, b_tail),
            _ => return false,
        }
    }
}

const fn same_path(mut a: &[&str], mut b: &[&str]) -> bool {
    loop {
        match (a, b) {
            ([], []) => return true,
            ([x, a_tail @ ..], [y, b_tail @ ..]) if same(x, y) => (a, b) = (a_tail, b_tail),
            _ => return false,
        }
    }
}

const fn are_names(mut names: &[&str]) -> bool {
    while let [name, tail @ ..] = names {
        if !is_name(name) {
            return false;
        }
        names = tail;
    }
    true
}

/// Namespaces in XML §3, NCName, the ASCII part; `xmlns` declares and is no attribute.
const fn is_name(name: &str) -> bool {
    let [first, rest @ ..] = name.as_bytes() else {
        return false;
    };
    let mut rest = rest;
    while let [byte, tail @ ..] = rest {
        if !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.' | b'_') {
            return false;
        }
        rest = tail;
    }
    let begins = first.is_ascii_alphabetic() || *first == b'_';
    begins && name.len() <= xml::MAX_NAME && !same(name, "xmlns")
}

const fn is_namespace(name: &str) -> bool {
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        if !byte.is_ascii_graphic() {
            return false;
        }
        rest = tail;
    }
    let of_xml = same(name, xml::XML_NAMESPACE) || same(name, xml::XMLNS_NAMESPACE);
    !name.is_empty() && name.len() <= xml::MAX_NAME && !of_xml
}

/// Something to compare with, once white space around it is gone: no control characters, no U+FFFE, U+FFFF.
const fn is_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    if let [] | [b' ', ..] | [.., b' '] = bytes {
        return false;
    }
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if byte.is_ascii_control() || matches!(rest, [0xef, 0xbf, 0xbe | 0xbf, ..]) {
            return false;
        }
        rest = tail;
    }
    true
}
