//! One byte store for everything that is kept: requests, last responses, bodies.
//!
//! Blocks are handed out at the tail and named by a [`Block`]. Freeing leaves a hole; when the tail is too
//! short and the holes would help, the blocks move down together (in address order, one pass) and
//! the tail is offered again. Writers run right on the tail and say how much they used, so nothing
//! is sized by hand and nothing is copied twice. A writer that finds too little room changes
//! nothing: neither blocks nor handles.
//!
//! The storage is borrowed in three pieces (bytes, spans, state), each with a constant initial
//! value, so the same code runs over arrays in a `static` and over vectors. The spans of the live
//! blocks form a list in address order; the end of the last one is where the tail begins.

use crate::wire::sink::TooSmall;
use core::cell::Cell;

/// No span: the end of the list.
const NIL: u16 = u16::MAX;

/// The name of a block: four bytes, also in an `Option`.
///
/// It is good until the block is freed; a later block in the same place has another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Block {
    index: u16,
    generation: core::num::NonZeroU16,
}

/// One row of the block table (16 bytes).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    len: u32,
    previous: u16,
    next: u16,
    /// Odd: in use, and the generation of its handle. Even: free.
    generation: u16,
}

impl Span {
    /// A row that is not in use.
    pub(crate) const FREE: Self = Self {
        start: 0,
        len: 0,
        // Nobody follows the links of a free row; all zeros, a `static` table takes no flash.
        previous: 0,
        next: 0,
        generation: 0,
    };

    const fn range(self) -> core::ops::Range<usize> {
        self.start as usize..self.end()
    }

    const fn end(self) -> usize {
        (self.start as usize).saturating_add(self.len as usize)
    }
}

/// What an arena knows beside its spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArenaState {
    /// The ends of the list, inverted: no span is zero, so that an empty arena is all zeros.
    first: u16,
    last: u16,
    blocks: u16,
    used: u32,
}

impl ArenaState {
    /// The state of an empty arena.
    pub(crate) const EMPTY: Self = Self {
        first: !NIL,
        last: !NIL,
        blocks: 0,
        used: 0,
    };
}

/// Why a block could not be made. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The bytes do not suffice: what the block takes, and what is free in all.
    Bytes { needed: usize, available: usize },
    /// Every row of the table is in use.
    Blocks { limit: usize },
}

/// All blocks of an arena, to be read while another is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Blocks<'a> {
    /// The bytes of a block.
    pub(crate) fn get(self, block: Block) -> &'a [u8] {
        let span = self
            .spans
            .get(usize::from(block.index))
            .filter(|s| s.generation == block.generation.get());
        debug_assert!(span.is_some(), "{block:?} was freed");
        span.and_then(|span| self.bytes.get(span.range()))
            .unwrap_or_default()
    }
}

/// An arena over borrowed storage. Made anew for each use; it is three references.
#[derive(Debug)]
pub(crate) struct Arena<'a> {
    bytes: &'a mut [u8],
    spans: &'a mut [Span],
    state: &'a mut ArenaState,
}

impl<'a> Arena<'a> {
    /// A view of the storage, which is either all in its initial state or as an arena left it.
    ///
    /// Bytes past 4 GiB and rows past 65,535 are not used.
    pub(crate) fn new(
        bytes: &'a mut [u8],
        spans: &'a mut [Span],
        state: &'a mut ArenaState,
    ) -> Self {
        let size = bytes.len().min(u32::MAX as usize);
        let rows = spans.len().min(NIL as usize);
        Self {
            bytes: bytes.get_mut(..size).unwrap_or_default(),
            spans: spans.get_mut(..rows).unwrap_or_default(),
            state,
        }
    }

    /// Bytes in live blocks.
    pub(crate) const fn used(&self) -> usize {
        self.state.used as usize
    }

    /// Bytes that all blocks together can have.
    pub(crate) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Live blocks.
    pub(crate) const fn blocks(&self) -> usize {
        self.state.blocks as usize
    }

    /// Bytes that a new block can have.
    pub(crate) const fn available(&self) -> usize {
        self.capacity().saturating_sub(self.used())
    }

    /// The bytes of a block.
    pub(crate) fn get(&self, block: Block) -> &[u8] {
        self.view().get(block)
    }

    /// A new block with a copy of `bytes`.
    pub(crate) fn alloc(&mut self, bytes: &[u8]) -> Result<Block, NoRoom> {
        self.alloc_with(|tail| {
            tail.get_mut(..bytes.len())
                .ok_or(TooSmall {
                    needed: bytes.len(),
                })?
                .copy_from_slice(bytes);
            Ok(bytes.len())
        })
    }

    /// A new block with what `write` puts at the start of the slice it is given.
    ///
    /// `write` returns the length it used. If it lacks room that the holes can give, it runs a
    /// second time, so it has to write the same again.
    pub(crate) fn alloc_with(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, TooSmall>,
    ) -> Result<Block, NoRoom> {
        self.alloc_from(|_, tail| write(tail))
    }

    /// A new block that `write` makes from an old one, which stays until it is freed.
    ///
    /// `write` is given the bytes of the old block and the tail. It may run a second time.
    pub(crate) fn rewrite(
        &mut self,
        old: Block,
        mut write: impl FnMut(&[u8], &mut [u8]) -> Result<usize, TooSmall>,
    ) -> Result<Block, NoRoom> {
        self.alloc_from(|blocks, tail| write(blocks.get(old), tail))
    }

    /// A new block that `write` makes from any others. It may run a second time.
    pub(crate) fn alloc_from(
        &mut self,
        mut write: impl FnMut(Blocks<'_>, &mut [u8]) -> Result<usize, TooSmall>,
    ) -> Result<Block, NoRoom> {
        let limit = self.spans.len();
        let Some(index) = self.spans.iter().position(|span| span.generation & 1 == 0) else {
            return Err(NoRoom::Blocks { limit });
        };
        let available = self.available();
        let mut result = self.offer(&mut write);
        if let Err(TooSmall { needed }) = result
            && needed <= available
        {
            self.compact();
            result = self.offer(&mut write);
        }
        let len = result.map_err(|TooSmall { needed }| NoRoom::Bytes { needed, available })?;
        // Both are within `bytes`, and `index` is below NIL: see `new`.
        #[allow(clippy::cast_possible_truncation)]
        let (start, len, index) = (self.top() as u32, len as u32, index as u16);
        Ok(self.link(index, start, len))
    }

    /// All blocks, to be read.
    pub(crate) fn view(&self) -> Blocks<'_> {
        Blocks {
            bytes: self.bytes,
            spans: self.spans,
        }
    }

    /// The bytes of a block, for as long as the storage is borrowed.
    pub(crate) fn into_bytes(self, block: Block) -> &'a [u8] {
        self.into_blocks().get(block)
    }

    /// All blocks, for as long as the storage is borrowed.
    pub(crate) fn into_blocks(self) -> Blocks<'a> {
        let Self { bytes, spans, .. } = self;
        Blocks { bytes, spans }
    }

    /// Gives a block back.
    pub(crate) fn free(&mut self, block: Block) {
        let Some(span) = self.span_mut(block) else {
            return;
        };
        let Span {
            previous,
            next,
            len,
            ..
        } = *span;
        span.generation = span.generation.wrapping_add(1);
        match self.spans.get_mut(usize::from(previous)) {
            Some(span) => span.next = next,
            None => self.state.first = !next,
        }
        match self.spans.get_mut(usize::from(next)) {
            Some(span) => span.previous = previous,
            None => self.state.last = !previous,
        }
        self.state.used = self.state.used.saturating_sub(len);
        self.state.blocks = self.state.blocks.saturating_sub(1);
    }

    /// Runs `write` on the tail; a length it cannot have used is a lack of room.
    fn offer(
        &mut self,
        write: &mut impl FnMut(Blocks<'_>, &mut [u8]) -> Result<usize, TooSmall>,
    ) -> Result<usize, TooSmall> {
        let top = self.top();
        let (bytes, tail) = self.bytes.split_at_mut_checked(top).unwrap_or_default();
        let len = write(
            Blocks {
                bytes,
                spans: self.spans,
            },
            tail,
        )?;
        if len > tail.len() {
            Err(TooSmall { needed: len })
        } else {
            Ok(len)
        }
    }

    /// Puts a row to the end of the list.
    fn link(&mut self, index: u16, start: u32, len: u32) -> Block {
        let last = !self.state.last;
        let mut generation = core::num::NonZeroU16::MIN;
        if let Some(span) = self.spans.get_mut(usize::from(index)) {
            generation |= span.generation;
            *span = Span {
                start,
                len,
                previous: last,
                next: NIL,
                generation: generation.get(),
            };
        }
        match self.spans.get_mut(usize::from(last)) {
            Some(span) => span.next = index,
            None => self.state.first = !index,
        }
        self.state.last = !index;
        self.state.blocks = self.state.blocks.saturating_add(1);
        self.state.used = self.state.used.saturating_add(len);
        Block { index, generation }
    }

    /// Where the tail begins.
    fn top(&self) -> usize {
        self.spans
            .get(usize::from(!self.state.last))
            .map_or(0, |span| span.end())
    }

    /// Moves the blocks down over the holes.
    fn compact(&mut self) {
        let mut to = 0_u32;
        let mut index = !self.state.first;
        while let Some(span) = self.spans.get_mut(usize::from(index)) {
            let gap = span.start.saturating_sub(to) as usize;
            let region = self.bytes.get_mut(to as usize..span.end());
            if let (1.., Some(region)) = (gap, region) {
                let cells = Cell::from_mut(region).as_slice_of_cells();
                for (to, from) in cells.iter().zip(cells.get(gap..).unwrap_or_default()) {
                    to.set(from.get());
                }
                span.start = to;
            }
            to = to.saturating_add(span.len);
            index = span.next;
        }
    }

    /// Moves all blocks to the start. Says how many bytes and how many rows hold them: what is
    /// behind can be cut off, and put back later in its initial state.
    #[cfg(feature = "alloc")]
    pub(crate) fn settle(&mut self) -> (usize, usize) {
        self.compact();
        let live = self.spans.iter().rposition(|s| s.generation & 1 == 1);
        (self.top(), live.map_or(0, |last| last.saturating_add(1)))
    }

    fn span_mut(&mut self, block: Block) -> Option<&mut Span> {
        let span = self
            .spans
            .get_mut(usize::from(block.index))
            .filter(|s| s.generation == block.generation.get());
        debug_assert!(span.is_some(), "{block:?} was freed");
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::wire::sink::Sink;
    use std::vec::Vec;

    struct Storage<const BYTES: usize, const BLOCKS: usize> {
        bytes: [u8; BYTES],
        spans: [Span; BLOCKS],
        state: ArenaState,
    }

    impl<const BYTES: usize, const BLOCKS: usize> Storage<BYTES, BLOCKS> {
        const fn new() -> Self {
            Self {
                bytes: [0; BYTES],
                spans: [Span::FREE; BLOCKS],
                state: ArenaState::EMPTY,
            }
        }

        fn arena(&mut self) -> Arena<'_> {
            Arena::new(&mut self.bytes, &mut self.spans, &mut self.state)
        }
    }

    // Storage can be the value of a static.
    static _STORAGE: Storage<16, 2> = Storage::new();

    #[test]
    fn sizes() {
        assert_eq!(size_of::<Block>(), 4);
        assert_eq!(size_of::<Option<Block>>(), 4);
        assert_eq!(size_of::<Span>(), 16);
    }

    #[test]
    fn the_last_byte_can_be_had_and_no_more() {
        for (size, fits) in [(9, true), (10, true), (11, false)] {
            let mut storage = Storage::<16, 4>::new();
            let mut arena = storage.arena();
            arena.alloc(&[1; 6]).unwrap();
            let result = arena.alloc(&[2; 11][..size]);
            if fits {
                assert_eq!(arena.get(result.unwrap()), &[2; 11][..size]);
                assert_eq!(arena.available(), 10 - size);
            } else {
                assert_eq!(
                    result,
                    Err(NoRoom::Bytes {
                        needed: 11,
                        available: 10
                    })
                );
                assert_eq!((arena.used(), arena.blocks()), (6, 1));
            }
        }
    }

    #[test]
    fn the_last_row_can_be_had_and_no_more() {
        let mut storage = Storage::<16, 3>::new();
        let mut arena = storage.arena();
        let blocks: Vec<_> = (0..3).map(|n| arena.alloc(&[n]).unwrap()).collect();
        assert_eq!(arena.alloc(b""), Err(NoRoom::Blocks { limit: 3 }));
        arena.free(blocks[1]);
        let again = arena.alloc(b"new").unwrap();
        assert_ne!(again, blocks[1], "a name is not used twice in a row");
        assert_eq!(arena.get(again), b"new");
        assert_eq!(arena.get(blocks[2]), [2]);
    }

    #[test]
    fn holes_are_used_only_when_the_tail_is_short() {
        let mut storage = Storage::<16, 4>::new();
        let mut arena = storage.arena();
        let hole = arena.alloc(b"hole").unwrap();
        let kept = arena.alloc(b"kept").unwrap();
        arena.free(hole);
        let mut runs = Vec::new();
        let mut write = |tail: &mut [u8]| {
            runs.push(tail.len());
            let mut sink = Sink::new(tail);
            sink.put(b"ten bytes!");
            sink.finish()
        };
        let new = arena.alloc_with(&mut write).unwrap();
        assert_eq!(runs, [8, 12]);
        assert_eq!(arena.get(kept), b"kept");
        assert_eq!(arena.get(new), b"ten bytes!");
        assert_eq!(arena.available(), 2);
    }

    #[test]
    fn a_block_is_written_from_another_across_a_move() {
        let mut storage = Storage::<24, 4>::new();
        let mut arena = storage.arena();
        let hole = arena.alloc(b"holehole").unwrap();
        let old = arena.alloc(b"request").unwrap();
        arena.free(hole);
        let new = arena
            .rewrite(old, |old, tail| {
                let mut sink = Sink::new(tail);
                sink.put(old);
                sink.put(b" again");
                sink.finish()
            })
            .unwrap();
        assert_eq!(arena.get(old), b"request");
        assert_eq!(arena.get(new), b"request again");
        assert_eq!(
            arena.rewrite(old, |_, _| Err(TooSmall { needed: 5 })),
            Err(NoRoom::Bytes {
                needed: 5,
                available: 4
            })
        );
        arena.free(old);
        assert_eq!(arena.get(new), b"request again");
    }

    #[test]
    fn a_length_that_cannot_be_is_no_room() {
        let mut storage = Storage::<4, 1>::new();
        let mut arena = storage.arena();
        assert_eq!(
            arena.alloc_with(|_| Ok(5)),
            Err(NoRoom::Bytes {
                needed: 5,
                available: 4
            })
        );
        assert_eq!(arena.blocks(), 0);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "was freed")]
    fn a_freed_block_is_told_apart() {
        let mut storage = Storage::<8, 1>::new();
        let mut arena = storage.arena();
        let block = arena.alloc(b"one").unwrap();
        arena.free(block);
        arena.alloc(b"two").unwrap();
        arena.get(block);
    }

    // Any sequence of operations against a list of vectors.
    #[test]
    fn any_sequence_agrees_with_a_model() {
        for seed in 0..40 {
            let mut dice = Entropy::new([seed; 32]);
            let mut roll = |n: usize| usize::try_from(dice.u64() % n as u64).unwrap();
            let mut storage = Storage::<300, 8>::new();
            let mut model: Vec<(Block, Vec<u8>)> = Vec::new();
            let (mut made, mut refused) = (0, 0);
            for step in 0..2_000 {
                let mut arena = storage.arena();
                let total: usize = model.iter().map(|(_, bytes)| bytes.len()).sum();
                let pick = if model.is_empty() {
                    0
                } else {
                    roll(model.len())
                };
                let new: Vec<u8> = (0..roll(90)).map(|i| (step + i) as u8).collect();
                let expect = |len: usize| {
                    if model.len() == 8 {
                        Some(NoRoom::Blocks { limit: 8 })
                    } else if len > 300 - total {
                        Some(NoRoom::Bytes {
                            needed: len,
                            available: 300 - total,
                        })
                    } else {
                        None
                    }
                };
                match roll(6) {
                    0 | 1 => {
                        let result = arena.alloc(&new);
                        assert_eq!(result.err(), expect(new.len()), "seed {seed} step {step}");
                        match result {
                            Ok(block) => model.push((block, new)),
                            Err(_) => refused += 1,
                        }
                        made += 1;
                    }
                    2 if !model.is_empty() => {
                        let all: Vec<u8> = model[pick].1.iter().chain(&new).copied().collect();
                        let result = arena.rewrite(model[pick].0, |old, tail| {
                            let mut sink = Sink::new(tail);
                            sink.put(old);
                            sink.put(&new);
                            sink.finish()
                        });
                        assert_eq!(result.err(), expect(all.len()), "seed {seed} step {step}");
                        if let Ok(block) = result {
                            model.push((block, all));
                        }
                    }
                    3..=5 if !model.is_empty() => {
                        arena.free(model.swap_remove(pick).0);
                    }
                    _ => {}
                }
                for (block, bytes) in &model {
                    assert_eq!(arena.get(*block), bytes, "seed {seed} step {step}");
                }
                assert_eq!(
                    arena.used(),
                    model.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
                );
                assert_eq!(arena.blocks(), model.len());
            }
            assert!(
                made > 100 && refused > 10,
                "seed {seed}: {made} made, {refused} refused"
            );
            let mut arena = storage.arena();
            for (block, _) in model {
                arena.free(block);
            }
            assert_eq!(
                (arena.used(), arena.blocks(), arena.available()),
                (0, 0, 300)
            );
        }
    }
}
