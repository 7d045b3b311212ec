//! What a test makes the server do instead of its duty.

use std::format;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::hop::sip_uri;
use super::{Feature, ImServer, Incoming, Output};
use crate::testkit::sip::{self, Sip};
use crate::time::Instant;

/// A change to the answer that the server would give.
pub type Edit = Arc<dyn Fn(&mut Sip) + Send + Sync>;

type Condition = Box<dyn Fn(&Sip) -> bool + Send + Sync>;

/// When to misbehave, and how.
///
/// ```
/// use oma_im::testkit::server::{Answer, Rule, Then};
///
/// // The second MESSAGE of alice is refused, everything else goes its way.
/// let rule = Rule::on("MESSAGE").from_user("alice").skip(1).then(Then::Answer(
///     Answer::new(403).header("Warning", r#"119 example.com "Anonymity not allowed""#),
/// ));
/// # let _ = rule;
/// ```
pub struct Rule {
    method: Option<String>,
    from: Option<String>,
    to: Option<String>,
    credentials: bool,
    when: Option<Condition>,
    skip: usize,
    times: usize,
    then: Option<Then>,
}

impl Rule {
    /// Applies once, to the next request of this method. Without [`Rule::then`] it does nothing.
    pub fn on(method: &str) -> Self {
        Self {
            method: Some(method.into()),
            ..Self::any()
        }
    }

    /// Applies once, to the next request.
    pub fn any() -> Self {
        Self {
            method: None,
            from: None,
            to: None,
            credentials: false,
            when: None,
            skip: 0,
            times: 1,
            then: None,
        }
    }

    /// Only if From names this user.
    #[must_use]
    pub fn from_user(mut self, user: &str) -> Self {
        self.from = Some(user.into());
        self
    }

    /// Only if the Request-URI names this user.
    #[must_use]
    pub fn to_user(mut self, user: &str) -> Self {
        self.to = Some(user.into());
        self
    }

    /// Only if the request carries credentials, right or wrong.
    #[must_use]
    pub fn with_credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// Only if this holds for the request.
    ///
    /// ```
    /// use oma_im::testkit::server::{Answer, Rule, Then};
    ///
    /// // Refreshes and changes of a publication are refused, initial ones are not.
    /// let rule = Rule::on("PUBLISH")
    ///     .when(|request| request.header("SIP-If-Match").is_some())
    ///     .then(Then::Answer(Answer::new(412)));
    /// # let _ = rule;
    /// ```
    #[must_use]
    pub fn when(mut self, holds: impl Fn(&Sip) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Box::new(holds));
        self
    }

    /// Lets this many matching requests pass first. Retransmissions do not count.
    #[must_use]
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Applies to this many requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Applies to all matching requests from now on.
    #[must_use]
    pub fn forever(self) -> Self {
        self.times(usize::MAX)
    }

    /// What happens.
    #[must_use]
    pub fn then(mut self, then: Then) -> Self {
        self.then = Some(then);
        self
    }

    fn matches(&self, request: &Sip) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<String>| wanted.is_none() || *wanted == found;
        let user = |uri: &str| sip_uri(uri).map(|uri| uri.user);
        is(&self.method, request.method().map(Into::into))
            && is(
                &self.from,
                request
                    .header("From")
                    .and_then(|from| user(sip::uri_of(from))),
            )
            && is(&self.to, request.uri().and_then(user))
            && (!self.credentials
                || request
                    .header("Authorization")
                    .or(request.header("Proxy-Authorization"))
                    .is_some())
            && self.when.as_ref().is_none_or(|holds| holds(request))
    }
}

/// What a rule makes the server do.
#[derive(Clone)]
pub enum Then {
    /// This answer. Nothing else happens to the request.
    Answer(Answer),
    /// No answer, ever, to retransmissions neither.
    Silence,
    /// The usual thing, but nobody hears of it: the answer is never sent, to retransmissions neither.
    ServeUnheard,
    /// The usual thing, this many milliseconds later.
    Delay(u64),
    /// The connection is closed without an answer; on UDP this is silence.
    CloseFlow,
    /// Credentials are asked for with a new nonce, whatever came with the request; on an IMS core for REGISTER only.
    Challenge,
    /// As [`Then::Challenge`], with `stale=true`.
    ChallengeStale,
    /// The usual thing, but the final answer is changed on its way out. See [`Then::edit`].
    Edit(Edit),
}

impl Then {
    /// The usual thing, but the final answer is changed on its way out.
    pub fn edit(change: impl Fn(&mut Sip) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(change))
    }
}

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    reason: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// An answer with this status and its usual reason phrase.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            reason: reason(status).into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Another reason phrase.
    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }
}

impl ImServer {
    /// Counts the request down in the rules it matches, and gives what the first one that is due says.
    pub(super) fn rule_for(&mut self, request: &Sip) -> Option<Then> {
        for rule in &mut self.rules {
            if rule.times == 0 || rule.then.is_none() || !rule.matches(request) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times = if rule.times == usize::MAX {
                usize::MAX
            } else {
                rule.times - 1
            };
            return rule.then.clone();
        }
        None
    }

    pub(super) fn play(&mut self, now: Instant, incoming: Incoming, then: Then) {
        match then {
            Then::Answer(answer) => {
                let (status, reason) = (answer.status, answer.reason);
                self.note(format!("script: {status} {reason}"));
                let mut response = Sip::response(&incoming.sip, status, &reason, &self.rng.hex());
                response.headers.extend(answer.headers);
                response.body = answer.body;
                self.respond(now, &incoming.key, response);
            }
            Then::Silence => self.note(format!("script: no answer to {}", incoming.key.2)),
            Then::ServeUnheard => {
                self.note(format!("script: the answer to {} is lost", incoming.key.2));
                if let Some(served) = self.served.get_mut(&incoming.key) {
                    served.answering = Feature::Off;
                }
                self.serve(now, incoming);
            }
            Then::Delay(ms) => {
                self.note(format!("script: {} waits {ms} ms", incoming.key.2));
                if let Some(served) = self.served.get_mut(&incoming.key) {
                    served.until = served.until.after(ms);
                }
                self.delayed.push((now.after(ms), incoming));
            }
            Then::CloseFlow => {
                self.note("script: connection closed");
                self.out.push_back(Output::Close { to: incoming.from });
                if let Some(conn) = incoming.from.conn {
                    self.closed(now, conn);
                }
            }
            Then::Challenge | Then::ChallengeStale if self.config.ims.is_some() => {
                self.aka_again(now, &incoming);
            }
            Then::Challenge | Then::ChallengeStale => {
                let register = incoming.key.2 == "REGISTER";
                let config = &self.config;
                let challenges = if register {
                    config.register_auth.clone()
                } else {
                    config.request_auth.clone()
                };
                self.challenge(
                    now,
                    &incoming,
                    &challenges,
                    matches!(then, Then::ChallengeStale),
                );
            }
            Then::Edit(edit) => {
                if let Some(served) = self.served.get_mut(&incoming.key) {
                    served.edit = Some(edit);
                }
                self.serve(now, incoming);
            }
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        421 => "Extension Required",
        423 => "Interval Too Brief",
        433 => "Anonymity Disallowed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        606 => "Not Acceptable",
        _ => "Scripted",
    }
}
