//! The transitions. Each has the number of its rule in the protocol.
//!
//! A message carries what its sender has when it is received: a message that is late is the same as a
//! receiver that reads late, and one that was dropped, as a receiver that never reads. Where the past matters
//! it is a field: grants, answers, snapshots, and old ingresses, which go on sending.

mod arbiter;
mod faults;
mod ingress;
mod member;
mod outlet;
mod transfer;

use std::fmt::{self, Display, Formatter};

use crate::setting::Setting;
use crate::state::State;

/// One transition. Members are numbered in the order of the state before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Step {
    Submit { ingress: u8, event: u8 },
    Deliver { ingress: u8, member: u8, index: u8 },
    Ack { ingress: u8, member: u8 },
    Evict { ingress: u8 },
    Leave { ingress: u8, member: u8, needed: bool },
    Return { ingress: u8, member: u8 },
    Apply { member: u8 },
    Learn { member: u8 },
    LetOut { member: u8 },
    Through { member: u8 },
    Release,
    Raise { needed: bool },
    FenceMember { member: u8 },
    FenceIngress { ingress: u8, answered: bool },
    Confirm { ingress: u8 },
    Replace { member: u8 },
    Pick { member: u8 },
    Grant { member: u8 },
    FirstSlice { from: u8, to: u8 },
    LastSlice { from: u8 },
    Install { member: u8 },
    Abandon { needed: bool },
    Restart { member: u8 },
    KillMember { member: u8 },
    KillIngress { ingress: u8 },
    RestartArbiter,
    RestartOutlet,
}

impl Step {
    /// Whether it stops once the faults end.
    pub fn is_fault(self) -> bool {
        use Step::*;
        matches!(
            self,
            Raise { needed: false }
                | Abandon { needed: false }
                | Leave { needed: false, .. }
                | FenceIngress { answered: false, .. }
                | KillMember { .. }
                | KillIngress { .. }
                | RestartArbiter
                | RestartOutlet
        )
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        use Step::*;
        let rule = match self {
            Submit { .. } => "A.3.1",
            Deliver { .. } => "A.4.2",
            Ack { .. } => "A.3.3",
            Evict { .. } | Leave { .. } | Return { .. } => "A.3.5",
            Apply { .. } => "A.4.3",
            Learn { .. } => "A.6.6",
            LetOut { .. } | Through { .. } | Release => "A.5",
            Raise { .. } => "A.6.1",
            FenceMember { .. } | FenceIngress { .. } => "A.6.2",
            Confirm { .. } | Replace { .. } => "A.6.3",
            Pick { .. } => "A.6.4",
            Grant { .. } => "A.6.5",
            FirstSlice { .. } | Install { .. } => "A.7.2",
            LastSlice { .. } | Abandon { .. } => "A.7.3",
            Restart { .. } => "A.7.1",
            KillMember { .. } | KillIngress { .. } | RestartArbiter | RestartOutlet => "A.1",
        };
        write!(f, "{rule:5} {self:?}")
    }
}

/// The transitions found in a state.
pub struct Moves<'a> {
    setting: &'a Setting,
    state: &'a State,
    found: &'a mut Vec<(Step, State)>,
}

impl Moves<'_> {
    /// Adds a transition, unless it changes nothing.
    fn add(&mut self, step: Step, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        change(&mut next);
        next.normalize(self.setting);
        if next != *self.state {
            self.found.push((step, next));
        }
    }
}

/// Finds all transitions of a state.
pub fn moves(setting: &Setting, state: &State, found: &mut Vec<(Step, State)>) {
    found.clear();
    let mut moves = Moves { setting, state, found };
    ingress::moves(&mut moves);
    member::moves(&mut moves);
    outlet::moves(&mut moves);
    arbiter::moves(&mut moves);
    transfer::moves(&mut moves);
    faults::moves(&mut moves);
}
