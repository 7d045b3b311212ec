//! Events while they wait: plain values, whose text stays in the arena until they are polled.

use core::net::SocketAddr;

use crate::arena::Block;
use crate::client::event::{ReportOutcome, Trust};
use crate::client::settings::{SettingsChange, SettingsOutcome};
use crate::client::watch::{Watch, WatchChange};
use crate::error::Failure;
use crate::id::{ChallengeId, IncomingId, PathId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::time::Instant;

/// A waiting event.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Record {
    Registered {
        path: PathId,
        expires: u32,
    },
    Refreshed {
        path: PathId,
        expires: u32,
    },
    Lost {
        path: PathId,
    },
    Retrying {
        path: PathId,
        failure: Failure,
        retry_at: Instant,
    },
    Failed {
        path: PathId,
        failure: Failure,
    },
    Deregistered,
    SettingsDone {
        id: SettingsId,
        outcome: SettingsOutcome,
    },
    Settings {
        change: SettingsChange,
    },
    RetrieveDeferred,
    Watch {
        watch: Watch,
        change: WatchChange,
    },
    /// One document, or several: polled one report at a time.
    Reports {
        block: Block,
        next: u16,
        trust: Trust,
    },
    WindowClosed {
        id: SendId,
    },
    ReportDone {
        id: IncomingId,
        kind: ReportKind,
        outcome: ReportOutcome,
    },
    Challenge {
        id: ChallengeId,
    },
    Mapped {
        path: PathId,
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        address: SocketAddr,
    },
    OwnerMustRegister,
}
