//! A.1: what may die, and what comes back (A.7.1).

use super::{Moves, Step};
use crate::mutation::Mutation::*;
use crate::setting::{MEMBERS, Setting};
use crate::state::{Arbiter, Found, Ingress, Member, State};

pub(super) fn moves(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    for number in 0..MEMBERS {
        if !state.columns[number].member.alive {
            moves.add(Step::Restart { member: number as u8 }, |next| restart(setting, next, number));
        } else if state.used.member_crashes < setting.member_crashes && are_others_counted(state, number) {
            moves.add(Step::KillMember { member: number as u8 }, |next| {
                let column = &mut next.columns[number];
                let dead =
                    Member { alive: false, ..Member::empty(column.member.hot, column.member.incarnation) };
                let keeps = setting.lacks(RestartedIsEmpty);
                column.member = if keeps { Member { alive: false, ..column.member } } else { dead };
                next.used.member_crashes += 1;
            });
        }
    }
    let newest = state.newest();
    let is_alive = state.ingresses[newest].alive;
    if is_alive && state.used.ingress_crashes < setting.ingress_crashes {
        moves.add(Step::KillIngress { ingress: newest as u8 }, |next| {
            let ingress = &mut next.ingresses[newest];
            let Ingress { generation, log, .. } = *ingress;
            *ingress = Ingress { generation, log, ..State::first(setting).ingresses[1] };
            for column in &mut next.columns {
                column.peers[newest] = Default::default();
            }
            next.used.ingress_crashes += 1;
        });
    }
    if state.used.arbiter_restarts < setting.arbiter_restarts && state.arbiter.term > 1 {
        moves.add(Step::RestartArbiter, |next| {
            next.arbiter = Arbiter { term: 0, ingress: Found::Unknown, picked: false };
            next.columns.iter_mut().for_each(|column| column.answer = Default::default());
            next.used.arbiter_restarts += 1;
        });
    }
    if state.used.outlet_restarts < setting.outlet_restarts {
        outlet(moves);
    }
}

/// The next single death begins when every member is counted again.
fn are_others_counted(state: &State, number: usize) -> bool {
    let generation = state.ingresses[state.newest()].generation;
    let mut others = (0..MEMBERS).filter(|other| *other != number).map(|other| &state.columns[other].member);
    let is_again = state.used.member_crashes > 0;
    others.all(|other| {
        other.alive && other.full && other.counted && (!is_again || other.generation == generation)
    })
}

/// A.7.1: it is empty, and asks the outlet for its incarnation and the term.
fn restart(setting: &Setting, next: &mut State, number: usize) {
    let outlet = &next.outlet;
    let member = &mut next.columns[number].member;
    let incarnation = member.incarnation + 1;
    if setting.lacks(RestartedIsEmpty) {
        *member = Member { alive: true, incarnation, ..*member };
        return;
    }
    *member = Member::empty(member.hot, incarnation);
    member.counted = setting.lacks(CountedWhenCaughtUp);
    if !setting.lacks(TermOfOutlet) {
        member.term = outlet.term;
        member.cuts = outlet.term;
        member.mark = outlet.mark;
    }
}

/// The outlet restarts with its record, before or behind the release of the last link.
fn outlet(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    let before = state.outlet;
    if !before.recorded {
        // It cannot tell whether it released the last one.
        moves.add(Step::RestartOutlet, |next| {
            next.used.outlet_restarts += 1;
            next.outlet.recorded = next.outlet.mark.sequence > 0;
        });
        return;
    }
    moves.add(Step::RestartOutlet, |next| {
        next.used.outlet_restarts += 1;
        next.outlet.recorded = !setting.lacks(ReleaseAgain);
    });
}
