//! What a search may do, and how often.

use crate::mutation::Mutation;

/// The members of the shard.
pub const MEMBERS: usize = 3;

/// The size of a search: what there is to do, which faults may come, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What it is called.
    pub name: &'static str,
    /// The events in all, at most four.
    pub events: u8,
    /// The producers, one or two; events are theirs in turn.
    pub producers: u8,
    /// The outputs of every event.
    pub outputs: u8,
    /// `Acks::One`, or the `k` of `Acks::Members(k)`.
    pub acks: u8,
    /// Members that are warm standbys; the others are hot.
    pub warm: u8,
    /// Raises of the term that nothing called for.
    pub raises: u8,
    /// Deaths of members.
    pub member_crashes: u8,
    /// Deaths of the ingress.
    pub ingress_crashes: u8,
    /// The ingress may be taken for dead while it lives.
    pub suspicion: bool,
    /// Restarts of the arbiter.
    pub arbiter_restarts: u8,
    /// Restarts of the outlet, at any point of a letting out.
    pub outlet_restarts: u8,
    /// Transfers that may end before their time.
    pub abandons: u8,
    /// Times that the ingress may leave a member out of the eviction set.
    pub leaves: u8,
    /// The records that the ingress has room for.
    pub ring: u8,
    /// The entries that the cut list has room for.
    pub cut_list: u8,
    /// The rule that is left out.
    pub without: Option<Mutation>,
}

impl Setting {
    /// One event of two outputs, `Acks::One`, hot standbys, no fault.
    pub const PLAIN: Self = Self {
        name: "",
        events: 1,
        producers: 1,
        outputs: 2,
        acks: 1,
        warm: 0,
        raises: 0,
        member_crashes: 0,
        ingress_crashes: 0,
        suspicion: false,
        arbiter_restarts: 0,
        outlet_restarts: 0,
        abandons: 0,
        leaves: 0,
        ring: 8,
        cut_list: 8,
        without: None,
    };

    /// Whether a rule is left out.
    pub fn lacks(&self, rule: Mutation) -> bool {
        self.without == Some(rule)
    }

    /// The outputs that the events up to an index have.
    pub fn outputs_to(&self, index: u8) -> u8 {
        self.outputs * index
    }

    /// The index of the event that has an output.
    pub fn index_of(&self, output: u8) -> u8 {
        output.div_ceil(self.outputs)
    }

    /// The event of the same producer before this one.
    pub fn before(&self, event: u8) -> Option<u8> {
        event.checked_sub(self.producers).filter(|event| *event > 0)
    }
}
