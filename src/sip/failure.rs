//! How a request fails, and whether it may fare better later.
//!
//! Registrations, publications and subscriptions share this: a refusal is for good, or the same
//! request is worth another try after a wait (see [`backoff`](super::backoff)).

use crate::wire::name::Status;

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Failure {
    /// A final response that is not 2xx and has no input of its own, as 423 has.
    Status {
        /// Its code.
        status: Status,
        /// Its Retry-After, in seconds.
        retry_after: Option<u32>,
    },
    /// The transaction timed out.
    Timeout,
    /// The request could not be sent.
    TransportFailed,
}

impl From<crate::error::Failure> for Failure {
    /// What the client tells its application, as a machine takes it.
    fn from(failure: crate::error::Failure) -> Self {
        use crate::error::Failure as Told;
        let (code, retry_after) = match failure {
            Told::Status {
                status,
                retry_after,
                ..
            } => (status, retry_after),
            Told::Credentials { status } | Told::AnonymityRefused { status } => (status, None),
            Told::Abandoned => (401, None),
            Told::Timeout => return Self::Timeout,
            Told::FlowLost
            | Told::Unreachable
            | Told::TooLargeForPager { .. }
            | Told::NoRoom
            | Told::Interval
            | Told::Security
            | Told::Withdrawn => return Self::TransportFailed,
        };
        match Status::new(code) {
            Some(status) => Self::Status {
                status,
                retry_after,
            },
            None => Self::TransportFailed,
        }
    }
}

/// Whether a refusal may be withdrawn.
pub(super) enum Outlook {
    Temporary,
    Permanent,
}

pub(super) fn outlook(status: Status, retry_after: Option<u32>) -> Outlook {
    match (status.code(), retry_after) {
        // RFC 3261 §21.4.9, §21.4.18; RFC 5626 §11.5.
        (408 | 480 | 430, _) => Outlook::Temporary,
        // RFC 3261 §20.33: these can have a Retry-After, which says that there is a later.
        (404 | 413 | 486 | 600 | 603, Some(_)) => Outlook::Temporary,
        // RFC 3261 §21.5.2, §21.5.6, §21.5.7: the same request will not fare better.
        (501 | 505 | 513, _) => Outlook::Permanent,
        (500..=599, _) => Outlook::Temporary,
        _ => Outlook::Permanent,
    }
}
