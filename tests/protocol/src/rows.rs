//! The table of mutations: which setting notices which rule's absence, and as what.

use crate::mutation::Mutation::{self, *};
use crate::setting::Setting;
use crate::settings::named;
use crate::state::Violation::{self, *};

/// A rule, and the setting in which its absence is noticed.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The rule.
    pub rule: Mutation,
    /// The name of the setting.
    pub setting: &'static str,
    /// What is found.
    pub found: Violation,
}

const fn row(rule: Mutation, setting: &'static str, found: Violation) -> Row {
    Row { rule, setting, found }
}

/// All rows.
pub const ROWS: &[Row] = &[
    row(FilterWithRing, "ring", EventLost),
    row(DuplicateLikeOriginal, "two-hold-ingress", EventLost),
    row(TwoRemain, "ring-member", EventLost),
    row(EvictApplied, "ring", EventLost),
    row(LowerTermsRefused, "two-hold-suspicion", EventLost),
    row(FencedIsInactive, "arbiter", Stuck),
    row(StandbyUpToMark, "raise", Diverged),
    row(TimeAtAcceptance, "raise", Diverged),
    row(KeepOutputs, "raises", Diverged),
    row(OutletFence, "raise", Diverged),
    row(OutletRecord, "outlet", OutputTwice),
    row(ReleaseAgain, "outlet", OutputSkipped),
    row(ReceiverDropsRepeats, "outlet", OutputTwice),
    row(Through, "raise-without-output", Stuck),
    row(CutOfAnyTerm, "raises", Stuck),
    row(StrikeEmptyTerms, "raises", Stuck),
    row(EnoughFenced, "two-hold-ingress", EventLost),
    row(LogFromHeld, "two-hold-ingress", EventLost),
    row(NewFilter, "two-hold-ingress", EventLost),
    row(Confirm, "two-hold-suspicion", EventLost),
    row(HandOverAgain, "raises", Diverged),
    row(CutList, "raises", Stuck),
    row(HandOverOfCut, "raises", Diverged),
    row(HandOverOfCutAndOneSuccessor, "raise", Diverged),
    row(HandOverOfCutAndTermOfOutlet, "arbiter", Diverged),
    row(Relink, "raise", Stuck),
    row(SnapshotUpToMark, "warm", StateGone),
    row(ParentInSnapshot, "member", Diverged),
    row(HoldBetweenSlices, "member", StatesDisagree),
    row(EmptyUntilWhole, "member", StatesDisagree),
    row(CountedWhenCaughtUp, "two-hold-all", EventLost),
];

impl Row {
    /// The setting without the rule.
    pub fn setting(&self) -> Setting {
        let setting = named(self.setting).expect("rows name settings that there are");
        Setting { without: Some(self.rule), ..setting }
    }
}
