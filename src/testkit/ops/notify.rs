//! What a notifier says, as bytes (RFC 6665; RFC 3680; RFC 4354 §5).

use std::format;
use std::prelude::rust_2024::*;

use super::text::mangled;
use super::{Document, Notify, Standing};
use crate::id::FlowId;
use crate::testkit::sip::{Sip, uri_of};

/// A subscription, as its notifier knows it.
pub(super) struct Watched {
    event: String,
    pub(super) call_id: String,
    /// The subscriber, with his tag.
    to: String,
    target: String,
    /// The flow that the last SUBSCRIBE came by.
    pub(super) flow: FlowId,
    cseq: u32,
    version: u32,
}

impl Watched {
    /// The subscription that a SUBSCRIBE asks for.
    pub(super) fn of(flow: FlowId, subscribe: &Sip) -> Option<Self> {
        Some(Self {
            event: subscribe.header("Event")?.to_string(),
            call_id: subscribe.header("Call-ID")?.to_string(),
            to: subscribe.header("From")?.to_string(),
            target: uri_of(subscribe.header("Contact")?).to_string(),
            flow,
            cseq: 0,
            version: 0,
        })
    }

    /// The SUBSCRIBE is one within it.
    pub(super) fn renewed(&mut self, flow: FlowId, subscribe: &Sip) {
        self.flow = flow;
        if let Some(contact) = subscribe.header("Contact") {
            self.target = uri_of(contact).to_string();
        }
    }

    /// A NOTIFY with the whole state.
    pub(super) fn state(&self, expires: u16) -> Notify {
        Notify {
            state: match expires {
                0 => Standing::Terminated {
                    reason: 7,
                    retry_after: None,
                },
                seconds => Standing::Active(seconds),
            },
            fault: 255,
            document: if self.event == "reg" {
                Document::Registration {
                    version: 0,
                    partial: 0,
                    contact: 0,
                    seconds: 3_600,
                }
            } else {
                Document::Settings(1)
            },
            way: 0,
            mangle: Vec::new(),
        }
    }

    /// The bytes of a NOTIFY. `contact` is the URI that the client registered, `published` its settings.
    pub(super) fn notify(
        &mut self,
        what: &Notify,
        via: &str,
        branch: u32,
        contact: &str,
        published: Option<&str>,
    ) -> Vec<u8> {
        let mut sip = Sip::request("NOTIFY", &self.target);
        let tag = if what.fault == 1 {
            "forked"
        } else {
            "servertag"
        };
        let event = match what.fault {
            0 => "presence".to_string(),
            6 => format!("{};id=1", self.event),
            _ => self.event.clone(),
        };
        if what.fault != 3 {
            self.cseq += 1;
        }
        sip.push(
            "Via",
            &format!("SIP/2.0/{via} proxy.example.com;branch=z9hG4bKn{branch}"),
        );
        sip.push("Max-Forwards", "70");
        sip.push("From", &format!("<sip:alice@example.com>;tag={tag}"));
        let to = match what.fault {
            7 => "<sip:alice@example.com>;tag=unknown",
            _ => &self.to,
        };
        sip.push("To", to);
        let call_id = match what.fault {
            2 => "another",
            _ => &self.call_id,
        };
        sip.push("Call-ID", call_id);
        sip.push("CSeq", &format!("{} NOTIFY", self.cseq));
        if what.fault != 8 {
            sip.push("Event", &event);
        }
        if what.fault != 4 {
            sip.push("Contact", "<sip:notifier@proxy.example.com>");
        }
        match what.fault {
            5 => sip.push("Record-Route", "<sip:proxy.example.com;lr>"),
            9 => sip.push("Record-Route", &"<sip:proxy.example.com;lr>,".repeat(40)),
            _ => {}
        }
        if let Some(state) = standing(what.state) {
            sip.push("Subscription-State", &state);
        }
        self.put_document(&mut sip, &what.document, contact, published);
        mangled(sip.to_bytes(), &what.mangle)
    }

    fn put_document(
        &mut self,
        sip: &mut Sip,
        document: &Document,
        contact: &str,
        published: Option<&str>,
    ) {
        let (kind, body) = match document {
            Document::None => return,
            Document::Registration {
                version,
                partial,
                contact: state,
                seconds,
            } => {
                let version = match version % 16 {
                    0..12 => self.version,
                    12 => self.version.saturating_sub(1),
                    13 => self.version + 3,
                    14 => 0,
                    _ => u32::MAX,
                };
                self.version = version.wrapping_add(1);
                let whole = if partial % 2 == 0 { "full" } else { "partial" };
                (
                    "application/reginfo+xml",
                    reginfo(version, whole, contact, *state, *seconds).into_bytes(),
                )
            }
            Document::Settings(n) => {
                // Those of the client itself, or of another device.
                let own = published.unwrap_or(SETTINGS).to_string();
                let text = match n % 4 {
                    0 => own,
                    1 => SETTINGS.to_string(),
                    2 => own.replace("id=\"", "id=\"x"),
                    _ => own.replace("false", "true").replace("id=\"", "id=\"x"),
                };
                ("application/poc-settings+xml", text.into_bytes())
            }
            Document::Other(n, bytes) => (
                [
                    "application/reginfo+xml",
                    "application/poc-settings+xml",
                    "text/plain",
                    "x",
                ][usize::from(*n) % 4],
                bytes.clone(),
            ),
        };
        sip.push("Content-Type", kind);
        sip.body = body;
    }
}

fn standing(state: Standing) -> Option<String> {
    const REASONS: [&str; 9] = [
        "deactivated",
        "probation",
        "rejected",
        "timeout",
        "giveup",
        "noresource",
        "invariant",
        "",
        "whatever",
    ];
    Some(match state {
        Standing::Active(seconds) => format!("active;expires={seconds}"),
        Standing::Timeless => "active".to_string(),
        Standing::Pending(seconds) => format!("pending;expires={seconds}"),
        Standing::Terminated {
            reason,
            retry_after,
        } => {
            let mut text = "terminated".to_string();
            let reason = REASONS[usize::from(reason) % REASONS.len()];
            if !reason.is_empty() {
                text += &format!(";reason={reason}");
            }
            if let Some(seconds) = retry_after {
                text += &format!(";retry-after={seconds}");
            }
            text
        }
        Standing::Missing => return None,
        Standing::Strange => "resting;expires=60".to_string(),
    })
}

fn reginfo(version: u32, whole: &str, contact: &str, state: u8, seconds: u16) -> String {
    let (of_all, state) = match state % 16 {
        0..8 => (
            "active",
            format!("state=\"active\" event=\"registered\" expires=\"{seconds}\""),
        ),
        8..11 => (
            "active",
            format!("state=\"active\" event=\"shortened\" expires=\"{seconds}\""),
        ),
        11 => (
            "terminated",
            "state=\"terminated\" event=\"deactivated\"".to_string(),
        ),
        12 => (
            "terminated",
            format!("state=\"terminated\" event=\"probation\" retry-after=\"{seconds}\""),
        ),
        13 => (
            "terminated",
            "state=\"terminated\" event=\"rejected\"".to_string(),
        ),
        14 => (
            "active",
            "state=\"terminated\" event=\"expired\"".to_string(),
        ),
        _ => ("terminated", String::new()),
    };
    let contact = contact.replace('&', "&amp;");
    let element = if state.is_empty() {
        String::new()
    } else {
        format!("<contact id=\"c\" {state}><uri>{contact}</uri></contact>")
    };
    format!(
        "<?xml version=\"1.0\"?><reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{version}\" state=\"{whole}\">\
         <registration aor=\"sip:alice@example.com\" id=\"a\" state=\"{of_all}\">{element}</registration></reginfo>"
    )
}

/// What another device published.
const SETTINGS: &str = "<?xml version=\"1.0\"?><poc-settings xmlns=\"urn:oma:params:xml:ns:poc:poc-settings\">\
    <entity id=\"another\"><isb-settings><incoming-session-barring active=\"true\"/></isb-settings></entity>\
    </poc-settings>";
