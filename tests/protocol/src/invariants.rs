//! What must hold in every state, and what every state must be able to reach.

use crate::log::bit;
use crate::setting::Setting;
use crate::state::{Member, State, Violation};

/// What is wrong with a state, if anything is.
pub fn violation(setting: &Setting, state: &State) -> Option<Violation> {
    state.violation.or_else(|| held(setting, state)).or_else(|| states(setting, state))
}

/// Every acknowledged event is in the log or the filter of the ingress, or with a member; and somebody has
/// the state that goes with the log.
fn held(setting: &Setting, state: &State) -> Option<Violation> {
    let newest = &state.ingresses[state.newest()];
    let members = || state.columns.iter().map(|column| &column.member).filter(|member| member.full);
    let with_members = members().fold(0, |events, member| events | member.filter | member.log.events());
    let accepted = if newest.alive { newest.filter } else { with_members };
    let is_held = state.acknowledged & !accepted == 0;
    let is_applied = |event: u8| members().any(|member| member.state.iter().any(|other| other == event));
    let evicted = newest.filter & !newest.log.events();
    let is_kept = (1..=setting.events).all(|event| evicted & bit(event) == 0 || is_applied(event));
    let has_state = members().any(|member| !newest.alive || member.applied + 1 >= newest.log.base());
    match (is_held && (is_kept || !newest.alive), has_state) {
        (false, _) => Some(Violation::EventLost),
        (_, false) => Some(Violation::StateGone),
        _ => None,
    }
}

/// A state has an event once, and of two states one is the beginning of the other.
fn states(setting: &Setting, state: &State) -> Option<Violation> {
    let members = || state.columns.iter().map(|column| &column.member).filter(|member| member.full);
    for member in members() {
        let Member { state, applied, .. } = member;
        let once = |event: u8| state.iter().filter(|other| *other == event).count() <= 1;
        if !(1..=setting.events).all(once) {
            return Some(Violation::EventTwice);
        }
        let agrees = |other: &Member| {
            let both = *applied.min(&other.applied);
            state.prefix(both) == other.state.prefix(both)
        };
        if state.len() != *applied || !members().all(agrees) {
            return Some(Violation::StatesDisagree);
        }
    }
    None
}

/// Whether all is done: each event acknowledged and its outputs let out.
pub fn is_done(setting: &Setting, state: &State) -> bool {
    let all = u8::MAX >> (8 - setting.events);
    state.acknowledged == all && state.outlet.mark.done == setting.events && !state.outlet.recorded
}
