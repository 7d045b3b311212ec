//! GRUUs: URIs that lead to this one device, wherever it is (RFC 5627).
//!
//! A registrar gives a binding a public GRUU and temporary ones: in the 200 to REGISTER, and to who
//! watches the registration in NOTIFY (RFC 5628). What is none is counted and passed over; the
//! others are kept with the binding, and go with it. They stand in the Contact of what begins a
//! dialog or moves its target (§4.4), never in that of a REGISTER. One that cannot be used any
//! longer is replaced in the subscriptions that gave it out.
//!
//! An adopted registration has none for us: its GRUUs lead to who holds it.

use crate::arena::{Block, Blocks};
use crate::client::account::Field;
use crate::client::engine::Engine;
use crate::config::Gruu;
use crate::id::PathId;
use crate::im::pager::Anonymity;
use crate::im::tags;
use crate::limits::MAX_GRUU;
use crate::sip::draft::hex;
use crate::sip::transaction::key::hash;
use crate::wire::header::{Contact, Text};
use crate::wire::reginfo::{self, TempGruu};
use crate::wire::scan;
use crate::wire::sink::Sink;
use crate::wire::uri::Uri;
use crate::wire::writer::{UriText, Value};
use crate::wire::xml;

/// The GRUUs of a binding, as its block has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gruus<'a> {
    followed: Followed,
    /// Call-ID and CSeq of the REGISTER that the temporary one came of.
    call_id: u64,
    cseq: u32,
    /// Empty: there is none.
    public: &'a [u8],
    /// Empty: there is none.
    temporary: &'a [u8],
}

/// Whether the notifiers were told of a change since the last 200 to REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    No,
    Yes,
}

/// What a NOTIFY says of the GRUUs of a binding (RFC 5628 §5).
#[derive(Clone, Copy)]
pub(crate) struct Notified<'b> {
    callid: Option<xml::Text<'b>>,
    cseq: Option<u32>,
    public: Option<xml::Text<'b>>,
    temporary: Option<TempGruu<'b>>,
}

impl<'b> Notified<'b> {
    /// `None`: it says nothing of them.
    pub(crate) fn of(contact: &reginfo::Contact<'b>) -> Option<Self> {
        let said = contact.pub_gruu.is_some() || contact.temp_gruu.is_some();
        said.then_some(Self {
            callid: contact.callid,
            cseq: contact.cseq,
            public: contact.pub_gruu,
            temporary: contact.temp_gruu,
        })
    }
}

impl<'a> Gruus<'a> {
    const NONE: Self = Self {
        followed: Followed::No,
        call_id: 0,
        cseq: 0,
        public: &[],
        temporary: &[],
    };

    /// A block: whether it was followed, Call-ID and CSeq, then the two with a space between, which
    /// no URI has.
    fn read(bytes: &'a [u8]) -> Self {
        let read = || {
            let ([followed], rest) = bytes.split_first_chunk()?;
            let (call_id, rest) = rest.split_first_chunk::<8>()?;
            let (cseq, rest) = rest.split_first_chunk::<4>()?;
            let end = rest.iter().position(|byte| *byte == b' ')?;
            let (public, temporary) = rest.split_at_checked(end)?;
            Some(Self {
                followed: if *followed == 0 {
                    Followed::No
                } else {
                    Followed::Yes
                },
                call_id: u64::from_be_bytes(*call_id),
                cseq: u32::from_be_bytes(*cseq),
                public,
                temporary: temporary.get(1..)?,
            })
        };
        read().unwrap_or(Self::NONE)
    }

    fn put(&self, sink: &mut Sink<'_>) {
        sink.put(&[self.followed as u8]);
        sink.put(&self.call_id.to_be_bytes());
        sink.put(&self.cseq.to_be_bytes());
        sink.put(self.public);
        sink.put(b" ");
        sink.put(self.temporary);
    }

    /// As [`Engine::shown_gruu`].
    fn shown(&self, seed: u64) -> u64 {
        match (self.public, self.temporary) {
            ([], []) => 0,
            // RFC 5627 §4.2: the one before stays good.
            ([], _) => 1,
            // Neither of the two.
            (public, _) => hash(seed, &[public]) | 2,
        }
    }

    /// The one for a Contact, where `call_id` is that of the REGISTERs now.
    ///
    /// RFC 5627 §4.4, §10.3: an anonymous request shows none but a temporary one; other ones show
    /// the public one, so that a dialog outlives many registrations. A temporary one is good as
    /// long as the Call-ID of REGISTER is that of the one that it came of.
    fn choose(self, anonymity: Anonymity, call_id: u64) -> Option<UriText<'a>> {
        let temporary = if self.call_id == call_id {
            self.temporary
        } else {
            &[]
        };
        let chosen = match anonymity {
            Anonymity::None if !self.public.is_empty() => self.public,
            Anonymity::None | Anonymity::Id => temporary,
        };
        UriText::new(chosen).ok()
    }
}

/// The GRUUs of a binding that stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundGruus {
    block: Block,
    /// Of its REGISTERs now.
    call_id: u64,
}

impl BoundGruus {
    /// The one for a Contact.
    pub(crate) fn choose(
        self,
        blocks: Blocks<'_>,
        anonymity: Anonymity,
    ) -> Option<GruuContact<'_>> {
        let gruus = Gruus::read(blocks.get(self.block));
        gruus.choose(anonymity, self.call_id).map(GruuContact)
    }
}

/// A Contact that is a GRUU, with the one tag that IM needs (5.2.4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct GruuContact<'a>(UriText<'a>);

impl crate::wire::writer::sealed::Sealed for GruuContact<'_> {}
impl Value for GruuContact<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put(b"<");
        sink.put(self.0.as_bytes());
        sink.put(b">;");
        sink.put(tags::FEATURE_TAG.as_bytes());
    }
}

impl Engine<'_> {
    /// The GRUUs that a binding has, while it stands: RFC 5627 §4.4 allows no others.
    pub(crate) fn bound_gruus(&self, path_id: PathId) -> Option<BoundGruus> {
        let path = self.path(path_id)?;
        let until = path.registration.bound_until()?;
        let block = path.gruus.filter(|_| until > self.core.now)?;
        Some(BoundGruus {
            block,
            call_id: path.call_id,
        })
    }

    /// What a 200 to REGISTER says of the GRUUs of our binding (RFC 5627 §4.2). What it does not
    /// have is not known any more.
    pub(super) fn keep_gruus(&mut self, path_id: PathId, binding: Option<&Contact<'_>>) {
        // RFC 5627 §4.2: they are those of the instance.
        let binding = binding
            .filter(|_| self.core.policy.gruu == Gruu::On)
            .filter(|binding| self.is_of_instance(binding));
        let (mut public, mut temporary) = ([0; MAX_GRUU], [0; MAX_GRUU]);
        let public = binding.and_then(|binding| parameter(binding, b"pub-gruu", &mut public));
        let temporary =
            binding.and_then(|binding| parameter(binding, b"temp-gruu", &mut temporary));
        let (public, temporary) = (self.fit(public), self.fit(temporary));
        let Some(path) = self.path(path_id) else {
            return;
        };
        let gruus = Gruus {
            followed: Followed::No,
            call_id: path.call_id,
            cseq: path.cseq,
            public,
            temporary,
        };
        self.replace_gruus(path_id, gruus);
    }

    /// What a NOTIFY says of them (RFC 5628 §6).
    pub(crate) fn notified_gruus(&mut self, path_id: PathId, said: Notified<'_>) {
        let Some(path) = self.path(path_id) else {
            return;
        };
        if self.core.policy.gruu == Gruu::Off || path.registration.bound_until().is_none() {
            // RFC 5627 §4.4: there is a registration, or they are not to be used.
            return;
        }
        let call_id = path.call_id;
        // Where the last 200 had none, what came before it does not bring them back.
        let known_cseq = match path.gruus {
            Some(_) => self.known(path_id).cseq,
            None => path.cseq,
        };
        let mut cseq = known_cseq;
        let mut digits = [0; 16];
        // `None`: it does not say which REGISTER it speaks of.
        let same = said.callid.map(|callid| {
            let read = callid.read_into(&mut digits);
            read.is_some_and(|read| read.len() == 16 && hex(read.as_bytes()) == Some(call_id))
        });
        if same == Some(true) && said.cseq.is_some_and(|said| said < known_cseq) {
            // A 200 that came since knows better.
            return;
        }
        let (mut public, mut temporary) = ([0; MAX_GRUU], [0; MAX_GRUU]);
        // RFC 5628 §6: where there is a new public one, the one before does not work any longer.
        let public = match said.public {
            Some(text) => self.fit(Some(written(text, &mut public))),
            None => copy(self.known(path_id).public, &mut public),
        };
        let new = match (said.temporary, same) {
            (Some(said), Some(true)) => self.fit(Some(written(said.uri, &mut temporary))).len(),
            _ => 0,
        };
        // RFC 5628 §6.1: those of another Call-ID are void, and those that are older than the oldest
        // that is good.
        let void = |said: TempGruu<'_>| {
            same == Some(false) || said.first_cseq.is_some_and(|first| known_cseq < first)
        };
        let known = self.known(path_id);
        let followed = known.followed;
        let temporary = if new > 0 {
            cseq = said.cseq.unwrap_or(known_cseq);
            temporary.get(..new).unwrap_or_default()
        } else if said.temporary.is_some_and(void) || known.call_id != call_id {
            &[]
        } else {
            copy(known.temporary, &mut temporary)
        };
        let gruus = Gruus {
            followed,
            call_id,
            cseq,
            public,
            temporary,
        };
        if self.known(path_id) != gruus {
            self.move_gruus(path_id, gruus);
        }
    }

    /// RFC 5628 §6.1: nothing is bound to the instance, so its temporary GRUUs are void.
    pub(crate) fn forget_temporary_gruu(&mut self, path_id: PathId) {
        let known = self.known(path_id);
        if known.temporary.is_empty() {
            return;
        }
        let mut public = [0; MAX_GRUU];
        let public = copy(known.public, &mut public);
        let gruus = Gruus {
            public,
            temporary: &[],
            ..known
        };
        self.move_gruus(path_id, gruus);
    }

    /// Forgets those of a binding that has gone.
    pub(super) fn forget_gruus(&mut self, path_id: PathId) {
        self.replace_gruus(path_id, Gruus::NONE);
    }

    /// Something for what subscriptions show in their Contact: when it becomes another, the one
    /// before may lead nowhere. 0: it is our address.
    pub(super) fn shown_gruu(&self, path_id: PathId) -> u64 {
        self.known(path_id).shown(self.core.hash_seed)
    }

    /// Tells the notifiers, if the GRUU that they send to may lead nowhere now.
    pub(super) fn follow_gruu(&mut self, path_id: PathId, before: u64) {
        if before != 0 && before != self.shown_gruu(path_id) {
            self.watches_moved();
        }
    }

    /// Whether a binding is of this device.
    pub(super) fn is_of_instance(&self, binding: &Contact<'_>) -> bool {
        let own = self.core.account.get(&self.arena, Field::Instance);
        !own.is_empty()
            && binding
                .instance()
                .is_some_and(|urn| scan::eq_ignore_case(bare(urn), own))
    }

    /// Whether a binding in a NOTIFY is of this device.
    pub(crate) fn is_of_own_instance(&self, instance: xml::Text<'_>) -> bool {
        let own = self.core.account.get(&self.arena, Field::Instance);
        let said = instance.chars().filter(|c| !matches!(c, '"' | '<' | '>'));
        let own = own.iter().map(|byte| char::from(*byte));
        said.map(|c| c.to_ascii_lowercase())
            .eq(own.map(|c| c.to_ascii_lowercase()))
    }

    fn known(&self, path_id: PathId) -> Gruus<'_> {
        let block = self.path(path_id).and_then(|path| path.gruus);
        block.map_or(Gruus::NONE, |block| Gruus::read(self.arena.get(block)))
    }

    /// What was said, if it is a GRUU that we can show; else nothing, and counted.
    fn fit<'a>(&mut self, said: Option<&'a [u8]>) -> &'a [u8] {
        let Some(said) = said else {
            return &[];
        };
        if is_gruu(said) && !tells_imei(said, self.core.account.get(&self.arena, Field::Instance)) {
            return said;
        }
        count!(self, gruus_ignored);
        &[]
    }

    /// Replaces them because of a NOTIFY. SUBSCRIBE brings another NOTIFY, so the notifiers are told
    /// once: a server that always says another thing is not to keep us busy.
    fn move_gruus(&mut self, path_id: PathId, gruus: Gruus<'_>) {
        let before = self.shown_gruu(path_id);
        let first = gruus.followed == Followed::No;
        let moved = before != 0 && before != gruus.shown(self.core.hash_seed);
        let followed = if moved { Followed::Yes } else { gruus.followed };
        self.replace_gruus(path_id, Gruus { followed, ..gruus });
        if first {
            self.follow_gruu(path_id, before);
        }
    }

    fn replace_gruus(&mut self, path_id: PathId, gruus: Gruus<'_>) {
        // The old go first, so that there is room for the same again.
        let old = self.path_mut(path_id).and_then(|path| path.gruus.take());
        if let Some(old) = old {
            self.arena.free(old);
        }
        if gruus.public.is_empty() && gruus.temporary.is_empty() {
            return;
        }
        let kept = self.keep_fact(&mut |sink| gruus.put(sink));
        if let Some(path) = self.path_mut(path_id) {
            path.gruus = kept;
        }
    }
}

/// An instance without `<` and `>`.
pub(super) fn bare(urn: &[u8]) -> &[u8] {
    let inside = urn
        .strip_prefix(b"<")
        .and_then(|urn| urn.strip_suffix(b">"));
    inside.unwrap_or(urn)
}

/// The value of a parameter that is a quoted string (RFC 5627 §7). Empty if it is another thing, or
/// too long; `None` if it is not there.
fn parameter<'o>(
    contact: &Contact<'_>,
    name: &[u8],
    out: &'o mut [u8; MAX_GRUU],
) -> Option<&'o [u8]> {
    let value = contact.addr()?.param(name)?.value.unwrap_or_default();
    let inside = scan::strip_quotes(value).unwrap_or_default();
    let mut sink = Sink::new(out);
    for byte in Text::Quoted(inside).bytes() {
        sink.put(&[byte]);
    }
    let len = sink.finish().unwrap_or_default();
    Some(out.get(..len).unwrap_or_default())
}

/// The text of an attribute; empty if it is too long.
fn written<'o>(text: xml::Text<'_>, out: &'o mut [u8; MAX_GRUU]) -> &'o [u8] {
    text.read_into(out).unwrap_or_default().as_bytes()
}

fn copy<'o>(text: &[u8], out: &'o mut [u8; MAX_GRUU]) -> &'o [u8] {
    let Some(out) = out.get_mut(..text.len()) else {
        return &[];
    };
    out.copy_from_slice(text);
    out
}

/// Whether it is a SIP URI with `gr` that can be a Request-URI (RFC 5627 §7, §4.5).
fn is_gruu(text: &[u8]) -> bool {
    let Ok(uri @ (Uri::Sip(_) | Uri::Sips(_))) = Uri::parse(text) else {
        return false;
    };
    // RFC 3261 §19.1.1: a Request-URI has no headers.
    uri.param(b"gr").is_some() && uri.headers().next().is_none() && UriText::new(text).is_ok()
}

/// RFC 7255 §5, §7: an IMEI is shown in REGISTER and nowhere else; a registrar has to hide it in
/// its GRUUs. Only its digits are looked at, hyphens or not.
fn tells_imei(gruu: &[u8], instance: &[u8]) -> bool {
    let imei = instance.get(..IMEI.len());
    if !imei.is_some_and(|start| scan::eq_ignore_case(start, IMEI)) {
        return false;
    }
    let digits = |text| <[u8]>::iter(text).filter(|byte| byte.is_ascii_digit());
    // TAC and serial number.
    let imei = || digits(instance).take(14);
    let mut rest = digits(gruu);
    loop {
        if imei().eq(rest.clone().take(14)) {
            return true;
        }
        if rest.next().is_none() {
            return false;
        }
    }
}

/// How an instance begins that is an IMEI (RFC 7254 §4).
const IMEI: &[u8] = b"urn:gsma:imei:";

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &[u8] = b"sip:alice@example.com;gr=urn:uuid:1";
    const TEMPORARY: &[u8] = b"sip:tgruu.7hs@example.com;gr";

    fn chosen(gruus: Gruus<'_>, anonymity: Anonymity) -> Option<&[u8]> {
        gruus.choose(anonymity, 7).map(UriText::as_bytes)
    }

    #[test]
    fn an_anonymous_request_shows_the_temporary_one_or_none() {
        let both = Gruus {
            followed: Followed::No,
            call_id: 7,
            cseq: 1,
            public: PUBLIC,
            temporary: TEMPORARY,
        };
        assert_eq!(chosen(both, Anonymity::None), Some(PUBLIC));
        assert_eq!(chosen(both, Anonymity::Id), Some(TEMPORARY));
        let public = Gruus {
            temporary: &[],
            ..both
        };
        assert_eq!(chosen(public, Anonymity::Id), None);
        let temporary = Gruus {
            public: &[],
            ..both
        };
        assert_eq!(chosen(temporary, Anonymity::None), Some(TEMPORARY));
        // RFC 5627 §4.4: another Call-ID since.
        let old = Gruus { call_id: 6, ..both };
        assert_eq!(chosen(old, Anonymity::None), Some(PUBLIC));
        assert_eq!(chosen(old, Anonymity::Id), None);
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        for (public, temporary) in [(PUBLIC, TEMPORARY), (PUBLIC, &[]), (&[], TEMPORARY)] {
            let gruus = Gruus {
                followed: Followed::Yes,
                call_id: u64::MAX - 1,
                cseq: 0x2000_0020,
                public,
                temporary,
            };
            let mut out = [0; 128];
            let mut sink = Sink::new(&mut out);
            gruus.put(&mut sink);
            assert_eq!(Gruus::read(sink.written().unwrap_or_default()), gruus);
        }
    }

    #[test]
    fn an_imei_is_found_with_and_without_hyphens() {
        let imei = b"urn:gsma:imei:90420156-025763-0;vers=0";
        for gruu in [
            &b"sip:a@example.com;gr=urn:gsma:imei:90420156-025763-0"[..],
            b"sip:a@example.com;gr=90420156025763",
            b"sip:x90420156-0257630@example.com;gr",
        ] {
            assert!(tells_imei(gruu, imei));
            assert!(!tells_imei(
                gruu,
                b"urn:uuid:90420156-0257-6300-0000-000000000000"
            ));
        }
        assert!(!tells_imei(b"sip:9042015602576@example.com;gr=1", imei));
    }
}
