//! A look from inside, for tests: whether every block of the arena has its one owner.

use std::vec::Vec;

use crate::arena::Block;
use crate::client::Client;
use crate::client::engine::OneShotBytes;
use crate::client::records::Record;
use crate::client::slots::Machine;
use crate::storage::Storage;

/// What holds blocks of the arena, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Holders {
    /// Account, registration and challenges.
    pub registration: usize,
    /// The secret that the application gave.
    pub secret: usize,
    /// Requests of ours.
    pub requests: usize,
    /// Answers, waiting reports and what was handed out last.
    pub answers: usize,
    /// Messages that may be reported on.
    pub tickets: usize,
}

impl<S: Storage> Client<S> {
    /// Who holds blocks.
    ///
    /// # Panics
    /// If a block has no owner, or two.
    pub fn audit(&mut self) -> Holders {
        let engine = self.look();
        let core = &engine.core;
        let mut all: Vec<Block> = Vec::new();
        let mut count = |blocks: &mut dyn Iterator<Item = Option<Block>>| {
            let before = all.len();
            all.extend(blocks.flatten());
            all.len().saturating_sub(before)
        };
        let paths = core.paths.iter().flat_map(|path| {
            [path.route, path.associated, path.gruus]
                .into_iter()
                .chain(path.auth_register.blocks())
                .chain(path.auth_other.blocks())
        });
        let own = core::iter::once(core.account.block()).chain(core.ims.blocks());
        let registration = count(&mut own.chain(paths));
        let secret = count(&mut core::iter::once(core.given.map(|given| given.block())));
        let requests = count(&mut engine.requests.iter().map(|request| request.block));
        let one_shots = core.one_shots.iter().map(|one| match one.bytes {
            OneShotBytes::Block(block) => Some(block),
            OneShotBytes::Ping | OneShotBytes::Pong | OneShotBytes::Stun(_) => None,
        });
        let reports = core.events.iter().map(|record| match record {
            Record::Reports { block, .. } => Some(*block),
            _ => None,
        });
        let responses = engine.txns.iter().map(|txn| match txn.machine {
            Machine::Server { response, .. } | Machine::InviteServer { response, .. } => response,
            Machine::Client { .. } | Machine::Free => None,
        });
        let spent = core::iter::once(core.spent);
        let answers = count(&mut spent.chain(one_shots).chain(reports).chain(responses));
        let tickets = count(&mut engine.tickets.iter().map(|ticket| ticket.block));
        let holders = Holders {
            registration,
            secret,
            requests,
            answers,
            tickets,
        };
        for (at, block) in all.iter().enumerate() {
            let _live = engine.arena.get(*block);
            let rest = all.iter().skip(at.saturating_add(1));
            assert!(
                rest.clone().all(|other| other != block),
                "two owners: {holders:?}"
            );
        }
        assert_eq!(
            all.len(),
            engine.arena.blocks(),
            "a block without owner: {holders:?}"
        );
        holders
    }
}
