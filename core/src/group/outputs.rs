//! A member's chain of outputs, and those of them that are not known to be let out.

use crate::causal::{Bloom, Chain, Event, Head, LinkHash, Ordinal, Origin, RecordRing, Sequence};
use crate::group::rules::{Rule, lacks};
use crate::group::{Cut, Cuts, GroupId, HandOver, Mark};

/// What is kept beside an output's frame.
#[derive(Clone, Copy, Debug)]
struct Place {
    ordinal: Ordinal,
    is_last: bool,
}

/// An output that is kept until the mark has passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptOutput<'a> {
    pub frame: &'a [u8],
    pub ordinal: Ordinal,
    /// Whether its event has no more.
    pub is_last: bool,
}

/// Why a chain can't be brought past a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// The chain has another link where it was cut.
    Diverged,
    /// Outputs behind the cut are gone.
    Lost,
}

/// Where a chain stands.
#[derive(Clone, Copy, Debug)]
struct Tip {
    /// The term whose origin the chain has.
    term: u64,
    chain: Chain,
}

/// The chain up to the last output that was computed.
#[derive(Debug)]
pub(super) struct Outputs<const BYTES: usize, const RECORDS: usize> {
    tip: Tip,
    /// The last output computed, under whatever origin.
    computed: Ordinal,
    kept: RecordRing<Place, BYTES, RECORDS>,
    /// The last output that is no longer kept.
    dropped: Ordinal,
}

/// How the walk through the cuts goes on.
enum Walk<'c> {
    Arrived,
    /// The chain is beyond this cut, or on an origin struck from the list.
    Beyond(&'c Cut),
}

impl Tip {
    const NONE: Self = Self {
        term: 0,
        chain: Chain::resume(
            Origin::new(0),
            Head { sequence: Sequence::GENESIS, next_parent: LinkHash::NONE },
        ),
    };

    /// A.6.6: appends a hand-over wherever the chain is at a cut. Almost always there is nothing to do.
    #[inline]
    fn walk<'c, const CUTS: usize>(
        &mut self,
        group: GroupId,
        cuts: &'c Cuts<CUTS>,
        own: u64,
    ) -> Result<Walk<'c>, Blocked> {
        if self.term >= cuts.term() {
            return Ok(Walk::Arrived);
        }
        self.walk_through(group, cuts, own)
    }

    #[cold]
    fn walk_through<'c, const CUTS: usize>(
        &mut self,
        group: GroupId,
        cuts: &'c Cuts<CUTS>,
        own: u64,
    ) -> Result<Walk<'c>, Blocked> {
        while self.term < cuts.term() {
            let Some(cut) = cuts.of(self.term) else {
                if lacks(Rule::CutList) || lacks(Rule::StrikeEmptyTerms) {
                    return Ok(Walk::Arrived);
                }
                return cuts.after(self.term).map(Walk::Beyond).ok_or(Blocked::Lost);
            };
            let head = self.chain.head();
            if head.sequence < cut.mark.sequence {
                break;
            }
            if head.sequence > cut.mark.sequence {
                return Ok(Walk::Beyond(cut));
            }
            if head.next_parent != cut.hash {
                return Err(Blocked::Diverged);
            }
            self.begin(group, cut, own);
        }
        Ok(Walk::Arrived)
    }

    fn begin(&mut self, group: GroupId, cut: &Cut, own: u64) {
        *self = Self { term: cut.term, chain: cut.hand_over(group, own).0 };
    }
}

impl<const BYTES: usize, const RECORDS: usize> Outputs<BYTES, RECORDS> {
    /// All zeros.
    pub const fn new() -> Self {
        let none = Ordinal { index: 0, output: 0 };
        Self {
            tip: Tip::NONE,
            computed: none,
            kept: RecordRing::new(Place { ordinal: none, is_last: false }),
            dropped: none,
        }
    }

    /// The chain of a group whose members have computed nothing.
    pub fn begin(&mut self, group: GroupId) {
        self.resume(1, Chain::new(group.origin(1)), Ordinal::default());
    }

    /// The chain of a snapshot, whose outputs are all let out.
    pub fn resume(&mut self, term: u64, chain: Chain, computed: Ordinal) {
        self.tip = Tip { term, chain };
        self.computed = computed;
        self.dropped = computed;
        self.kept.clear(0);
    }

    /// Whether a chain that has come to its present place in `term` can be brought past the cuts.
    pub fn can_resume<const CUTS: usize>(group: GroupId, cuts: &Cuts<CUTS>, term: u64, chain: Chain) -> bool {
        matches!(Tip { term, chain }.walk(group, cuts, 0), Ok(Walk::Arrived))
    }

    /// The term whose origin the chain has.
    pub const fn term(&self) -> u64 {
        self.tip.term
    }

    pub const fn chain(&self) -> &Chain {
        &self.tip.chain
    }

    /// The last output computed.
    pub const fn computed(&self) -> Ordinal {
        self.computed
    }

    /// Calls `fill` with room for an event's outputs, if there is. It returns how many bytes of frames it has
    /// written, or its error, and then nothing has changed.
    ///
    /// Then the outputs are linked: all in one go, with no user code between.
    #[inline]
    pub fn append<E, const CUTS: usize>(
        &mut self,
        group: GroupId,
        cuts: &Cuts<CUTS>,
        index: u64,
        limits: (usize, usize),
        fill: impl FnOnce(&mut [u8]) -> Result<(usize, Bloom), E>,
    ) -> Result<(), AppendBlocked<E>> {
        let (records, length) = limits;
        let Ok(mut room) = self.kept.reserve(records, length) else { return Err(AppendBlocked::Full) };
        let (mut rest, horizon) = fill(room.bytes()).map_err(AppendBlocked::Failed)?;
        let mut ordinal = Ordinal { index, output: 0 };
        while rest > 0 {
            self.tip.walk(group, cuts, index).map_err(AppendBlocked::Blocked)?;
            let bytes = room.bytes();
            let (length, body) = bytes.split_first_chunk_mut().ok_or(AppendBlocked::Full)?;
            let length = u32::from_le_bytes(*length) as usize;
            let body = body.get_mut(..length).ok_or(AppendBlocked::Full)?;
            self.tip.chain.append(horizon, body).map_err(|_| AppendBlocked::UsedUp)?;
            let frame = length + size_of::<u32>();
            rest = rest.saturating_sub(frame);
            room.commit(Place { ordinal, is_last: rest == 0 }, frame).map_err(|_| AppendBlocked::Full)?;
            self.computed = ordinal;
            ordinal.output += 1;
        }
        Ok(())
    }

    /// Whether [`follow`](Self::follow) has nothing to do, as almost always.
    #[inline]
    pub fn is_settled<const CUTS: usize>(&self, cuts: &Cuts<CUTS>, mark: &Mark) -> bool {
        let oldest = self.kept.get(self.kept.indices().start);
        self.tip.term >= cuts.term() && oldest.is_none_or(|oldest| !mark.has_passed(oldest.header.ordinal))
    }

    /// Walks through the cuts, linking again what lies beyond one, and drops what the mark has passed.
    #[inline]
    pub fn follow<const CUTS: usize>(
        &mut self,
        group: GroupId,
        cuts: &Cuts<CUTS>,
        mark: &Mark,
    ) -> Result<(), Blocked> {
        if let Walk::Beyond(cut) = self.tip.walk(group, cuts, self.computed.index)? {
            self.relink(group, cuts, cut)?;
        }
        self.drop_passed(mark);
        Ok(())
    }

    /// A.6.7: the outputs behind the cut follow its hand-over.
    #[cold]
    fn relink<const CUTS: usize>(
        &mut self,
        group: GroupId,
        cuts: &Cuts<CUTS>,
        cut: &Cut,
    ) -> Result<(), Blocked> {
        if lacks(Rule::Relink) {
            return Ok(());
        }
        let is_whole = self.dropped <= cut.mark.ordinal && self.computed >= cut.mark.ordinal;
        if !is_whole {
            return Err(Blocked::Lost);
        }
        self.drop_while(|ordinal| ordinal <= cut.mark.ordinal);
        self.tip.begin(group, cut, self.computed.index);
        for index in self.kept.indices() {
            if let Walk::Beyond(_) = self.tip.walk(group, cuts, self.computed.index)? {
                return Err(Blocked::Lost);
            }
            let body = self.kept.get_mut(index).and_then(|frame| frame.get_mut(size_of::<u32>()..));
            let Some(body) = body else { continue };
            let horizon = Event::new(body).map_or(Bloom::EMPTY, |event| event.link().horizon);
            self.tip.chain.append(horizon, body).map_err(|_| Blocked::Lost)?;
        }
        match self.tip.walk(group, cuts, self.computed.index)? {
            Walk::Arrived => Ok(()),
            Walk::Beyond(_) => Err(Blocked::Lost),
        }
    }

    /// A.4.5.
    #[inline]
    pub fn drop_passed(&mut self, mark: &Mark) {
        self.drop_while(|ordinal| mark.has_passed(ordinal));
    }

    /// Drops all.
    pub fn drop_all(&mut self) {
        self.drop_while(|_| true);
    }

    #[inline]
    fn drop_while(&mut self, is_passed: impl Fn(Ordinal) -> bool) {
        let mut passed = None;
        for index in self.kept.indices() {
            let Some(ordinal) = self.kept.get(index).map(|record| record.header.ordinal) else { break };
            if !is_passed(ordinal) {
                break;
            }
            passed = Some(index);
            self.dropped = ordinal;
        }
        if let Some(index) = passed {
            self.kept.evict_through(index);
        }
    }

    /// The outputs kept, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = KeptOutput<'_>> {
        self.kept.indices().filter_map(|index| self.kept.get(index)).map(|record| KeptOutput {
            frame: record.bytes,
            ordinal: record.header.ordinal,
            is_last: record.header.is_last,
        })
    }

    /// The frame of the hand-over that began the chain, if `cuts` still has its cut.
    pub fn hand_over<const CUTS: usize>(
        &self,
        group: GroupId,
        cuts: &Cuts<CUTS>,
    ) -> Option<[u8; HandOver::FRAME]> {
        let cut = cuts.iter().find(|cut| cut.term == self.tip.term)?;
        Some(cut.hand_over(group, self.computed.index).1)
    }
}

/// Why no outputs were appended.
#[derive(Debug)]
pub(super) enum AppendBlocked<E> {
    /// Too many are kept already.
    Full,
    /// The sequences are used up.
    UsedUp,
    Failed(E),
    Blocked(Blocked),
}
