//! A.5, and the receiver behind the outlet.

use super::{Moves, Step};
use crate::chain::{Link, Mark};
use crate::mutation::Mutation::*;
use crate::setting::{MEMBERS, Setting};
use crate::state::{Outlet, Receiver, State, Violation};

pub(super) fn moves(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    for number in 0..MEMBERS {
        let member = &state.columns[number].member;
        // What is sent before a death arrives before it, or not at all.
        if !(member.alive && member.full && member.active) {
            continue;
        }
        let is_fenced = member.term < state.outlet.term && !setting.lacks(OutletFence);
        // A.6.6: outputs under an older origin are suppressed.
        let is_sent = member.chain.origin == member.term || setting.lacks(SuppressOlderOrigins);
        if is_fenced || state.outlet.recorded {
            continue;
        }
        let step = Step::LetOut { member: number as u8 };
        if is_sent {
            moves.add(step, |next| let_out(setting, next, number));
            if setting.lacks(OutletRecord) && state.used.outlet_restarts < setting.outlet_restarts {
                // It is let out before it is recorded, and the restart comes between.
                moves.add(Step::RestartOutlet, |next| {
                    let_out(setting, next, number);
                    release(setting, next);
                    next.outlet = Outlet { receiver: next.outlet.receiver, ..state.outlet };
                    next.used.outlet_restarts += 1;
                });
            }
        }
        if setting.outputs == 0 && !setting.lacks(Through) {
            moves.add(Step::Through { member: number as u8 }, |next| through(next, number));
        }
    }
    if state.outlet.recorded {
        moves.add(Step::Release, |next| release(setting, next));
    }
}

/// The first kept link that the outlet has not let out.
fn let_out(setting: &Setting, next: &mut State, number: usize) {
    let member = &next.columns[number].member;
    let (origin, state, mark) = (member.chain.origin, member.state, next.outlet.mark);
    for link in member.chain.kept() {
        let follows = origin == mark.origin && link.sequence == mark.sequence + 1;
        let hands_over = origin != mark.origin && link.sequence == 1 && link.output.is_none();
        if origin == mark.origin && link.sequence <= mark.sequence {
            // Acknowledged again.
            if link.sequence == mark.sequence && link.hash != next.outlet.hash {
                return next.violate(Violation::Diverged);
            }
            continue;
        }
        if (follows || hands_over) && link.parent == next.outlet.hash {
            let event = link.output.map_or(0, |output| {
                state.get(setting.index_of(output) - 1).expect("the event is in the state")
            });
            return accept(setting, next, origin, &link, event);
        }
        if origin != mark.origin || follows {
            return next.violate(Violation::Diverged);
        }
        return;
    }
}

/// Recorded and let out in one step, or in two where the outlet may restart between them.
fn accept(setting: &Setting, next: &mut State, origin: u8, link: &Link, event: u8) {
    let outlet = &mut next.outlet;
    let mut last = (0, 0);
    if let Some(output) = link.output {
        let index = setting.index_of(output);
        let is_last = output == setting.outputs_to(index);
        outlet.mark.outputs = output;
        outlet.mark.done = if is_last { index } else { index - 1 };
        outlet.horizon = index;
        last = (event, output - setting.outputs_to(index - 1));
    }
    outlet.mark.origin = origin;
    outlet.mark.sequence = link.sequence;
    outlet.hash = link.hash;
    outlet.last = last;
    outlet.recorded = true;
    if setting.outlet_restarts == 0 {
        release(setting, next);
    }
}

/// The receiver drops the link that it saw last, and takes no other twice.
pub(super) fn release(setting: &Setting, next: &mut State) {
    next.outlet.recorded = false;
    let Outlet { mark, last: (event, k), receiver, .. } = next.outlet;
    let Mark { origin, sequence, .. } = mark;
    if receiver.last == (origin, sequence) && !setting.lacks(ReceiverDropsRepeats) {
        return;
    }
    let Receiver { mut events, k: before, .. } = receiver;
    if event > 0 {
        let seen = |event: u8| receiver.events.iter().any(|other| other == event);
        let is_next = seen(event) && events.get(events.len() - 1) == Some(event) && k == before + 1;
        let is_first = k == 1 && !seen(event) && (events.is_empty() || before == setting.outputs);
        if is_first && setting.before(event).is_none_or(seen) {
            events.push(event);
        } else if !is_next {
            let is_repeated = seen(event) && k <= before;
            next.violate(if is_repeated { Violation::OutputTwice } else { Violation::OutputSkipped });
            return;
        }
        next.outlet.receiver.k = k;
    }
    next.outlet.receiver.events = events;
    next.outlet.receiver.last = (origin, sequence);
}

/// Events without output: done once the last link is of the sender's origin and has reached its sequence.
fn through(next: &mut State, number: usize) {
    let member = &next.columns[number].member;
    let (term, index, sequence) = (member.term, member.applied, member.chain.sequence);
    let mark = &mut next.outlet.mark;
    if member.chain.origin == term && mark.origin == term && mark.sequence >= sequence {
        mark.done = mark.done.max(index);
    }
}
