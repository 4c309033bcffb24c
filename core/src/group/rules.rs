//! The rules of the protocol that the adversary's tests take away, one at a time, to see that it notices.
//!
//! Under `--cfg trilane_rules` a rule can be switched off; in any other build none can, and the questions
//! are gone when it is compiled.

/// Declares the rules with their list, so that none is left out of it.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A rule that can be taken away.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[cfg_attr(not(trilane_rules), expect(dead_code, reason = "they are asked about, never named"))]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        /// All rules.
        #[cfg(trilane_rules)]
        pub const RULES: &[Rule] = &[$(Rule::$name,)*];
    };
}

rules! {
    /// A.3.1: the filter changes with the ring, in one step.
    FilterWithRing,
    /// A.3.2: a duplicate is acknowledged by the rule of the original.
    DuplicateLikeOriginal,
    /// A.3.3: what `k` members hold is committed, not what the ring holds.
    CommitHeld,
    /// A.3.4: acks of another generation are ignored.
    AckOfGeneration,
    /// A.3.5: what is evicted is applied by all of the eviction set.
    EvictApplied,
    /// A.3.5: two others that hold the state remain in the eviction set.
    TwoRemain,
    /// A.4.1: members refuse lower terms.
    LowerTermsRefused,
    /// A.4.2: below the start of a generation a member only catches up.
    JoinAtStart,
    /// A.4.2: who joins drops what lies behind.
    DropBehindStart,
    /// A.4.2: the commit of a generation counts for those who joined it.
    CommitOfJoined,
    /// A.4.3: only what is committed is applied.
    ApplyCommitted,
    /// A.4.3: the time is stamped at acceptance.
    TimeAtAcceptance,
    /// A.4.5: outputs are kept until the mark passes them.
    KeepOutputs,
    /// A.5: lower terms are fenced.
    OutletFence,
    /// A.5: the record outlives a restart.
    OutletRecord,
    /// A.5: the record is written before the link is let out.
    RecordFirst,
    /// A.5: the older of two copies is overwritten.
    TwoCopies,
    /// A.5: after a restart, the last link recorded is let out again.
    ReleaseAgain,
    /// A.5: `Through` tells of events without output.
    Through,
    /// A.5: `Through` counts once all outputs before it are let out.
    ThroughBehindOutputs,
    /// A.6.1: the cut is the last link of whatever term.
    CutOfAnyTerm,
    /// A.6.1: the entry of a term in which nothing was let out is replaced.
    StrikeEmptyTerms,
    /// A.6.1: an arbiter that restarted takes the next term.
    NextTermAfterRestart,
    /// A.6.3: n - k + 1 counted members are fenced.
    EnoughFenced,
    /// A.6.3: a new log goes on from what is held, not from what is applied.
    LogFromHeld,
    /// A.6.3: a new ingress has the filter of its log.
    NewFilter,
    /// A.6.3: who has become another incarnation hands over no log.
    LogOfIncarnation,
    /// A.6.3: an ingress that was replaced is not heard again.
    NewestIngress,
    /// A.6.3: an ingress of a new term waits until it is told the successor.
    Confirm,
    /// A.6.6: a chain walks through the whole list of cuts.
    CutList,
    /// A.6.6: the hand-over is a function of the cut alone.
    HandOverOfCut,
    /// A.6.7: what lies beyond a cut is linked again.
    Relink,
    /// A.7.2: the whole hash is checked before anything of a snapshot is used.
    WholeHash,
    /// A.7.2: the snapshot has the parent of the next link.
    ParentInSnapshot,
    /// A.7.2: the snapshot has the filter.
    FilterInSnapshot,
    /// A.7.3: a transfer whose other end is gone ends.
    TransferEnds,
    /// A.7.5: a member is counted once it caught up.
    CountedWhenCaughtUp,
}

#[cfg(trilane_rules)]
mod switch {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::Rule;

    /// 0 is none.
    static AWAY: AtomicUsize = AtomicUsize::new(0);

    /// Takes one rule away, or none.
    pub fn take_away(rule: Option<Rule>) {
        AWAY.store(rule.map_or(0, |rule| rule as usize + 1), Relaxed);
    }

    /// Whether a rule is taken away.
    pub fn lacks(rule: Rule) -> bool {
        AWAY.load(Relaxed) == rule as usize + 1
    }
}

#[cfg(trilane_rules)]
pub use switch::{lacks, take_away};

/// Whether a rule is taken away: never, in this build.
#[cfg(not(trilane_rules))]
#[inline(always)]
pub(super) const fn lacks(_: Rule) -> bool {
    false
}
