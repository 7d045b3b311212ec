//! The 401 to a REGISTER on an IMS core: what the card is asked, and what protects the path from then on
//! (TS 24.229 §5.1.1.5; RFC 3310; RFC 3329 §2.3.1).

use super::{AWAIT_AUTH, News, PATH, Saying, SecurityOffer, Set, Stage, Way, Which};
use crate::arena::Block;
use crate::client::account::Field;
use crate::client::credentials::Answer;
use crate::client::engine::{Engine, Row};
use crate::client::flows::Told;
use crate::client::records::Record;
use crate::client::slots::RequestState;
use crate::config::{SecurityFloor, Transport};
use crate::error::CommandError;
use crate::id::{ChallengeId, OpenId, SecurityId};
use crate::limits::{MAX_CHALLENGE, MAX_MECHANISMS, MAX_SECURITY_LIST};
use crate::wire::digest::{
    AkaNonce, AkaV2Password, Algorithm, Answer as DigestAnswer, Challenge, Challenges, Cnonce,
    Secret,
};
use crate::wire::header::{Encryption, Ipsec3gpp, choose_ipsec, put_security_list};
use crate::wire::message::Message;
use crate::wire::name::Name;
use crate::wire::sink::Sink;

/// The bytes of a RES (TS 33.102 §6.3.7: 32 to 128 bits).
const RES: core::ops::RangeInclusive<usize> = 4..=16;

impl Engine<'_> {
    /// A 401 to the REGISTER of this row.
    pub(crate) fn aka_challenged(&mut self, row: Row, message: &Message<'_>) {
        // The answer to a challenge was not good enough: another one would not be better.
        let answered = self.core.ims.coming().is_some();
        let agreed = if answered { None } else { self.agreed(message) };
        let Some((challenge, theirs, list)) = agreed else {
            count!(self, challenges_ignored);
            return self.give_up();
        };
        let (server, transport) = {
            let flow = self.register_flow(PATH).and_then(|flow| self.flow(flow));
            match flow {
                Some(flow) => (flow.remote.ip(), flow.transport),
                None => (core::net::Ipv4Addr::UNSPECIFIED.into(), Transport::Udp),
            }
        };
        let (kept, listed) = (self.arena.alloc(challenge), self.keep_security_list(list));
        let (Ok(kept), Some(listed), Some(ours)) = (kept, listed, self.core.ims.offer) else {
            for block in kept.ok().into_iter().chain(listed) {
                self.arena.free(block);
            }
            return self.give_up();
        };
        if let Some(old) = self.core.ims.challenge.replace(kept) {
            self.arena.free(old);
        }
        // The one before the one in use has had its time.
        self.drop_set(Which::Other);
        let wait = u64::from(self.core.policy.answer_timeout).saturating_mul(1_000);
        let until = self.core.now.after(wait);
        self.core.ims.other = Some(Set {
            id: SecurityId(self.next_id()),
            stage: Stage::Challenged,
            news: News::None,
            suite: theirs.suite,
            ours,
            theirs: SecurityOffer::from(theirs),
            server,
            transport,
            list: listed,
            out: Way::None,
            back: Way::None,
            until,
        });
        let id = ChallengeId(self.next_id());
        self.forget_transaction(row);
        if let Some(request) = self.requests.get_mut(row.0) {
            request.state = RequestState::Challenged { id, until };
        }
        self.emit(Record::Challenge { id });
    }

    /// The challenge for the card, and what the P-CSCF takes of our offer; `None`: nothing of use.
    fn agreed<'m, 'b>(
        &self,
        message: &'m Message<'b>,
    ) -> Option<(&'b [u8], Ipsec3gpp, &'m Message<'b>)> {
        let policy = self.core.policy.ims?;
        let before = self.core.ims.challenge.map(|block| self.arena.get(block));
        let before = before.and_then(|kept| Challenge::parse(kept).ok());
        let realm = self.core.account.get(&self.arena, Field::Realm);
        let fits = |challenge: &Challenge<'_>| {
            challenge.algorithm.is_aka()
                && challenge.as_bytes().len() <= MAX_CHALLENGE
                && challenge.qop_to_use().is_ok()
                && AkaNonce::parse(challenge.nonce).is_ok()
                && (realm.is_empty() || challenge.realm == *realm)
                // It does not change while we talk.
                && before.is_none_or(|before| {
                    before.algorithm == challenge.algorithm
                        && before.realm.as_received() == challenge.realm.as_received()
                })
        };
        let challenges = message.all(Name::WwwAuthenticate).flat_map(Challenges::new);
        // RFC 8760 §2.4: the topmost one that can be answered.
        let challenge = challenges.filter_map(Result::ok).find(fits)?;
        let mut offered = heapless::Vec::<_, MAX_MECHANISMS>::new();
        for suite in policy.suites() {
            // There are as many places as mechanisms.
            let _ = offered.push(suite);
        }
        let theirs = choose_ipsec(message.values(Name::SecurityServer), &offered)?;
        let strong = match policy.floor {
            SecurityFloor::Offered => true,
            SecurityFloor::Encrypted => theirs.suite.ealg != Encryption::Null,
        };
        strong.then_some((challenge.as_bytes(), theirs, message))
    }

    fn keep_security_list(&mut self, message: &Message<'_>) -> Option<Block> {
        let written = self.arena.alloc_with(|out| {
            let most = out.len().min(MAX_SECURITY_LIST);
            let mut sink = Sink::new(out.get_mut(..most).unwrap_or_default());
            put_security_list(&mut sink, message.all(Name::SecurityServer));
            sink.finish()
        });
        written.ok()
    }

    /// The challenge that waits for the card.
    pub(crate) fn aka_challenge_block(&self) -> Option<Block> {
        self.core.ims.challenge.filter(|_| self.is_ims())
    }

    /// `Client::answer` to a challenge for the card.
    pub(crate) fn aka_answer(&mut self, row: Row, answer: Answer<'_>) -> Result<(), CommandError> {
        match answer {
            Answer::Abandon => {
                self.abandon(row);
                Ok(())
            }
            // TS 24.229 §5.1.1.5.3: the failure is told outside of what the challenge would have set up.
            Answer::Auts(auts) => {
                self.refused_by_card(row, Saying::SyncFailure(auts));
                Ok(())
            }
            Answer::MacWrong => {
                self.refused_by_card(row, Saying::MacFailure);
                Ok(())
            }
            Answer::Res(res) => self.answered_by_card(row, res, None),
            Answer::ResIkCk { res, ik, ck } => self.answered_by_card(row, res, Some((ik, ck))),
            Answer::Password(_) | Answer::Ha1(_) => Err(CommandError::Answer),
        }
    }

    fn refused_by_card(&mut self, row: Row, saying: Saying) {
        self.drop_coming();
        let most = self.core.policy.ims.map_or(0, |ims| ims.invalid_challenges);
        let ims = &mut self.core.ims;
        ims.invalid = ims.invalid.saturating_add(1);
        if ims.invalid >= most {
            // TS 24.229 §5.1.1.5.3: no more than two are answered; another attempt comes after a while.
            return self.give_up();
        }
        ims.saying = saying;
        self.free_row(row);
        self.want_offer();
    }

    /// The response is computed at once; RES, IK and CK are not kept.
    fn answered_by_card(
        &mut self,
        row: Row,
        res: &[u8],
        keys: Option<([u8; 16], [u8; 16])>,
    ) -> Result<(), CommandError> {
        if !RES.contains(&res.len()) {
            return Err(CommandError::Answer);
        }
        let cnonce = Cnonce(self.core.entropy.u64());
        let kept = self.core.ims.challenge.map(|block| self.arena.get(block));
        let challenge = kept.and_then(|kept| Challenge::parse(kept).ok());
        let challenge = challenge.ok_or(CommandError::UnknownId)?;
        let derived = match (challenge.algorithm, keys) {
            (Algorithm::AkaV2Md5, None) => return Err(CommandError::Answer),
            (Algorithm::AkaV2Md5, Some((ik, ck))) => Some(AkaV2Password::new(res, &ik, &ck)),
            _ => None,
        };
        let password = derived.as_ref().map_or(res, AkaV2Password::as_bytes);
        let answer = DigestAnswer {
            username: self.core.account.get(&self.arena, Field::User),
            secret: Secret::Password(password),
            method: b"REGISTER",
            uri: self.core.account.get(&self.arena, Field::Registrar),
            body: &[],
            cnonce,
            nc: 1,
        };
        let response = answer
            .response(&challenge)
            .map_err(|_| CommandError::Answer)?;
        let (out, back) = (OpenId(self.next_id()), OpenId(self.next_id()));
        let way = |open| Way::Opening {
            open,
            told: Told::No,
        };
        let until = self.core.now.after(AWAIT_AUTH);
        let ims = &mut self.core.ims;
        let set = ims.set_mut(Which::Other).ok_or(CommandError::UnknownId)?;
        set.stage = Stage::Temporary;
        set.until = until;
        set.news = News::Install;
        set.out = way(out);
        // TS 24.229 §5.1.1.2.2: over UDP a path is two flows of one way each, over TCP one connection.
        set.back = match set.transport {
            Transport::Udp => way(back),
            Transport::Tcp | Transport::Tls => Way::None,
        };
        ims.saying = Saying::Proof;
        ims.proof = Some(response);
        ims.cnonce = cnonce;
        ims.invalid = 0;
        self.free_row(row);
        Ok(())
    }
}
