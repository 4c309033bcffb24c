//! A.6.1 to A.6.5.

use super::{Moves, Step, ingress, member};
use crate::chain::{Cut, TERMS};
use crate::mutation::Mutation::*;
use crate::setting::{MEMBERS, Setting};
use crate::state::{Answer, Arbiter, Column, Found, INGRESSES, Outlet, State};

pub(super) fn moves(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    let needed = is_raise_needed(state);
    if needed || state.used.raises < setting.raises {
        moves.add(Step::Raise { needed }, |next| raise(setting, next, needed));
    }
    let Arbiter { term, ingress: found, picked } = state.arbiter;
    if term == state.outlet.term && term > 1 {
        fence_ingresses(moves);
        if found != Found::Unknown && picked {
            let newest = state.newest() as u8;
            moves.add(Step::Confirm { ingress: newest }, |next| confirm(setting, next));
        }
        for number in 0..MEMBERS {
            in_term(moves, number, found, picked);
        }
    }
    for number in 0..MEMBERS {
        moves.add(Step::Grant { member: number as u8 }, |next| grant(setting, next, number));
    }
}

/// What the arbiter does with one member in its term.
fn in_term(moves: &mut Moves<'_>, number: usize, found: Found, picked: bool) {
    let Moves { setting, state, .. } = *moves;
    let (column, term) = (&state.columns[number], state.arbiter.term);
    let (member, answer) = (&column.member, &column.answer);
    let several = setting.lacks(HandOverOfCutAndOneSuccessor);
    if picked && !several {
        return;
    }
    if member.alive && member.term <= term {
        moves.add(Step::FenceMember { member: number as u8 }, |next| fence_member(setting, next, number));
    }
    let is_same = answer.incarnation > 0 && member.full && member.incarnation == answer.incarnation;
    if found == Found::Unknown && is_same && may_replace(setting, state, column) {
        let step = Step::Replace { member: number as u8 };
        moves.add(step, |next| replace(setting, next, number));
    }
    let base = state.ingresses[state.newest()].log.base();
    let is_near = answer.applied + 1 >= base || setting.lacks(SuccessorAtBase);
    if found != Found::Unknown && answer.incarnation > 0 && answer.full && is_near {
        moves.add(Step::Pick { member: number as u8 }, |next| {
            next.columns[number].grant = (term, answer.incarnation);
            next.arbiter.picked = true;
            if !setting.suspicion && setting.ring >= setting.events {
                // A wait that cannot matter.
                confirm(setting, next);
            }
            if !several {
                next.columns.iter_mut().for_each(|column| column.answer = Answer::default());
            }
        });
    }
}

/// Whether without a raise nobody can go on: it is no fault then, and not counted.
fn is_raise_needed(state: &State) -> bool {
    let term = state.outlet.term;
    let is_active = |column: &Column| {
        let member = &column.member;
        member.alive && member.full && member.active && member.term == term
    };
    let is_granted = |column: &Column| {
        let member = &column.member;
        column.grant == (term, member.incarnation) && member.alive && member.full && member.term == term
    };
    let goes_on = state.arbiter.term == term;
    let newest = &state.ingresses[state.newest()];
    let has_active = state.columns.iter().any(is_active);
    let finds_one = goes_on && (!state.arbiter.picked || state.columns.iter().any(is_granted));
    let has_ingress = newest.alive && newest.confirmed;
    let finds_ingress = goes_on && (state.arbiter.ingress == Found::Unknown || newest.alive);
    !(has_active || finds_one) || !(has_ingress || finds_ingress)
}

/// A.6.1: the outlet first, in one step with the cut.
fn raise(setting: &Setting, next: &mut State, needed: bool) {
    next.used.raises += u8::from(!needed);
    // It restarted, and took up the term again of which it knows.
    let is_again = next.arbiter.term == 0 && setting.lacks(HandOverOfCutAndTermOfOutlet);
    if !is_again {
        let outlet = &mut next.outlet;
        if !append_cut(setting, outlet) {
            return;
        }
        outlet.term += 1;
    }
    next.arbiter = Arbiter { term: next.outlet.term, ingress: Found::Unknown, picked: false };
    next.columns.iter_mut().for_each(|column| column.answer = Answer::default());
}

/// The cut is the last link let out, of whatever term. Without room in the list there is no new term.
fn append_cut(setting: &Setting, outlet: &mut Outlet) -> bool {
    let Outlet { term, mark, hash, horizon, .. } = *outlet;
    let is_empty_term = mark.origin != term;
    let entries = (2..=term).filter(|term| !outlet.cuts[usize::from(*term)].struck).count();
    if entries - usize::from(is_empty_term && term > 1) >= usize::from(setting.cut_list) {
        return false;
    }
    assert!(usize::from(term) + 1 < TERMS, "the setting is too large for the model");
    let mut cut = Cut { mark, hash, horizon, struck: false };
    if is_empty_term {
        outlet.cuts[usize::from(term)].struck = !setting.lacks(StrikeEmptyTerms);
        if setting.lacks(CutOfAnyTerm) {
            cut.mark.origin = term;
            cut.mark.sequence = 0;
        }
    }
    outlet.cuts[usize::from(term) + 1] = cut;
    true
}

/// A.6.2: the freshest answer of the incarnation counts.
fn fence_member(setting: &Setting, next: &mut State, number: usize) {
    let term = next.arbiter.term;
    let Column { member, answer, .. } = &mut next.columns[number];
    member::take_term(setting, member, term);
    let counted = member.counted;
    *answer = Answer {
        incarnation: member.incarnation,
        generation: member.generation,
        held: member.log.end(),
        applied: member.applied,
        full: member.full,
        counted,
    };
}

/// A.6.2: it may be fenced without its answer getting through. One that was taken for dead may be fenced
/// still.
fn fence_ingresses(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    let Arbiter { term, ingress: found, .. } = state.arbiter;
    let newest = state.newest();
    for (place, ingress) in state.ingresses.iter().enumerate().filter(|(_, ingress)| ingress.alive) {
        let can_answer = place == newest && found == Found::Unknown;
        for answered in [true, false] {
            let may = if answered { can_answer } else { setting.suspicion && ingress.term < term };
            if may {
                moves.add(Step::FenceIngress { ingress: place as u8, answered }, |next| {
                    let ingress = &mut next.ingresses[place];
                    ingress.confirmed &= ingress.term == term;
                    ingress.term = term;
                    if answered {
                        next.arbiter.ingress = Found::Stays;
                    }
                });
            }
        }
    }
}

/// An ingress of a new term waits until it is told who the successor is. One that was taken for dead is not
/// told.
fn confirm(setting: &Setting, next: &mut State) {
    let (newest, term) = (next.newest(), next.arbiter.term);
    let ingress = &mut next.ingresses[newest];
    if ingress.alive && ingress.term == term {
        ingress.confirmed = true;
        for column in next.columns.iter_mut().filter(|column| column.grant.0 == term) {
            column.peers[newest].left &= setting.lacks(SuccessorStays);
        }
    }
}

/// A.6.3: whether the ingress counts as dead, enough members are fenced, and this one is furthest ahead.
fn may_replace(setting: &Setting, state: &State, column: &Column) -> bool {
    let newest = state.newest();
    let is_dead = !state.ingresses[newest].alive || setting.suspicion;
    if !is_dead || setting.acks == 1 || newest + 1 == INGRESSES {
        return false;
    }
    let answers = state.columns.iter().map(|column| column.answer);
    let counted: Vec<Answer> = answers.filter(|answer| answer.full && answer.counted).collect();
    let enough = if setting.lacks(EnoughFenced) { 1 } else { MEMBERS + 1 - usize::from(setting.acks) };
    let ahead = |answer: &Answer| (answer.generation, answer.held);
    let Answer { full, counted: is_counted, .. } = column.answer;
    let first = counted.iter().map(ahead).max();
    counted.len() >= enough && full && is_counted && first == Some(ahead(&column.answer))
}

fn replace(setting: &Setting, next: &mut State, number: usize) {
    let place = next.newest() + 1;
    let begun = ingress::of_member(setting, &next.columns[number].member, next.arbiter.term);
    next.ingresses[place] = begun;
    next.arbiter.ingress = Found::Replaced;
}

/// A.6.5: the cut list comes with the grant.
fn grant(setting: &Setting, next: &mut State, number: usize) {
    let cuts = next.outlet.cuts;
    let column = &mut next.columns[number];
    let (term, incarnation) = column.grant;
    let member = &mut column.member;
    let is_meant = (member.full && member.incarnation == incarnation) || setting.lacks(GrantOfIncarnation);
    if !member.alive || term < 2 || member.term > term || !is_meant {
        return;
    }
    member::take_term(setting, member, term);
    member.active = true;
    if member.cuts < term {
        member.cuts = term;
        let mark = cuts[usize::from(term)].mark;
        if mark > member.mark {
            member.mark = mark;
        }
    }
    member::follow_cuts(setting, next, number);
    let member = &mut next.columns[number].member;
    if member.full && member.chain.origin == term && !setting.lacks(HandOverAgain) {
        member.chain.keep_hand_over(&cuts[usize::from(term)]);
        member::drop_passed(setting, member);
    }
}
