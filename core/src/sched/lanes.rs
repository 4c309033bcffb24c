//! The three lanes and the rule that picks among them.

use super::edf::Edf;
use super::fifo::Fifo;
use super::node::{Lane, Node, Nodes, Priority};

/// How many dispatches in a row a lane may take while a lower lane waits; 0 means no bound.
///
/// # The bound
///
/// Count dispatches while a lane's head waits. With `c` = `cancel_streak` and `t` = `timed_streak`, both
/// non-zero: some task of the timed or ready lane is dispatched within any `c + 1` dispatches, and one of the
/// ready lane within any `(c + 1) * (t + 1)`. Within a lane its own order holds: a low priority may still
/// wait for as long as higher ones are always runnable. [Others](Lanes::next) who are runnable beside the
/// lanes count as one slot of the ready lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fairness {
    /// Dispatches in a row from the cancel lane while the timed or the ready lane waits.
    pub cancel_streak: u8,
    /// Dispatches in a row from the timed lane, cancel dispatches in between not counted, while the ready
    /// lane waits.
    pub timed_streak: u8,
}

impl Fairness {
    /// Strict lane order: the cancel lane may starve the others, the timed lane the ready one.
    pub const STRICT: Self = Self { cancel_streak: 0, timed_streak: 0 };
}

impl Default for Fairness {
    fn default() -> Self {
        Self { cancel_streak: 16, timed_streak: 16 }
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The slot's, which has left its lane.
    Slot(u16),
    /// That of somebody who is runnable beside the lanes.
    Others,
}

/// The three lanes.
///
/// A slot is in at most one lane, once: [`push`](Self::push) of a queued slot does nothing. Promotion,
/// re-keying and removal are in place.
///
/// # Examples
///
/// ```
/// use trilane::sched::{Lanes, NodeArray};
///
/// let nodes: NodeArray<4> = NodeArray::new();
/// let mut lanes = Lanes::new();
/// lanes.set_deadline(&nodes, 2, Some(500));
/// for slot in 0..4 {
///     lanes.push(&nodes, slot);
/// }
/// lanes.promote(&nodes, 3); // asked to stop
/// let order: Vec<u16> = std::iter::from_fn(|| lanes.pop(&nodes)).collect();
/// assert_eq!(order, [3, 2, 0, 1]);
/// ```
pub struct Lanes {
    occupied: u8,
    /// Of the cancel and of the timed lane.
    runs: [u8; 2],
    /// Among slots of the lowest priority, the others go first the next time.
    others_next: bool,
    /// `None` for the default: new lanes are all zeros.
    fairness: Option<Fairness>,
    deepest: u16,
    len: u16,
    cancel: Fifo,
    ready: Fifo,
    timed: Edf,
}

/// Whose run it is.
const CANCEL: usize = 0;
const TIMED: usize = 1;

impl Lanes {
    /// Empty lanes with the default [`Fairness`].
    pub const fn new() -> Self {
        Self {
            occupied: 0,
            runs: [0; 2],
            others_next: false,
            fairness: None,
            deepest: 0,
            len: 0,
            cancel: Fifo::new(),
            ready: Fifo::new(),
            timed: Edf::new(),
        }
    }

    /// Sets the fairness bounds.
    pub const fn set_fairness(&mut self, fairness: Fairness) {
        self.fairness = Some(fairness);
    }

    /// Whether every lane is empty: one load.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// The number of slots queued, over all lanes.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether a lane has passed over others since a dispatch last passed over nobody.
    #[inline(always)]
    pub(crate) fn has_streak(&self) -> bool {
        self.runs != [0; 2]
    }

    /// The most slots that were ever queued at once.
    pub fn deepest(&self) -> usize {
        usize::from(self.deepest)
    }

    /// Queues `slot` in its home lane: timed with a deadline, else ready. Returns whether it was newly
    /// queued: nothing happens when it is queued already. O(log N) in the timed lane, else O(1).
    pub fn push<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> bool {
        let node = nodes.node(slot);
        let new = node.lane().is_none();
        if new {
            self.push_to(nodes, slot, node.home());
        }
        new
    }

    /// The same as [`push`](Self::push), or with `cancel` as [`promote`](Self::promote), and then
    /// [`next`](Self::next), for a slot that is in no lane. O(log N).
    #[inline(always)]
    pub fn push_next<N: Nodes + ?Sized>(
        &mut self,
        nodes: &N,
        slot: u16,
        cancel: bool,
        others: bool,
    ) -> Option<Turn> {
        if !cancel
            && !others
            && let Some(first) = self.pass(nodes, slot)
        {
            return Some(Turn::Slot(first));
        }
        self.push_then_next(nodes, slot, cancel, others)
    }

    /// [`push_next`](Self::push_next) for whom [`pass`](Self::pass) is none.
    #[inline(never)]
    pub(crate) fn push_then_next<N: Nodes + ?Sized>(
        &mut self,
        nodes: &N,
        slot: u16,
        cancel: bool,
        others: bool,
    ) -> Option<Turn> {
        let lane = if cancel { Lane::Cancel } else { nodes.node(slot).home() };
        let chosen = self.choose(self.occupied | lane.bit() | bit_of_others(others))?;
        if chosen == lane && self.occupied & lane.bit() == 0 && !(others && lane == Lane::Ready) {
            return Some(Turn::Slot(slot));
        }
        self.push_to(nodes, slot, lane);
        self.take(nodes, chosen, others)
    }

    /// [`push_next`](Self::push_next) in one step, if nothing is queued or only timed slots are runnable.
    #[inline(always)]
    pub(crate) fn pass<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> Option<u16> {
        if self.occupied == 0 {
            self.end_streaks();
            return Some(slot);
        }
        let node = nodes.node(slot);
        if self.occupied != Lane::Timed.bit() || node.home() != Lane::Timed {
            return None;
        }
        self.end_streaks();
        let first = self.timed.push_pop(nodes, slot);
        if first != slot {
            node.set_lane(Some(Lane::Timed));
            nodes.node(first).set_lane(None);
        }
        Some(first)
    }

    /// Whether [`push_next`](Self::push_next) of a slot with this node would give it, and again, for as long
    /// as nothing else changes. May say no when it would. O(1).
    #[inline(always)]
    pub(crate) fn passes<N: Nodes + ?Sized>(&self, nodes: &N, node: &Node) -> bool {
        match self.timed.first(nodes) {
            Some(first) => {
                self.occupied == Lane::Timed.bit()
                    && node.deadline_or_never() < nodes.node(first).deadline_or_never()
            }
            None => self.occupied == 0,
        }
    }

    /// Moves `slot` to the cancel lane from wherever it is; it is queued there if it was nowhere. Returns
    /// whether it was not there before. O(log N) from the timed lane, else O(1).
    pub fn promote<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> bool {
        let new = nodes.node(slot).lane() != Some(Lane::Cancel);
        if new {
            self.remove(nodes, slot);
            self.push_to(nodes, slot, Lane::Cancel);
        }
        new
    }

    /// Takes `slot` out of whatever lane it is in; returns whether it was queued.
    pub fn remove<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> bool {
        let node = nodes.node(slot);
        let Some(lane) = node.lane() else { return false };
        match lane {
            Lane::Cancel => self.cancel.remove(nodes, slot),
            Lane::Timed => self.timed.remove(nodes, slot),
            Lane::Ready => self.ready.remove(nodes, slot),
        }
        self.left(lane);
        node.set_lane(None);
        true
    }

    /// Changes the deadline, in microseconds. A queued slot moves within the timed lane in place, or between
    /// the ready and the timed lane; in the cancel lane it stays where it is. O(log N).
    pub fn set_deadline<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, deadline: Option<u64>) {
        let node = nodes.node(slot);
        let old = node.home();
        node.set_deadline(deadline);
        match (node.lane(), node.home()) {
            (Some(Lane::Timed), Lane::Timed) => self.timed.rekey(nodes, slot),
            (Some(Lane::Timed | Lane::Ready), home) if home != old => {
                self.remove(nodes, slot);
                self.push_to(nodes, slot, home);
            }
            _ => {}
        }
    }

    /// Changes the priority. A queued slot goes behind the slots of its new priority; in the timed lane it
    /// keeps its arrival. Nothing happens when the priority is the same. O(log N) in the timed lane, else
    /// O(1).
    pub fn set_priority<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, priority: Priority) {
        let node = nodes.node(slot);
        if node.priority() == priority {
            return;
        }
        match node.lane() {
            None => node.set_priority(priority),
            Some(Lane::Timed) => {
                node.set_priority(priority);
                self.timed.rekey(nodes, slot);
            }
            Some(lane) => {
                self.remove(nodes, slot);
                node.set_priority(priority);
                self.push_to(nodes, slot, lane);
            }
        }
    }

    /// Takes out the slot that is to run next. O(log N) from the timed lane, else O(1).
    pub fn pop<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        match self.next(nodes, false)? {
            Turn::Slot(slot) => Some(slot),
            Turn::Others => None,
        }
    }

    /// Takes out the slot that is to run next, unless it is the turn of others: with `others`, somebody is
    /// runnable who isn't queued here, without deadline and of the lowest priority. They take turns with the
    /// slots of the ready lane that are like them. As [`pop`](Self::pop) otherwise.
    pub fn next<N: Nodes + ?Sized>(&mut self, nodes: &N, others: bool) -> Option<Turn> {
        let lane = self.choose(self.occupied | bit_of_others(others))?;
        self.take(nodes, lane, others)
    }

    /// Takes the first slot out of `lane`.
    fn take<N: Nodes + ?Sized>(&mut self, nodes: &N, lane: Lane, others: bool) -> Option<Turn> {
        let slot = match lane {
            Lane::Cancel => self.cancel.pop(nodes),
            Lane::Timed => self.timed.pop(nodes),
            Lane::Ready if others && self.is_turn_of_others() => return Some(Turn::Others),
            Lane::Ready => self.ready.pop(nodes),
        }?;
        self.left(lane);
        nodes.node(slot).set_lane(None);
        Some(Turn::Slot(slot))
    }

    fn is_turn_of_others(&mut self) -> bool {
        if self.ready.is_empty() || !self.ready.is_lowest_next() {
            return self.ready.is_empty();
        }
        self.others_next = !self.others_next;
        self.others_next
    }

    /// Queues `slot`, which is in no lane.
    #[inline(never)]
    fn push_to<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, lane: Lane) {
        nodes.node(slot).set_lane(Some(lane));
        match lane {
            Lane::Cancel => self.cancel.push(nodes, slot),
            Lane::Timed => self.timed.push(nodes, slot),
            Lane::Ready => self.ready.push(nodes, slot),
        }
        self.occupied |= lane.bit();
        self.len += 1;
        self.deepest = self.deepest.max(self.len);
    }

    /// The lane whose turn it is of those that are `occupied`, with the streaks counted.
    #[inline]
    fn choose(&mut self, occupied: u8) -> Option<Lane> {
        if occupied & (occupied.wrapping_sub(1)) == 0 {
            let lane = Lane::from_bit(occupied)?;
            self.end_streaks();
            return Some(lane);
        }
        let Fairness { cancel_streak, timed_streak } = self.fairness.unwrap_or_default();
        let waits = |lane: Lane| occupied & lane.bit() != 0;
        // More than one lane waits, so a cancel dispatch always passes over somebody.
        if waits(Lane::Cancel) && (cancel_streak == 0 || self.runs[CANCEL] < cancel_streak) {
            self.runs[CANCEL] = self.runs[CANCEL].saturating_add(1);
            return Some(Lane::Cancel);
        }
        self.runs[CANCEL] = 0;
        if !waits(Lane::Ready) {
            self.runs[TIMED] = 0;
            return Some(Lane::Timed);
        }
        if waits(Lane::Timed) && (timed_streak == 0 || self.runs[TIMED] < timed_streak) {
            self.runs[TIMED] = self.runs[TIMED].saturating_add(1);
            return Some(Lane::Timed);
        }
        self.runs[TIMED] = 0;
        Some(Lane::Ready)
    }

    /// A dispatch that passes over nobody ends every streak.
    #[inline(always)]
    pub(crate) fn end_streaks(&mut self) {
        self.runs = [0; 2];
    }

    #[inline(always)]
    fn left(&mut self, lane: Lane) {
        self.len -= 1;
        let empty = match lane {
            Lane::Cancel => self.cancel.is_empty(),
            Lane::Timed => self.timed.is_empty(),
            Lane::Ready => self.ready.is_empty(),
        };
        if empty {
            self.occupied &= !lane.bit();
        }
    }
}

/// Others count as one slot of the ready lane.
#[inline(always)]
fn bit_of_others(others: bool) -> u8 {
    if others { Lane::Ready.bit() } else { 0 }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}
