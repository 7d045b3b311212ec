//! What a session has to tell, as a line for people or as a JSON object for scripts.

use oma_im::client::{
    ReportOutcome, SecurityOffer, SendOutcome, SettingsChange, SettingsOutcome, Watch, WatchChange,
};
use oma_im::error::Failure;
use oma_im::im::imdn::ReportKind;
use oma_im::testkit::export::json_string;
use oma_im::wire::digest::Algorithm;
use oma_im::wire::imdn::Disposition;

use super::settings::Named;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happened {
    Registered {
        expires: u32,
        /// P-Associated-URI, as it came.
        associated: String,
    },
    Refreshed {
        expires: u32,
    },
    /// The registration is gone and made anew.
    Lost,
    /// The server said no, or nothing; the next attempt is in so many milliseconds.
    Retrying {
        failure: Failure,
        in_ms: u64,
    },
    RegistrationFailed(Failure),
    Deregistered,
    /// A message was taken to be sent.
    Sending {
        id: u32,
        to: String,
        text: String,
    },
    Sent {
        id: u32,
        outcome: SendOutcome,
    },
    Message {
        id: u32,
        from: String,
        /// Whether the server vouches for `from`.
        asserted: bool,
        display: Option<String>,
        called: String,
        text: String,
    },
    /// A report on a message of ours; without an id, on one that nobody here knows.
    Report {
        id: Option<u32>,
        disposition: Disposition,
        recipient: String,
    },
    /// A report of ours.
    ReportSent {
        id: u32,
        kind: ReportKind,
        outcome: ReportOutcome,
    },
    /// A command on the settings has ended.
    SettingsDone {
        id: u32,
        outcome: SettingsOutcome,
    },
    /// The settings changed without a command.
    Settings(SettingsChange),
    /// Messages that came while the user was away are to be fetched.
    RetrieveDeferred,
    /// A subscription of the client's own changed.
    Watch {
        watch: Watch,
        change: WatchChange,
        again_in_ms: Option<u64>,
    },
    /// The card was asked.
    Challenged(Algorithm),
    /// The path leads over these ports from now on.
    Protected {
        ours: SecurityOffer,
        theirs: SecurityOffer,
    },
    /// The server sees us at another address.
    Mapped(String),
    /// A command was refused.
    Refused(String),
    /// The session ends without having done its work.
    Unfinished(String),
}

impl Happened {
    /// One JSON object, without line end.
    pub(crate) fn json(&self) -> String {
        let object = |event: &str| Object(format!("{{\"event\":{}", json_string(event)));
        match self {
            Self::Registered {
                expires,
                associated,
            } => object("registered")
                .number("expires", *expires)
                .text("associated", associated),
            Self::Refreshed { expires } => object("refreshed").number("expires", *expires),
            Self::Lost => object("lost"),
            Self::Retrying { failure, in_ms } => {
                object("retrying").failure(failure).number("in_ms", *in_ms)
            }
            Self::RegistrationFailed(failure) => object("error")
                .text("what", "registration")
                .failure(failure),
            Self::Deregistered => object("deregistered"),
            Self::Sending { id, to, text } => object("sending")
                .number("id", *id)
                .text("to", to)
                .text("text", text),
            Self::Sent { id, outcome } => {
                let sent = object("sent").number("id", *id);
                match outcome {
                    SendOutcome::Delivered { status } => {
                        sent.text("outcome", "delivered").number("status", *status)
                    }
                    SendOutcome::Accepted => {
                        sent.text("outcome", "accepted").number("status", 202_u32)
                    }
                    SendOutcome::Withdrawn => sent.text("outcome", "withdrawn"),
                    SendOutcome::Failed(failure) => sent.text("outcome", "failed").failure(failure),
                }
            }
            Self::Message {
                id,
                from,
                asserted,
                display,
                called,
                text,
            } => {
                let message = object("message").number("id", *id).text("from", from);
                let asserted = if *asserted { "true" } else { "false" };
                let message = message.raw("asserted", asserted);
                let message = match display {
                    Some(display) => message.text("display", display),
                    None => message,
                };
                message.text("to", called).text("text", text)
            }
            Self::Report {
                id,
                disposition,
                recipient,
            } => {
                let report = object("report");
                let report = match id {
                    Some(id) => report.number("id", *id),
                    None => report.raw("id", "null"),
                };
                report
                    .text("kind", kind(disposition))
                    .text("status", disposition.status())
                    .text("recipient", recipient)
            }
            Self::ReportSent { id, kind, outcome } => {
                let sent = object("report_sent").number("id", *id).text(
                    "kind",
                    match kind {
                        ReportKind::Delivery => "delivery",
                        ReportKind::Display => "display",
                    },
                );
                match outcome {
                    ReportOutcome::Sent => sent.text("outcome", "sent"),
                    ReportOutcome::Failed(failure) => {
                        sent.text("outcome", "failed").failure(failure)
                    }
                    ReportOutcome::PeerRefuses => sent.text("outcome", "peer refuses"),
                    ReportOutcome::TooMany => sent.text("outcome", "too many"),
                }
            }
            Self::SettingsDone { id, outcome } => {
                let done = object("settings").number("id", *id);
                match outcome {
                    SettingsOutcome::InEffect { settings, expires } => done
                        .text("outcome", "in effect")
                        .text("settings", &Named(*settings).to_string())
                        .number("expires", *expires),
                    SettingsOutcome::Removed => done.text("outcome", "removed"),
                    SettingsOutcome::RunsOut { expires } => {
                        done.text("outcome", "run out").number("expires", *expires)
                    }
                    SettingsOutcome::Superseded => done.text("outcome", "superseded"),
                    SettingsOutcome::Withdrawn => done.text("outcome", "withdrawn"),
                    SettingsOutcome::Failed(failure) => {
                        done.text("outcome", "failed").failure(failure)
                    }
                }
            }
            Self::Settings(change) => {
                let changed = object("settings_changed");
                match change {
                    SettingsChange::InEffect { settings, expires } => changed
                        .text("what", "in effect")
                        .text("settings", &Named(*settings).to_string())
                        .number("expires", *expires),
                    SettingsChange::Elsewhere { .. } => changed.text("what", "elsewhere"),
                    SettingsChange::Lost => changed.text("what", "lost"),
                    SettingsChange::Retrying { failure, .. } => {
                        changed.text("what", "retrying").failure(failure)
                    }
                    SettingsChange::GivenUp(failure) => {
                        changed.text("what", "given up").failure(failure)
                    }
                }
            }
            Self::RetrieveDeferred => object("retrieve_deferred"),
            Self::Watch {
                watch,
                change,
                again_in_ms,
            } => {
                let changed = object("watch").text("watch", watched(*watch));
                let changed = match change {
                    WatchChange::Active => changed.text("what", "active"),
                    WatchChange::Pending => changed.text("what", "pending"),
                    WatchChange::Failing(failure) => {
                        changed.text("what", "failing").failure(failure)
                    }
                    WatchChange::Ended { failure, .. } => {
                        changed.text("what", "ended").failure(failure)
                    }
                };
                match again_in_ms {
                    Some(ms) => changed.number("again_in_ms", *ms),
                    None => changed,
                }
            }
            Self::Challenged(algorithm) => {
                object("challenged").text("algorithm", &format!("{algorithm:?}"))
            }
            Self::Protected { ours, theirs } => object("protected")
                .number("port_c", ours.port_c)
                .number("port_s", ours.port_s)
                .number("their_port_c", theirs.port_c)
                .number("their_port_s", theirs.port_s),
            Self::Mapped(address) => object("mapped").text("address", address),
            Self::Refused(text) => object("error").text("what", "command").text("text", text),
            Self::Unfinished(text) => object("error").text("what", "session").text("text", text),
        }
        .finish()
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Registered { expires, .. } => format!("registered for {expires} s"),
            Self::Refreshed { expires } => format!("registration refreshed for {expires} s"),
            Self::Lost => "registration lost, working on a new one".into(),
            Self::Retrying { failure, in_ms } => {
                format!(
                    "not registered: {failure}; again in {} s",
                    in_ms.div_ceil(1000)
                )
            }
            Self::RegistrationFailed(failure) => format!("not registered: {failure}"),
            Self::Deregistered => "registration taken back".into(),
            Self::Sending { id, to, text } => format!("#{id} to {to}: {text}"),
            Self::Sent { id, outcome } => match outcome {
                SendOutcome::Delivered { status } => format!("#{id} delivered ({status})"),
                SendOutcome::Accepted => format!("#{id} accepted by the server (202)"),
                SendOutcome::Withdrawn => format!("#{id} withdrawn"),
                SendOutcome::Failed(failure) => format!("#{id} failed: {failure}"),
            },
            Self::Message {
                from,
                asserted,
                display,
                text,
                ..
            } => {
                let name = display.as_ref().map(|name| format!("{name} "));
                let name = name.unwrap_or_default();
                let doubt = if *asserted { "" } else { " (not asserted)" };
                format!("{name}<{from}>{doubt}: {text}")
            }
            Self::Report {
                id,
                disposition,
                recipient,
            } => {
                let id = id.map_or("an earlier message".into(), |id| format!("#{id}"));
                let (kind, status) = (kind(disposition), disposition.status());
                format!("{id}: {kind} report from {recipient}: {status}")
            }
            Self::ReportSent { kind, outcome, .. } => match outcome {
                ReportOutcome::Sent => format!("{kind:?} report sent"),
                outcome => format!("{kind:?} report not sent: {outcome:?}"),
            },
            Self::SettingsDone { outcome, .. } => match outcome {
                SettingsOutcome::InEffect { settings, expires } => {
                    format!("settings in effect for {expires} s: {}", Named(*settings))
                }
                SettingsOutcome::Removed => "settings removed: the server's defaults hold".into(),
                SettingsOutcome::RunsOut { expires } => {
                    format!("settings cannot be removed, they run out in {expires} s")
                }
                SettingsOutcome::Superseded => "settings superseded by later ones".into(),
                SettingsOutcome::Withdrawn => "settings not set: the registration ended".into(),
                SettingsOutcome::Failed(failure) => format!("settings not set: {failure}"),
            },
            Self::Settings(change) => match change {
                SettingsChange::InEffect { settings, expires } => {
                    format!(
                        "settings still in effect, {expires} s more: {}",
                        Named(*settings)
                    )
                }
                SettingsChange::Elsewhere { .. } => "another device changed the settings".into(),
                SettingsChange::Lost => "settings lost".into(),
                SettingsChange::Retrying { failure, .. } => {
                    format!("settings not set yet: {failure}")
                }
                SettingsChange::GivenUp(failure) => format!("settings given up: {failure}"),
            },
            Self::RetrieveDeferred => "deferred messages have to be fetched".into(),
            Self::Watch { watch, change, .. } => {
                let watch = watched(*watch);
                match change {
                    WatchChange::Active => format!("the network tells of the {watch}"),
                    WatchChange::Pending => format!("the network may tell of the {watch} later"),
                    WatchChange::Failing(failure) => {
                        format!("the network may stop to tell of the {watch}: {failure}")
                    }
                    WatchChange::Ended { failure, .. } => {
                        format!("the network does not tell of the {watch}: {failure}")
                    }
                }
            }
            Self::Challenged(algorithm) => format!("the card is asked ({algorithm:?})"),
            Self::Protected { ours, theirs } => format!(
                "from port {} to {} and from {} to {} now, unprotected: there is no IPsec here",
                ours.port_c, theirs.port_s, theirs.port_c, ours.port_s
            ),
            Self::Mapped(address) => format!("the server sees us at {address}"),
            Self::Refused(text) | Self::Unfinished(text) => text.clone(),
        }
    }
}

fn watched(watch: Watch) -> &'static str {
    match watch {
        Watch::Registration => "registration",
        Watch::Settings => "settings",
    }
}

fn kind(disposition: &Disposition) -> &'static str {
    match disposition {
        Disposition::Delivery(_) => "delivery",
        Disposition::Display(_) => "display",
        Disposition::Processing(_) => "processing",
    }
}

/// A JSON object under way.
struct Object(String);

impl Object {
    fn raw(mut self, key: &str, value: &str) -> Self {
        self.0 += &format!(",{}:{value}", json_string(key));
        self
    }

    fn number(self, key: &str, value: impl Into<u64>) -> Self {
        let value: u64 = value.into();
        self.raw(key, &value.to_string())
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, &json_string(value))
    }

    /// The status, if the peer gave one, and what it means.
    fn failure(self, failure: &Failure) -> Self {
        let object = match failure {
            Failure::Status { status, .. }
            | Failure::Credentials { status }
            | Failure::AnonymityRefused { status } => self.number("status", *status),
            _ => self,
        };
        object.text("text", &failure.to_string())
    }

    fn finish(self) -> String {
        self.0 + "}"
    }
}
