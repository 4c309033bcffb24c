//! A.7.2 to A.7.5: one transfer at a time, of two slices.

use super::{Moves, Step};
use crate::log::Log;
use crate::mutation::Mutation::*;
use crate::setting::{MEMBERS, Setting};
use crate::state::{Member, State, Transfer};

pub(super) fn moves(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    let Transfer { slices, .. } = state.transfer;
    if slices == 0 {
        for (from, to) in (0..MEMBERS).flat_map(|from| (0..MEMBERS).map(move |to| (from, to))) {
            if is_useful(&state.columns[from].member, &state.columns[to].member) {
                let step = Step::FirstSlice { from: from as u8, to: to as u8 };
                moves.add(step, |next| first_slice(setting, next, from, to));
            }
        }
    }
    for number in 0..MEMBERS {
        let column = &state.columns[number];
        if slices == 1 && column.sends && column.member.alive && column.member.full {
            moves.add(Step::LastSlice { from: number as u8 }, |next| last_slice(setting, next, number));
        }
        if slices == 2 && column.receives && column.member.alive {
            moves.add(Step::Install { member: number as u8 }, |next| install(setting, next, number));
        }
    }
    let needed = !can_end(setting, state);
    if slices > 0 && !setting.lacks(TransferEnds) && (needed || state.used.abandons < setting.abandons) {
        moves.add(Step::Abandon { needed }, |next| {
            end(next);
            next.used.abandons += u8::from(!needed);
        });
    }
}

fn is_useful(from: &Member, to: &Member) -> bool {
    let is_source = from.alive && from.full;
    let is_behind = !to.full || (!to.hot && from.applied > to.applied);
    is_source && to.alive && is_behind && from.incarnation > 0
}

/// Whether the transfer in progress can still be of use, with both ends alive.
fn can_end(setting: &Setting, state: &State) -> bool {
    let Transfer { slices, term, .. } = state.transfer;
    let to = state.columns.iter().find(|column| column.receives && column.member.alive);
    let has_source =
        state.columns.iter().any(|column| column.sends && column.member.alive && column.member.full);
    let is_of_term = |member: &Member| term >= member.term || setting.lacks(SnapshotOfTerm);
    to.is_some_and(|to| is_of_term(&to.member)) && (slices == 2 || has_source)
}

fn first_slice(setting: &Setting, next: &mut State, from: usize, to: usize) {
    let Member { term, applied, applied_term, filter, .. } = next.columns[from].member;
    let filter = if setting.lacks(FilterInSnapshot) { 0 } else { filter };
    next.transfer = Transfer { slices: 1, term, applied, applied_term, filter, ..Transfer::default() };
    next.columns[from].sends = true;
    next.columns[to].receives = true;
    let to = &mut next.columns[to].member;
    if setting.lacks(EmptyUntilWhole) && !to.full {
        to.full = true;
        to.applied = applied;
        to.log = Log::behind(applied, applied_term);
    }
}

fn last_slice(setting: &Setting, next: &mut State, from: usize) {
    next.columns[from].sends = false;
    let Member { state, mut chain, .. } = next.columns[from].member;
    chain.drop_all();
    if setting.lacks(ParentInSnapshot) {
        chain.head = 0;
        chain.drop_all();
    }
    next.transfer = Transfer { slices: 2, state, chain, ..next.transfer };
}

/// A.7.2: of the receiver's term, and at most at its mark. Else it is of no use.
fn install(setting: &Setting, next: &mut State, number: usize) {
    let snapshot = next.transfer;
    let Transfer { term, applied, applied_term, filter, state, chain, .. } = snapshot;
    let member = &mut next.columns[number].member;
    let is_of_term = term == member.term || setting.lacks(SnapshotOfTerm);
    let is_let_out = applied <= member.mark.done || setting.lacks(SnapshotUpToMark);
    let is_newer = !member.full || applied > member.applied;
    if !is_of_term || !is_let_out || !is_newer {
        return;
    }
    let continues = member.full && member.log.term_at(applied) == Some(applied_term);
    if !continues {
        member.log = Log::behind(applied, applied_term);
        member.generation = 0;
        member.counted = setting.lacks(CountedWhenCaughtUp);
    }
    *member = Member { full: true, applied, applied_term, filter, state, chain, ..*member };
    end(next);
    super::member::follow_cuts(setting, next, number);
}

/// Either end may end it, and so does its time limit.
pub(super) fn end(next: &mut State) {
    next.transfer = Transfer::default();
    for column in &mut next.columns {
        column.receives = false;
        column.sends = false;
    }
}
