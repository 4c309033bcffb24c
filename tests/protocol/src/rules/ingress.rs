//! A.3, and the members' side of deliveries, A.4.1 and A.4.2.

use super::{Moves, Step};
use crate::log::{Log, Record, bit};
use crate::mutation::Mutation::*;
use crate::setting::{MEMBERS, Setting};
use crate::state::{Ingress, Member, Peer, State};

pub(super) fn moves(moves: &mut Moves<'_>) {
    let Moves { setting, state, .. } = *moves;
    for (place, ingress) in state.ingresses.iter().enumerate().filter(|(_, ingress)| ingress.alive) {
        let number = place as u8;
        if ingress.confirmed || setting.lacks(Confirm) {
            for event in 1..=setting.events {
                let step = Step::Submit { ingress: number, event };
                moves.add(step, |next| submit(setting, next, place, event));
            }
            for member in 0..MEMBERS {
                deliveries(moves, place, member);
            }
            if setting.ring < setting.events {
                eviction(moves, place);
            }
        }
        for member in 0..MEMBERS {
            let step = Step::Ack { ingress: number, member: member as u8 };
            moves.add(step, |next| ack(setting, next, place, member));
        }
    }
}

/// A.3.1 and A.3.2. An answer is given as soon as it may be: a later one changes nothing.
fn submit(setting: &Setting, next: &mut State, place: usize, event: u8) {
    let ingress = &mut next.ingresses[place];
    if ingress.filter & bit(event) != 0 {
        let found = ingress.log.iter().find(|(_, record)| record.event == event);
        let is_committed = found.is_none_or(|(index, _)| index <= ingress.commit);
        if is_committed || setting.lacks(DuplicateLikeOriginal) {
            next.acknowledged |= bit(event);
        }
        return;
    }
    if setting.before(event).is_some_and(|before| ingress.filter & bit(before) == 0) {
        return;
    }
    let has_room = ingress.log.count() < setting.ring;
    if has_room || setting.lacks(FilterWithRing) {
        ingress.filter |= bit(event);
    }
    if has_room {
        ingress.log.push(Record { event, term: ingress.term });
        commit(setting, next, place);
    }
}

/// A.3.3. Whatever is committed is acknowledged.
fn commit(setting: &Setting, next: &mut State, place: usize) {
    let ingress = &mut next.ingresses[place];
    let mut held: [u8; MEMBERS] = std::array::from_fn(|member| next.columns[member].peers[place].held);
    held.sort_unstable_by(|a, b| b.cmp(a));
    let reached = if setting.acks == 1 { ingress.log.end() } else { held[usize::from(setting.acks) - 1] };
    ingress.commit = ingress.commit.max(reached);
    let committed = ingress.log.iter().filter(|(index, _)| *index <= ingress.commit);
    next.acknowledged |= committed.fold(0, |events, (_, record)| events | bit(record.event));
}

/// A.3.4: an ack of another generation or of an older incarnation is ignored.
fn ack(setting: &Setting, next: &mut State, place: usize, member: usize) {
    let generation = next.ingresses[place].generation;
    let column = &mut next.columns[member];
    let Member { alive, incarnation, generation: joined, applied, log, .. } = column.member;
    let is_ours = joined == generation || (setting.lacks(AckOfGeneration) && joined > 0);
    let peer = &mut column.peers[place];
    if !alive || !is_ours || incarnation < peer.incarnation {
        return;
    }
    if incarnation > peer.incarnation {
        *peer = Peer { incarnation, left: peer.left, ..Peer::default() };
    }
    peer.held = peer.held.max(log.end().min(next.ingresses[place].log.end()));
    peer.applied = peer.applied.max(applied);
    commit(setting, next, place);
}

/// What can be delivered to one member: the next record in its generation, or any with which it can join.
fn deliveries(moves: &mut Moves<'_>, place: usize, number: usize) {
    let Moves { setting, state, .. } = *moves;
    let (ingress, member) = (&state.ingresses[place], &state.columns[number].member);
    let is_refused = ingress.term < member.term && !setting.lacks(LowerTermsRefused);
    // A.7.1: an empty member takes no records.
    if !member.alive || !member.full || is_refused || ingress.generation < member.generation {
        return;
    }
    let mut add = |index, change: &dyn Fn(&mut Member)| {
        let step = Step::Deliver { ingress: place as u8, member: number as u8, index };
        moves.add(step, |next| {
            let member = &mut next.columns[number].member;
            super::member::take_term(setting, member, ingress.term);
            change(member);
            take_commit(setting, member, ingress);
        });
    };
    if ingress.generation == member.generation {
        add(member.log.end() + 1, &|member: &mut Member| {
            let next = ingress.log.get(member.log.end() + 1);
            next.into_iter().for_each(|record| member.log.push(record));
        });
        add(0, &|_| ());
        return;
    }
    let pairs = ingress.log.base() - 1..=ingress.log.end();
    let mut is_behind = true;
    for index in pairs.filter(|index| member.log.agrees(&ingress.log, *index)) {
        is_behind = false;
        add(index + 1, &|member: &mut Member| take_of_newer(setting, member, ingress, index));
    }
    if is_behind {
        add(0, &Member::become_empty);
    }
}

/// A.4.2: the record behind the pair at `index`, or the bare pair at the log's end.
fn take_of_newer(setting: &Setting, member: &mut Member, ingress: &Ingress, index: u8) {
    let mut last = index;
    if let Some(record) = ingress.log.get(index + 1) {
        last += 1;
        if member.log.get(last).is_some_and(|ours| ours != record) {
            drop_behind(member, index);
        }
        if member.full && member.log.end() == index {
            member.log.push(record);
        }
    }
    if member.full && (last >= ingress.start || setting.lacks(JoinAtStart)) {
        if !setting.lacks(DropBehindStart) {
            drop_behind(member, last);
        }
        if member.full {
            member.generation = ingress.generation;
        }
    }
}

fn drop_behind(member: &mut Member, index: u8) {
    if member.applied > index {
        member.become_empty();
    } else {
        member.log.cut_behind(index);
    }
}

/// Commit and base go with each delivery. A log that has not joined may end in records that were never
/// committed.
fn take_commit(setting: &Setting, member: &mut Member, ingress: &Ingress) {
    let has_joined = member.generation == ingress.generation;
    if !member.full || !(has_joined || setting.lacks(CommitOfJoined)) {
        return;
    }
    member.commit = member.commit.max(ingress.commit);
    member.log.evict(ingress.log.base().min(member.applied + 1));
    member.counted |= has_joined && member.log.end() >= ingress.commit;
}

/// A.3.5. Nothing is evicted before the room is needed.
fn eviction(moves: &mut Moves<'_>, place: usize) {
    let Moves { setting, state, .. } = *moves;
    let ingress = &state.ingresses[place];
    let peers: [Peer; MEMBERS] = std::array::from_fn(|member| state.columns[member].peers[place]);
    let base = ingress.log.base();
    let remaining = peers.iter().filter(|peer| !peer.left);
    let applied = remaining.map(|peer| peer.applied).min().unwrap_or(0);
    let limit =
        if setting.lacks(EvictApplied) { ingress.commit } else { applied.min(state.outlet.mark.done) };
    if ingress.log.count() == setting.ring && limit >= base {
        moves.add(Step::Evict { ingress: place as u8 }, |next| next.ingresses[place].log.evict(limit + 1));
    }
    for (member, peer) in peers.iter().enumerate() {
        let number = member as u8;
        let holds =
            |other: &usize| *other != member && !peers[*other].left && peers[*other].applied + 1 >= base;
        let others = (0..MEMBERS).filter(holds).count();
        let column = &state.columns[member];
        let is_successor = column.grant.0 == ingress.term && !setting.lacks(SuccessorStays);
        let is_allowed = (others >= 2 || setting.lacks(TwoRemain)) && !is_successor;
        let needed = !(column.member.alive && column.member.full);
        if !peer.left && is_allowed && (needed || state.used.leaves < setting.leaves) {
            moves.add(Step::Leave { ingress: place as u8, member: number, needed }, |next| {
                next.columns[member].peers[place].left = true;
                next.used.leaves += u8::from(!needed);
            });
        }
        if peer.left && peer.applied + 1 >= base {
            moves.add(Step::Return { ingress: place as u8, member: number }, |next| {
                next.columns[member].peers[place].left = false;
            });
        }
    }
}

/// A.6.3: what a new ingress begins with, of a fenced member.
pub(super) fn of_member(setting: &Setting, member: &Member, term: u8) -> Ingress {
    let mut log: Log = member.log;
    if setting.lacks(LogFromHeld) {
        log.cut_behind(member.applied);
    }
    let filter = if setting.lacks(NewFilter) { 0 } else { member.filter | log.events() };
    Ingress {
        alive: true,
        term,
        generation: term,
        start: log.end(),
        log,
        filter,
        commit: 0,
        confirmed: false,
    }
}
