//! A.4.3 to A.4.5, and the walk through the cuts, A.6.6 and A.6.7.

use super::{Moves, Step};
use crate::chain::{Cut, Cuts, Mark, hand_over};
use crate::log::bit;
use crate::mutation::Mutation::*;
use crate::setting::{MEMBERS, Setting};
use crate::state::{Member, State, Violation};

pub(super) fn moves(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    for number in 0..MEMBERS {
        if !state.columns[number].member.alive {
            continue;
        }
        moves.add(Step::Learn { member: number as u8 }, |next| learn(setting, next, number));
        // A.7.3: the source of a transfer applies nothing.
        let is_held = state.columns[number].sends && !setting.lacks(HoldBetweenSlices);
        if !is_held && can_apply(setting, &state.columns[number].member) {
            moves.add(Step::Apply { member: number as u8 }, |next| apply(setting, next, number));
        }
    }
}

/// A.4.1: a higher term ends being active.
pub(super) fn take_term(setting: &Setting, member: &mut Member, term: u8) {
    if term > member.term {
        member.term = term;
        member.active &= setting.lacks(FencedIsInactive);
    }
}

/// The mark with the cut list, from the outlet.
fn learn(setting: &Setting, next: &mut State, number: usize) {
    let outlet = next.outlet;
    let member = &mut next.columns[number].member;
    if outlet.term >= member.term {
        take_term(setting, member, outlet.term);
        member.cuts = outlet.term;
        member.mark = outlet.mark;
        if setting.lacks(KeepOutputs) {
            member.chain.drop_all();
        }
        follow_cuts(setting, next, number);
    }
}

/// A.4.3.
fn can_apply(setting: &Setting, member: &Member) -> bool {
    let index = member.applied + 1;
    let is_committed = index <= member.commit || setting.lacks(ApplyCommitted);
    let is_let_out = index <= member.mark.done || setting.lacks(StandbyUpToMark);
    let may = member.active || (member.hot && is_let_out);
    member.full && may && is_committed && member.log.get(index).is_some()
}

/// One commit of state, filter and chain.
fn apply(setting: &Setting, next: &mut State, number: usize) {
    let member = &mut next.columns[number].member;
    member.applied += 1;
    let record = member.log.get(member.applied).expect("it was looked for");
    if member.state.iter().any(|event| event == record.event) {
        return next.violate(Violation::EventTwice);
    }
    member.state.push(record.event);
    member.filter |= bit(record.event);
    member.applied_term = record.term;
    for _ in 0..setting.outputs {
        append_output(setting, next, number);
    }
    follow_cuts(setting, next, number);
}

/// The next output follows the others, and is a function of the state behind its event.
fn append_output(setting: &Setting, next: &mut State, number: usize) {
    walk(setting, next, number);
    let member = &mut next.columns[number].member;
    if !member.full {
        return;
    }
    let index = setting.index_of(member.chain.computed + 1);
    // Members that read a clock of their own read different times.
    let salt = if setting.lacks(TimeAtAcceptance) { 1 + u8::from(member.active) } else { 0 };
    member.chain.append_output(member.state, index, salt);
}

/// The entries of a version of the cut list, each with its term.
fn list<'a>(setting: &Setting, cuts: &'a Cuts, version: u8) -> impl Iterator<Item = (u8, &'a Cut)> {
    let first = if setting.lacks(CutList) { version.max(2) } else { 2 };
    let terms = (first..=version).map(|term| (term, &cuts[usize::from(term)]));
    let keeps_struck = setting.lacks(StrikeEmptyTerms);
    terms.filter(move |(term, cut)| keeps_struck || !(cut.struck && *term < version))
}

/// Walks the chain through the cuts, and only then drops what the mark has passed: an output that others let
/// out under a newer origin is still needed to get there.
pub(super) fn follow_cuts(setting: &Setting, next: &mut State, number: usize) {
    if setting.lacks(WalkBeforeDrop) {
        drop_passed(setting, &mut next.columns[number].member);
    }
    walk(setting, next, number);
    drop_passed(setting, &mut next.columns[number].member);
}

/// A.6.6: appends the hand-over wherever the chain is at a cut. A.6.7: links again what lies beyond.
fn walk(setting: &Setting, next: &mut State, number: usize) {
    let cuts = next.outlet.cuts;
    let member = &mut next.columns[number].member;
    while member.full {
        let (origin, version) = (member.chain.origin, member.cuts);
        let here = list(setting, &cuts, version).find(|(_, cut)| cut.mark.origin == origin);
        let is_struck = origin > 1 && !list(setting, &cuts, version).any(|(term, _)| term == origin);
        let newer = || list(setting, &cuts, version).find(|(term, _)| *term > origin);
        let (term, cut) = match here {
            Some(entry) => entry,
            // The list that it knows can be older than its chain, after a transfer.
            None if is_struck && origin < version && !setting.lacks(CutList) => {
                newer().expect("whoever struck a term has a later one")
            }
            None => return,
        };
        let is_beyond = here.is_none() || member.chain.sequence > cut.mark.sequence;
        if is_beyond {
            if !setting.lacks(Relink) {
                relink(setting, next, number, term, cut);
            }
            return;
        }
        if member.chain.sequence < cut.mark.sequence {
            return;
        }
        if member.chain.head != cut.hash {
            return next.violate(Violation::Diverged);
        }
        begin(setting, member, term, cut);
    }
}

/// The hand-over, a function of the cut alone.
fn begin(setting: &Setting, member: &mut Member, term: u8, cut: &Cut) {
    let lacks = [HandOverOfCut, HandOverOfCutAndOneSuccessor, HandOverOfCutAndTermOfOutlet];
    let is_own = lacks.iter().any(|rule| setting.lacks(*rule));
    let own = if is_own { 1 + member.applied } else { 0 };
    member.chain.begin(cut, term, hand_over(cut, term, cut.horizon, own));
}

/// A.4.5. All outputs up to the mark's index are let out.
pub(super) fn drop_passed(setting: &Setting, member: &mut Member) {
    let Mark { done, outputs, .. } = member.mark;
    let outputs = outputs.max(setting.outputs_to(done));
    member.chain.drop_passed(&Mark { outputs, ..member.mark });
    if !member.active && member.chain.kept().all(|link| link.output.is_none()) {
        // The grant queues a hand-over again.
        member.chain.drop_all();
    }
}

/// A.6.7: the kept outputs behind the cut follow its hand-over; without them the member becomes empty.
fn relink(setting: &Setting, next: &mut State, number: usize, term: u8, cut: &Cut) {
    let member = &mut next.columns[number].member;
    let computed = member.chain.computed;
    let kept = member.chain.kept().filter_map(|link| link.output).min().unwrap_or(computed + 1);
    if kept > cut.mark.outputs + 1 {
        return member.become_empty();
    }
    begin(setting, member, term, cut);
    member.chain.computed = cut.mark.outputs;
    for _ in cut.mark.outputs..computed {
        append_output(setting, next, number);
    }
    walk(setting, next, number);
}
