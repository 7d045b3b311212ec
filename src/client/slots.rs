//! The rows of the client's tables.
//!
//! All are plain values with a constant `FREE`, so that tables fit a `static`. A row holds ids,
//! deadlines and block handles; text and bytes lie in the arena.

use crate::arena::Block;
use crate::client::event::SendOutcome;
use crate::client::watch::Watch;
use crate::error::Failure;
use crate::id::{ChallengeId, FlowId, IncomingId, PathId, SendId};
use crate::im::imdn::ReportKind;
use crate::sip::auth::Attempts;
use crate::sip::draft::Cuts;
use crate::sip::transaction::{
    InviteServer, MergeKey, NonInviteClient, NonInviteServer, ServerKey,
};
use crate::time::Instant;

/// Whether something waits to be transmitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Nothing to send.
    Quiet,
    /// The bytes go out at the next poll.
    Due,
}

/// A transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Txn {
    pub(crate) machine: Machine,
    pub(crate) flow: FlowId,
    pub(crate) wire: Wire,
}

/// Which of the machines, with what only it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Machine {
    Free,
    /// A request of ours; its bytes are those of the row in the request table.
    Client {
        machine: NonInviteClient,
        branch: u64,
        method: Code,
        request: Option<u8>,
    },
    /// A request that came in, with its final answer. Once that went out the row shrinks to an
    /// [`Echo`], or goes.
    Server {
        machine: NonInviteServer,
        key: ServerKey,
        merge: Option<MergeKey>,
        tag: u32,
        status: u16,
        /// Seconds of Retry-After; 0: the answer has none.
        retry_after: u16,
        response: Option<Block>,
        incoming: Option<Handed>,
    },
    /// An INVITE that came in and was refused; `response` is kept for its retransmissions.
    InviteServer {
        machine: InviteServer,
        key: ServerKey,
        merge: Option<MergeKey>,
        response: Option<Block>,
    },
}

/// A message that was handed out, while its 200 can still be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) id: IncomingId,
    /// As in [`Seen`]; 0 without a Message-ID.
    pub(crate) copy: u64,
}

/// The methods of our own requests, for matching by CSeq (RFC 3261 §17.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Code {
    Register,
    Message,
    Options,
    Publish,
    Subscribe,
}

impl Txn {
    pub(crate) const FREE: Self = Self {
        machine: Machine::Free,
        flow: FlowId(0),
        wire: Wire::Quiet,
    };

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Free => None,
            Machine::Client { machine, .. } => machine.deadline(),
            Machine::Server { machine, .. } => machine.deadline(),
            Machine::InviteServer { machine, .. } => machine.deadline(),
        }
    }
}

/// A request of ours from command to terminal event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) state: RequestState,
    pub(crate) kind: RequestKind,
    /// The kept request: as drafted, or as it last went out.
    pub(crate) block: Option<Block>,
    /// Where the hop's headers go in it.
    pub(crate) cuts: Cuts,
    /// Hash of the Request-URI: one pending request per target (RFC 3428 §8).
    pub(crate) target: u64,
    /// Order of commands.
    pub(crate) order: u32,
    pub(crate) since: Instant,
    pub(crate) cseq: u32,
    pub(crate) attempts: Attempts,
    /// The path it goes by.
    pub(crate) path: PathId,
    /// Paths that were tried in vain, one bit each.
    pub(crate) tried: u8,
    /// Whether it was sent once more because its flow was lost.
    pub(crate) resent: u8,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestState {
    Free,
    /// It waits for its target, its path or a transaction.
    Queued,
    /// A transaction carries it.
    InFlight,
    /// It waits for `Client::answer`.
    Challenged {
        id: ChallengeId,
        until: Instant,
    },
    /// It is over; the event waits to be polled.
    Ended(Ending),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Sent(SendOutcome),
    Reported(ReportEnding),
}

/// How a report ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportEnding {
    Sent,
    Failed(Failure),
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum RequestKind {
    /// REGISTER, also the one that ends the registration.
    Register,
    /// OPTIONS to keep a datagram flow open.
    KeepAlive,
    /// PUBLISH of the settings (5.2.4).
    Publish,
    /// SUBSCRIBE of a subscription of the client's own.
    Subscribe { watch: Watch, standing: Standing },
    /// A message of the application's.
    Message { id: SendId, privacy: Privacy },
    /// A report on an incoming message.
    Report { id: IncomingId, kind: ReportKind },
}

/// Whether a request goes within a dialog, whose routes are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Standing {
    Outside,
    Within,
}

/// Whether a request hides its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Privacy {
    None,
    Id,
}

impl Request {
    pub(crate) const FREE: Self = Self {
        state: RequestState::Free,
        kind: RequestKind::Register,
        block: None,
        cuts: Cuts::NONE,
        target: 0,
        order: 0,
        since: Instant::ZERO,
        cseq: 0,
        attempts: Attempts::NEW,
        path: PathId(0),
        tried: 0,
        resent: 0,
    };

    /// Whether it is a message of the application's.
    pub(crate) const fn is_message(&self) -> bool {
        matches!(self.kind, RequestKind::Message { .. })
    }

    /// Whether it goes by one path only.
    pub(crate) const fn is_bound(&self) -> bool {
        matches!(
            self.kind,
            RequestKind::Register | RequestKind::KeepAlive | RequestKind::Subscribe { .. }
        )
    }

    /// Whether it counts for its target's queue (RFC 3428 §8).
    pub(crate) const fn is_pager(&self) -> bool {
        matches!(
            self.kind,
            RequestKind::Message { .. } | RequestKind::Report { .. }
        )
    }
}

/// A message that came in and may have reports sent on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// `None`: the row is free.
    pub(crate) id: Option<IncomingId>,
    /// Hash of (sender, Message-ID).
    pub(crate) hash: u64,
    /// What a report needs of the message; see `im::pager`.
    pub(crate) block: Option<Block>,
    pub(crate) delivery: TicketState,
    pub(crate) display: TicketState,
}

/// Where a report of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketState {
    /// It was not asked for, or may not be sent.
    NotAskedFor,
    /// The application has not said that it happened.
    Open,
    /// It happened; the report goes when its target, a row and the arena allow.
    Due { since: Instant },
    /// A request carries it.
    UnderWay,
    /// It is done.
    Done,
    /// It failed; a repetition of the message sends it again.
    Failed,
}

impl Ticket {
    pub(crate) const FREE: Self = Self {
        id: None,
        hash: 0,
        block: None,
        delivery: TicketState::NotAskedFor,
        display: TicketState::NotAskedFor,
    };
}

/// A message of ours whose reports are waited for (8.1.1 NOTE 3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    /// `None`: the row is free.
    pub(crate) id: Option<SendId>,
    /// Hash of the Message-ID.
    pub(crate) hash: u64,
    pub(crate) until: Instant,
}

impl Awaited {
    pub(crate) const FREE: Self = Self {
        id: None,
        hash: 0,
        until: Instant::ZERO,
    };
}

/// A finished server transaction: what it takes to answer a retransmission (24 bytes).
///
/// RFC 3261 §17.2.2: the final response is sent again until Timer J; §8.2.7 allows to build it
/// anew from the retransmitted request. All that is not in there or follows from the status is
/// kept: the To tag and Retry-After.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    key: [u8; 8],
    /// Zero: the request had a To tag, so that no copy of it can be merged. Half of the key: among
    /// so few rows a wrong match is one in thirty million requests.
    merge: [u8; 4],
    pub(crate) tag: u32,
    /// In ticks of 256 ms that begin again at zero after 34 years, rounded up.
    pub(crate) until: u32,
    /// 0: the row is free.
    pub(crate) status: u16,
    /// Seconds of Retry-After; 0: the answer has none.
    pub(crate) retry_after: u16,
}

impl Echo {
    pub(crate) const FREE: Self = Self {
        key: [0; 8],
        merge: [0; 4],
        tag: 0,
        until: 0,
        status: 0,
        retry_after: 0,
    };

    /// The answer `status` with this To tag, to be repeated until then.
    pub(crate) fn new(
        key: ServerKey,
        merge: Option<MergeKey>,
        tag: u32,
        status: u16,
        until: Instant,
        retry_after: u16,
    ) -> Self {
        Self {
            key: key.to_bytes(),
            merge: merge.map_or([0; 4], short),
            tag,
            until: ticks(until).wrapping_add(1),
            status,
            retry_after,
        }
    }

    /// Whether a retransmission would still be answered from it.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.left(now) > 0
    }

    /// Ticks to the end of Timer J; 0: it is over, or the row is free.
    pub(crate) fn left(&self, now: Instant) -> u32 {
        // As serial numbers (RFC 1982): more than half of the circle ahead is behind. The origin
        // of the clock can be anywhere, 1970 included.
        match self.until.wrapping_sub(ticks(now)) {
            left if self.status == 0 || left > u32::MAX / 2 => 0,
            left => left,
        }
    }

    /// Whether it answers this transaction.
    pub(crate) fn answers(&self, key: ServerKey) -> bool {
        self.key == key.to_bytes()
    }

    /// Whether the request that it answered was a copy of this one.
    pub(crate) fn merges(&self, merge: MergeKey) -> bool {
        self.merge == short(merge)
    }
}

/// The first half of a key.
fn short(merge: MergeKey) -> [u8; 4] {
    let [a, b, c, d, ..] = merge.to_bytes();
    [a, b, c, d]
}

/// A time in ticks of 256 ms, for rows that have to be small.
#[allow(clippy::cast_possible_truncation)] // The rest counts how often they began again.
const fn ticks(at: Instant) -> u32 {
    (at.as_millis() >> 8) as u32
}

/// A message that was handed out: hash of (sender, Message-ID); 0: none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(pub(crate) u64);

impl Seen {
    pub(crate) const FREE: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Span;
    use crate::client::credentials::AuthPlace;
    use crate::client::engine::Core;
    use crate::client::flows::{Flow, Path};
    use crate::client::records::Record;

    // `cargo test rows_are_small -- --nocapture` prints the table.
    #[test]
    fn rows_are_small() {
        let rows = [
            ("transaction", size_of::<Txn>(), 96),
            ("request", size_of::<Request>(), 112),
            ("ticket", size_of::<Ticket>(), 56),
            ("awaited", size_of::<Awaited>(), 24),
            ("echo", size_of::<Echo>(), 24),
            ("seen", size_of::<Seen>(), 8),
            ("span", size_of::<Span>(), 16),
            ("event", size_of::<Record>(), 40),
            ("core", size_of::<Core>(), 3904),
            ("path", size_of::<Path>(), 424),
            ("digest", size_of::<AuthPlace>(), 152),
            ("flow", size_of::<Flow>(), 232),
        ];
        for (name, bytes, limit) in rows {
            std::println!("{name:<12} {bytes:>5}");
            assert!(bytes <= limit, "{name}: {bytes} > {limit}");
        }
    }
}
