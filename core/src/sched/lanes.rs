//! The three lanes and the rule that picks among them.

use super::{Edf, Fifo, Nodes, Priority};

/// A lane. The lower number goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Lane {
    /// Asked to stop: highest priority first, arrival order within.
    Cancel = 1,
    /// Runnable with a deadline: earliest first, then priority, then arrival.
    Timed = 2,
    /// The rest: highest priority first, arrival order within.
    Ready = 3,
}

impl Lane {
    #[inline(always)]
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::Cancel),
            2 => Some(Self::Timed),
            3 => Some(Self::Ready),
            _ => None,
        }
    }

    #[inline(always)]
    const fn bit(self) -> u8 {
        1 << (self as u8 - 1)
    }
}

/// How many dispatches in a row a lane may take while a lower lane waits; 0 means no bound.
///
/// # The bound
///
/// Count dispatches while a lane's head waits. With `c` = `cancel_streak` and `t` = `timed_streak`, both non-zero: some task
/// of the timed or ready lane is dispatched within any `c + 1` dispatches, and one of the ready lane within any
/// `(c + 1) * (t + 1)`. Within a lane its own order holds: a low priority may still wait for as long as higher ones are
/// always runnable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fairness {
    /// Dispatches in a row from the cancel lane while the timed or the ready lane waits.
    pub cancel_streak: u8,
    /// Dispatches in a row from the timed lane, cancel dispatches in between not counted, while the ready lane waits.
    pub timed_streak: u8,
}

impl Fairness {
    /// Strict lane order: the cancel lane may starve the others, the timed lane the ready one.
    pub const STRICT: Self = Self { cancel_streak: 0, timed_streak: 0 };
}

impl Default for Fairness {
    fn default() -> Self {
        DEFAULT_FAIRNESS
    }
}

const DEFAULT_FAIRNESS: Fairness = Fairness { cancel_streak: 16, timed_streak: 16 };

/// The three lanes.
///
/// A slot is in at most one lane, once: [`push`](Self::push) of a queued slot does nothing. Promotion, re-keying and removal
/// are in place.
///
/// # Examples
///
/// ```
/// use trilane::sched::{Lanes, Node, Nodes};
///
/// let nodes: [Node; 4] = std::array::from_fn(|_| Node::new());
/// let mut lanes: Lanes<1, 4> = Lanes::new();
/// lanes.set_deadline(&nodes, 2, Some(500));
/// for slot in 0..4 {
///     lanes.push(&nodes, slot);
/// }
/// lanes.promote(&nodes, 3); // asked to stop
/// let order: Vec<u16> = std::iter::from_fn(|| lanes.pop(&nodes)).collect();
/// assert_eq!(order, [3, 2, 0, 1]);
/// ```
pub struct Lanes<const BANKS: usize, const PER_BANK: usize> {
    occupied: u8,
    cancel_run: u8,
    timed_run: u8,
    fairness: Fairness,
    /// The state of the generator that breaks ties; 0: arrival order.
    shuffle: u32,
    deepest: u16,
    len: u16,
    cancel: Fifo,
    timed: Edf<BANKS, PER_BANK>,
    ready: Fifo,
}

impl<const BANKS: usize, const PER_BANK: usize> Lanes<BANKS, PER_BANK> {
    /// Empty lanes with the default [`Fairness`].
    pub const fn new() -> Self {
        Self {
            occupied: 0,
            cancel_run: 0,
            timed_run: 0,
            fairness: DEFAULT_FAIRNESS,
            shuffle: 0,
            deepest: 0,
            len: 0,
            cancel: Fifo::new(),
            timed: Edf::new(),
            ready: Fifo::new(),
        }
    }

    /// Sets the fairness bounds.
    pub const fn set_fairness(&mut self, fairness: Fairness) {
        self.fairness = fairness;
    }

    /// Breaks ties among equals (same lane and keys) by a generator with this seed instead of by arrival: a slot goes before
    /// or behind its equals. The same seed and pushes give the same order. 0 turns it off.
    pub const fn set_seed(&mut self, seed: u32) {
        self.shuffle = seed;
    }

    /// Whether every lane is empty: one load.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// The lane that all queued slots are in, if there is one.
    #[inline(always)]
    pub fn only(&self) -> Option<Lane> {
        match self.occupied {
            1 => Some(Lane::Cancel),
            2 => Some(Lane::Timed),
            4 => Some(Lane::Ready),
            _ => None,
        }
    }

    /// Whether a slot that is in no lane would be popped at once if it were pushed now, seen at a glance: the lanes are
    /// empty, or only timed slots are queued and its deadline is the earliest alone. May say no when it would. The caller
    /// dispatches it if so: it counts as a dispatch here. O(1).
    #[inline(always)]
    pub fn passes<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> bool {
        let passes = if self.occupied == Lane::Timed.bit() {
            self.timed.is_before_first(nodes, slot)
        } else {
            self.is_empty()
        };
        if passes {
            self.end_streaks();
        }
        passes
    }

    /// The number of slots queued, over all lanes.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The most slots that were ever queued at once.
    pub fn deepest(&self) -> usize {
        usize::from(self.deepest)
    }

    /// Queues `slot` in its home lane: timed with a deadline, else ready. Returns whether it is new: nothing happens when it
    /// is queued already. A slot that is set aside is promoted or removed, not pushed.
    pub fn push<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> bool {
        let node = nodes.node(slot);
        debug_assert!(!self.timed.is_parked(nodes, slot));
        let new = node.lane().is_none();
        if new {
            self.push_to(nodes, slot, node.home());
        }
        new
    }

    /// The same as [`push`](Self::push) and then [`pop`](Self::pop), in one step if all are timed.
    #[inline]
    pub fn push_pop<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> Option<u16> {
        if let Some(first) = self.exchange_timed(nodes, slot) {
            return Some(first);
        }
        self.push(nodes, slot);
        self.pop(nodes)
    }

    /// What [`push_pop`](Self::push_pop) does when only the timed lane is occupied, and `slot` has a deadline and is in no
    /// lane. In any other case, `None`, and nothing changes. O(log N).
    pub fn exchange_timed<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> Option<u16> {
        let node = nodes.node(slot);
        if self.occupied != Lane::Timed.bit() || node.lane().is_some() || node.home() != Lane::Timed {
            return None;
        }
        self.end_streaks();
        let stamp = self.stamp();
        let first = self.timed.push_pop(nodes, slot, stamp);
        if first != slot {
            node.set_lane(Some(Lane::Timed));
            nodes.node(first).set_lane(None);
        }
        Some(first)
    }

    /// What [`push_pop`](Self::push_pop) does in the plainest case: only the ready lane is occupied, ties go by arrival, and
    /// `slot` is in no lane and has no deadline. In any other, `None`, and nothing changes. O(1).
    #[inline(always)]
    pub fn take_turns<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> Option<u16> {
        let node = nodes.node(slot);
        if self.occupied != Lane::Ready.bit() || self.shuffle != 0 || !node.is_plain() {
            return None;
        }
        self.end_streaks();
        let first = self.ready.push_pop(nodes, slot);
        if first != slot {
            node.set_lane(Some(Lane::Ready));
            nodes.node(first).set_lane(None);
        }
        Some(first)
    }

    /// The same as [`pop`](Self::pop) when only the ready lane is occupied; else `None`. O(1).
    #[inline(always)]
    pub fn pop_ready<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        if self.occupied != Lane::Ready.bit() {
            return None;
        }
        self.end_streaks();
        let slot = self.ready.pop(nodes)?;
        self.left(Lane::Ready);
        nodes.node(slot).set_lane(None);
        Some(slot)
    }

    /// Moves `slot` to the cancel lane from wherever it is; it is queued there if it was nowhere. O(log N) from the timed
    /// lane, else O(1).
    pub fn promote<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        if nodes.node(slot).lane() != Some(Lane::Cancel) {
            self.remove(nodes, slot);
            self.push_to(nodes, slot, Lane::Cancel);
        }
    }

    /// Sets `slot`, which is in no lane, aside until its deadline: it is not run, but [`pop_due`](Self::pop_due) finds it
    /// then. [`promote`](Self::promote) and [`remove`](Self::remove) end that. Nothing happens when it is set aside
    /// already. O(log N).
    pub fn park<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        debug_assert!(nodes.node(slot).lane().is_none());
        if !self.timed.is_parked(nodes, slot) {
            self.timed.park(nodes, slot);
        }
    }

    /// The earliest deadline of the slots set aside. O(1).
    #[inline(always)]
    pub fn next_due<N: Nodes + ?Sized>(&self, nodes: &N) -> Option<u64> {
        self.timed.first_parked().map(|slot| nodes.node(slot).deadline_or_never())
    }

    /// Takes out the slot set aside whose deadline is the earliest, if that is before `now` or at it. O(log N).
    pub fn pop_due<N: Nodes + ?Sized>(&mut self, nodes: &N, now: u64) -> Option<u16> {
        let slot = self.timed.first_parked().filter(|&slot| nodes.node(slot).deadline_or_never() <= now)?;
        self.timed.unpark(nodes, slot);
        Some(slot)
    }

    /// Takes `slot` out of whatever lane it is in, or from where it was set aside; returns whether it was queued.
    pub fn remove<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> bool {
        let node = nodes.node(slot);
        let Some(lane) = node.lane() else {
            if self.timed.is_parked(nodes, slot) {
                self.timed.unpark(nodes, slot);
            }
            return false;
        };
        match lane {
            Lane::Cancel => self.cancel.remove(nodes, slot),
            Lane::Timed => self.timed.remove(nodes, slot),
            Lane::Ready => self.ready.remove(nodes, slot),
        }
        self.left(lane);
        node.set_lane(None);
        true
    }

    /// Changes the deadline, in microseconds. A slot set aside then waits for the new one. A queued slot moves within the timed lane in place, or between the ready and
    /// the timed lane; in the cancel lane it stays where it is. O(log N).
    pub fn set_deadline<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, deadline: Option<u64>) {
        let node = nodes.node(slot);
        let lane = node.lane();
        let old = node.home();
        node.set_deadline(deadline);
        match (lane, node.home()) {
            (Some(Lane::Timed), Lane::Timed) => self.timed.rekey(nodes, slot),
            (None, _) if self.timed.is_parked(nodes, slot) => self.timed.rekey_parked(nodes, slot),
            (Some(Lane::Timed | Lane::Ready), home) if home != old => {
                self.remove(nodes, slot);
                self.push_to(nodes, slot, home);
            }
            _ => {}
        }
    }

    /// Changes the priority. A queued slot goes behind the slots of its new priority; in the timed lane it keeps its
    /// arrival. Nothing happens when the priority is the same. O(log N) in the timed lane, else O(1).
    pub fn set_priority<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, priority: Priority) {
        let node = nodes.node(slot);
        if node.priority() == priority {
            return;
        }
        match node.lane() {
            None => {
                node.set_priority(priority);
                if self.timed.is_parked(nodes, slot) {
                    self.timed.rekey_parked(nodes, slot);
                }
            }
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

    /// Takes out the slot that is to run next.
    #[inline(never)]
    pub fn pop<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        let lane = self.choose()?;
        let slot = match lane {
            Lane::Cancel => self.cancel.pop(nodes),
            Lane::Timed => self.timed.pop(nodes),
            Lane::Ready => self.ready.pop(nodes),
        };
        self.left(lane);
        if let Some(slot) = slot {
            nodes.node(slot).set_lane(None);
        }
        slot
    }

    /// Queues `slot`, which is in no lane.
    #[inline(never)]
    fn push_to<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, lane: Lane) {
        nodes.node(slot).set_lane(Some(lane));
        match lane {
            Lane::Cancel => {
                let front = self.front();
                self.cancel.push(nodes, slot, front);
            }
            Lane::Timed => {
                let stamp = self.stamp();
                self.timed.push(nodes, slot, stamp);
            }
            Lane::Ready => {
                let front = self.front();
                self.ready.push(nodes, slot, front);
            }
        }
        self.occupied |= lane.bit();
        self.len += 1;
        self.deepest = self.deepest.max(self.len);
    }

    /// The lane whose turn it is, with the streaks counted.
    #[inline]
    fn choose(&mut self) -> Option<Lane> {
        let occupied = self.occupied;
        if occupied & (occupied.wrapping_sub(1)) == 0 {
            self.end_streaks();
            return self.only();
        }
        let Fairness { cancel_streak, timed_streak } = self.fairness;
        let waits = |lane: Lane| occupied & lane.bit() != 0;
        // More than one lane waits, so a cancel dispatch always passes over somebody.
        if waits(Lane::Cancel) && (cancel_streak == 0 || self.cancel_run < cancel_streak) {
            self.cancel_run = self.cancel_run.saturating_add(1);
            return Some(Lane::Cancel);
        }
        self.cancel_run = 0;
        if !waits(Lane::Ready) {
            self.timed_run = 0;
            return Some(Lane::Timed);
        }
        if waits(Lane::Timed) && (timed_streak == 0 || self.timed_run < timed_streak) {
            self.timed_run = self.timed_run.saturating_add(1);
            return Some(Lane::Timed);
        }
        self.timed_run = 0;
        Some(Lane::Ready)
    }

    /// A dispatch that passes over nobody ends every streak.
    #[inline(always)]
    fn end_streaks(&mut self) {
        self.cancel_run = 0;
        self.timed_run = 0;
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

    #[inline(always)]
    fn front(&mut self) -> bool {
        self.shuffle != 0 && self.random() & 1 == 1
    }

    #[inline(always)]
    fn stamp(&mut self) -> Option<u16> {
        if self.shuffle == 0 { None } else { Some(self.random() as u16) }
    }

    /// Marsaglia's xorshift (2003) with the triple 13, 17, 5; never 0 from a state that isn't.
    #[inline(never)]
    fn random(&mut self) -> u32 {
        let mut x = self.shuffle;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.shuffle = x;
        x >> 7
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Default for Lanes<BANKS, PER_BANK> {
    fn default() -> Self {
        Self::new()
    }
}
