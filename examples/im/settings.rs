//! The IM service settings as words: what is not named has its default.

use std::fmt;

use oma_im::wire::settings::{Barring, OfflineDelivery, Settings, Storing, Visibility};

/// What shall become of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Set(Settings),
    Remove,
}

impl Wish {
    /// `remove`, `default`, or words of [`WORDS`] with commas between them.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        match text.trim() {
            "remove" => return Ok(Self::Remove),
            "default" => return Ok(Self::Set(Settings::DEFAULT)),
            _ => {}
        }
        let mut settings = Settings::DEFAULT;
        for word in text.split(',').map(str::trim) {
            let known = WORDS.iter().find(|(known, _)| *known == word);
            let (_, set) = known.ok_or_else(|| {
                let words = WORDS.map(|(word, _)| word).join(", ");
                format!("settings: {word:?} is none of remove, default, {words}")
            })?;
            set(&mut settings);
        }
        Ok(Self::Set(settings))
    }
}

/// A word, and what it changes.
type Word = (&'static str, fn(&mut Settings));

/// One for each setting of OMA IM 5.2.4 step 8, in its order.
const WORDS: [Word; 7] = [
    ("no-sessions", |it| it.sessions = Barring::Barred),
    ("no-messages", |it| it.messages = Barring::Barred),
    ("invisible", |it| it.visibility = Visibility::Invisible),
    ("fetch", |it| it.offline_delivery = OfflineDelivery::Off),
    ("keep-sessions", |it| it.session_history = Storing::On),
    ("keep-messages", |it| it.message_history = Storing::On),
    ("no-files", |it| it.file_transfers = Barring::Barred),
];

/// Settings as the words that set them.
pub(crate) struct Named(pub(crate) Settings);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |set: fn(&mut Settings)| {
            let mut settings = self.0;
            set(&mut settings);
            settings == self.0
        };
        let words = WORDS.iter().filter(|(_, set)| has(*set));
        let words: Vec<_> = words.map(|(word, _)| *word).collect();
        match words.as_slice() {
            [] => f.write_str("default"),
            words => f.write_str(&words.join(",")),
        }
    }
}
