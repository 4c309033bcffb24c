//! The rules that can be taken away.

/// Declares the rules with their list, so that none is left out of it.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A rule of the protocol that the model leaves out, to see that the search notices.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

rules! {
    /// A.3.1: the filter changes with the ring, in one step.
    FilterWithRing,
    /// A.3.2: a duplicate is acknowledged by the rule of the original.
    DuplicateLikeOriginal,
    /// A.3.5: what is evicted is applied by all of the eviction set.
    EvictApplied,
    /// A.3.5: two others that hold the state remain in the eviction set.
    TwoRemain,
    /// A.3.5: the successor does not leave the eviction set.
    SuccessorStays,
    /// A.4.1: members refuse lower terms.
    LowerTermsRefused,
    /// A.4.1: a higher term ends being active.
    FencedIsInactive,
    /// A.4.2: below the start of a generation a member only catches up.
    JoinAtStart,
    /// A.4.2: who joins drops what lies behind.
    DropBehindStart,
    /// A.4.2: the commit of a generation counts for those who joined it.
    CommitOfJoined,
    /// A.4.3: only what is committed is applied.
    ApplyCommitted,
    /// A.4.3: a standby applies up to the mark.
    StandbyUpToMark,
    /// A.4.3: the time is stamped at acceptance.
    TimeAtAcceptance,
    /// A.4.5: outputs are kept until the mark passes them.
    KeepOutputs,
    /// A.4.5: a chain walks through the cuts before it drops what the mark has passed.
    WalkBeforeDrop,
    /// A.5: lower terms are fenced.
    OutletFence,
    /// A.5: the record outlives a restart.
    OutletRecord,
    /// A.5: after a restart, the last link recorded is let out again.
    ReleaseAgain,
    /// A.5: the receiver drops the last link if it comes again.
    ReceiverDropsRepeats,
    /// A.5: `Through` tells of events without output.
    Through,
    /// A.6.1: the cut is the last link of whatever term.
    CutOfAnyTerm,
    /// A.6.1: the entry of a term in which nothing was let out is replaced.
    StrikeEmptyTerms,
    /// A.6.3: n - k + 1 counted members are fenced.
    EnoughFenced,
    /// A.6.3: a new log goes on from what is held, not from what is applied.
    LogFromHeld,
    /// A.6.3: a new ingress has the filter of its log.
    NewFilter,
    /// A.6.3: an ingress of a new term waits until it is told the successor.
    Confirm,
    /// A.6.4: the successor has applied the record below the base.
    SuccessorAtBase,
    /// A.6.5: a grant is for one incarnation that is full.
    GrantOfIncarnation,
    /// A.6.5: the successor queues its hand-over again.
    HandOverAgain,
    /// A.6.6: a chain walks through the whole list of cuts.
    CutList,
    /// A.6.6: the hand-over is a function of the cut alone.
    HandOverOfCut,
    /// The rule above, and A.6.4: one successor a term.
    HandOverOfCutAndOneSuccessor,
    /// The same, and A.6.1: an arbiter that restarted takes the next term.
    HandOverOfCutAndTermOfOutlet,
    /// A.6.6: outputs under an older origin are suppressed.
    SuppressOlderOrigins,
    /// A.6.7: what lies beyond a cut is linked again.
    Relink,
    /// A.7.1: a restarted member is empty.
    RestartedIsEmpty,
    /// A.7.2: a snapshot is installed in its own term.
    SnapshotOfTerm,
    /// A.7.2: a snapshot is installed at most at the mark.
    SnapshotUpToMark,
    /// A.7.2: the snapshot has the parent of the next link.
    ParentInSnapshot,
    /// A.7.2: the snapshot has the filter.
    FilterInSnapshot,
    /// A.7.3: the source applies nothing between two slices.
    HoldBetweenSlices,
    /// A.7.3: a transfer whose other end is gone ends.
    TransferEnds,
    /// A.7.4: an empty member is empty until the transfer is whole.
    EmptyUntilWhole,
    /// A.7.1: a restarted member takes its term from the outlet.
    TermOfOutlet,
    /// A.7.5: a member is counted once it caught up.
    CountedWhenCaughtUp,
    /// A.3.4: acks of another generation are ignored.
    AckOfGeneration,
}

impl Mutation {
    /// The rule of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| format!("{rule:?}") == name)
    }
}
