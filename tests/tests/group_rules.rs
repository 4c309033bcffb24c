//! Rules of groups whose absence a random adversary hardly notices, each with the step in which it counts.

use trilane::causal::{Chain, Head, Position};
use trilane::group::message::{Ack, Deliver, Fenced, IngressState, LowerTerm};
use trilane::group::{
    Acks, Applied, Arbiter, ExcludeError, InstallError, NotPicked, OutletError, Submitted, ToMember, ToOutlet,
};
use trilane_tests::group::{CUTS, Group, RECORDS, Tally, TallyMember, outputs};

/// A snapshot of a member.
fn snapshot(member: &TallyMember) -> Vec<u8> {
    let mut buffer = [0; 2_000];
    member.snapshot(&mut buffer).unwrap().to_vec()
}

/// The member has lost its memory, and has asked the outlet for its place.
fn empty(group: &mut Group<3>, member: usize) {
    let nonce = group.nonce();
    group.members[member].restart(nonce);
    group.join(member);
    assert!(group.members[member].wants_snapshot());
}

/// A group that has let out one event.
fn with_an_event(acks: Acks) -> Group<3> {
    let mut group = Group::begun(acks);
    group.submit(b"a");
    group.settle();
    group
}

// === Snapshots and restarts ===

#[test]
fn a_snapshot_is_installed_in_its_own_term_alone() {
    let mut group = with_an_event(Acks::One);
    let old = snapshot(&group.members[0]);
    group.fail_over();
    group.mark(0);
    empty(&mut group, 2);
    let own = snapshot(&group.members[0]);
    // One written before a fence that was counted on.
    assert_eq!(group.members[2].install(&old), Err(InstallError::Term { ours: 3, its: 2 }));
    assert!(!group.members[2].is_full());
    assert_eq!(group.members[2].install(&own), Ok(()));
    // One of a term that the member has not heard of.
    empty(&mut group, 2);
    group.members[0].fence(4).unwrap();
    let newer = snapshot(&group.members[0]);
    assert_eq!(group.members[2].install(&newer), Err(InstallError::Term { ours: 3, its: 4 }));
}

#[test]
fn a_snapshot_is_installed_up_to_the_mark_alone() {
    let mut group = with_an_event(Acks::One);
    empty(&mut group, 2);
    group.submit(b"b");
    group.deliver(0);
    group.apply(0);
    let ahead = snapshot(&group.members[0]);
    let beyond = InstallError::BeyondMark { done: 1, applied: 2 };
    assert_eq!(group.members[2].install(&ahead), Err(beyond));
    // Let out, but the member has not heard of it.
    group.send(0);
    assert_eq!(group.members[2].install(&ahead), Err(beyond));
    group.mark(2);
    assert_eq!(group.members[2].install(&ahead), Ok(()));
}

#[test]
fn an_empty_member_that_has_installed_a_snapshot_has_joined_no_generation() {
    let mut group = with_an_event(Acks::Members(2));
    empty(&mut group, 2);
    let state = snapshot(&group.members[0]);
    assert_eq!(group.members[2].install(&state), Ok(()));
    let ack = group.members[2].ack().unwrap();
    assert_eq!((ack.generation, ack.held, group.members[2].is_counted()), (0, 1, false));
    // So its word does not commit what it holds.
    let bytes = group.submit(b"b");
    group.deliver(0);
    group.ingress.ack(2, &Ack { held: 2, ..ack });
    assert_eq!(group.offer(&bytes), Ok(Submitted::Pending { held: 1, needed: 2 }));
    group.deliver(2);
    assert_eq!(group.offer(&bytes), Ok(Submitted::Acknowledged));
    assert!(group.members[2].is_counted());
}

#[test]
fn a_member_that_was_left_behind_and_has_installed_a_snapshot_has_joined_no_generation() {
    let mut group = with_an_event(Acks::Members(2));
    assert_eq!(group.members[2].ack().unwrap().generation, 1);
    assert_eq!(group.ingress.exclude(2), Ok(()));
    group.lives[2] = false;
    for _ in 0..2 * RECORDS {
        group.submit(b"b");
        group.settle();
    }
    group.deliver(2);
    group.mark(2);
    assert!(group.members[2].wants_snapshot() && group.members[2].is_full());
    let state = snapshot(&group.members[0]);
    assert_eq!(group.members[2].install(&state), Ok(()));
    let ack = group.members[2].ack().unwrap();
    assert_eq!((ack.generation, ack.applied, group.members[2].is_counted()), (0, 17, false));
    group.deliver(2);
    assert_eq!(group.members[2].ack().unwrap().generation, 1);
    assert!(group.members[2].is_counted());
}

#[test]
fn a_member_is_counted_by_what_was_sent_to_its_present_life() {
    let mut group = with_an_event(Acks::Members(2));
    // A late message of a time when nothing was committed.
    let late = Group::<3>::begun(Acks::Members(2)).ingress;
    group.start(2, Tally::default());
    group.copy_state(2);
    let late = late.deliver(2).unwrap();
    assert!(late.commit == 0 && late.incarnation < group.members[2].incarnation());
    group.members[2].deliver(&late).unwrap();
    assert!(!group.members[2].is_counted());
    group.deliver(2);
    assert!(group.members[2].is_counted());
}

#[test]
fn a_restarted_member_takes_its_term_from_the_outlet() {
    let mut group = with_an_event(Acks::One);
    // A fence of term 3 has reached all members, but not the ingress.
    let mut late = Group::<3>::begun(Acks::One);
    late.submit(b"late");
    group.outlet.raise(2, 9).unwrap();
    group.members[2].fence(3).unwrap();
    group.start(2, Tally::default());
    assert_eq!(group.members[2].term(), 3);
    let deliver = late.ingress.deliver_at(2, 1).unwrap();
    assert_eq!(group.members[2].deliver(&deliver), Err(LowerTerm { term: 3 }));
    assert_eq!(group.members[2].held(), 0);
}

#[test]
fn who_becomes_empty_asks_for_a_new_incarnation_and_its_earlier_acks_no_longer_count() {
    let mut group = with_an_event(Acks::Members(2));
    let bytes = group.submit(b"b");
    group.deliver(0);
    assert_eq!(group.offer(&bytes), Ok(Submitted::Pending { held: 1, needed: 2 }));
    let (ack, before) = (group.members[0].ack().unwrap(), group.members[0].incarnation());
    // A newer log goes on behind another event than was applied here.
    let other = Position { term: 3, index: 1 };
    let incarnation = before;
    let deliver = Deliver {
        term: 3,
        generation: 3,
        start: 1,
        base: 2,
        commit: 1,
        incarnation,
        before: other,
        record: None,
    };
    assert_eq!(group.members[0].deliver(&deliver), Ok(None));
    let member = &group.members[0];
    assert_eq!((member.incarnation(), member.held(), member.applied().index), (0, 0, 0));
    assert_eq!((member.ack(), member.is_counted(), member.is_full()), (None, false, false));
    assert_eq!((member.is_active(), member.wants_to_join().is_some()), (false, true));
    assert_eq!(group.members[0].fence(4), Ok(None));
    group.join(0);
    let incarnation = group.members[0].incarnation();
    assert!(incarnation > before && !group.members[0].is_full());
    // The new life is heard, and then the old one isn't.
    group.ingress.ack(0, &Ack { incarnation, held: 0, applied: 0, ..ack });
    assert_eq!(group.offer(&bytes), Ok(Submitted::Pending { held: 0, needed: 2 }));
    group.ingress.ack(0, &ack);
    assert_eq!(group.offer(&bytes), Ok(Submitted::Pending { held: 0, needed: 2 }));
}

// === Being active ===

#[test]
fn a_grant_is_for_one_incarnation() {
    let mut group = with_an_event(Acks::One);
    group.kill(0);
    group.arbiter.raise(2);
    (0..3).for_each(|_| group.arbitrate());
    let picked = group.arbiter.pick().unwrap();
    let old = group.members[picked].incarnation();
    // It begins anew before the grant comes, and is full again.
    empty(&mut group, picked);
    let other = 3 - picked;
    group.mark(other);
    let state = snapshot(&group.members[other]);
    assert_eq!(group.members[picked].install(&state), Ok(()));
    let Some(ToMember::Grant(grant)) = group.arbiter.to_member(picked) else { panic!("it is picked") };
    assert_eq!(grant.incarnation, old);
    assert_eq!(group.members[picked].grant(&grant), Ok(None));
    assert!(!group.members[picked].is_active());
    // The term has no active, and another one begins.
    assert!((0..20).any(|_| group.arbiter.tick(4).is_ok() && group.arbiter.to_outlet().is_some()));
    group.fail_over();
    group.submit(b"b");
    group.settle();
    group.assert_let_out(&[b"a", b"b"]);
}

#[test]
fn a_term_has_one_successor() {
    let mut group = with_an_event(Acks::One);
    group.arbiter.raise(2);
    (0..3).for_each(|_| group.arbitrate());
    let picked = group.arbiter.pick().unwrap();
    assert_eq!(group.arbiter.pick(), Err(NotPicked::NotMeasuring));
    // Also if another answers that has more.
    let better =
        Fenced { term: 3, incarnation: 1, generation: 9, held: 99, applied: 99, ..Fenced::default() };
    group.arbiter.fenced(2, &Fenced { is_full: true, is_counted: true, ..better });
    assert_eq!(group.arbiter.pick(), Err(NotPicked::NotMeasuring));
    assert_eq!(group.arbiter.successor(), Some(picked));
    for member in 0..3 {
        assert_eq!(group.arbiter.to_member(member).is_some(), member == picked);
    }
    // Another needs another term.
    group.arbiter.raise(3);
    assert!(matches!(group.arbiter.to_outlet(), Some(ToOutlet::Raise { from: 3, .. })));
    assert_eq!(group.arbiter.to_member(picked), None);
}

#[test]
fn a_term_is_given_to_one_life_of_an_arbiter() {
    let mut group = Group::<3>::begun(Acks::One);
    assert_eq!(group.outlet.raise(2, 5).unwrap().term, 3);
    let before = format!("{:?}", group.outlet);
    // Its answer was lost: the same term, the same answer.
    assert_eq!(group.outlet.raise(2, 5).unwrap().term, 3);
    // Another life, also after a restart of the outlet.
    let refused = Err(OutletError::LowerTerm(LowerTerm { term: 3 }));
    assert_eq!(group.outlet.raise(2, 6), refused);
    assert_eq!(format!("{:?}", group.outlet), before);
    group.store();
    group.restart_outlet();
    assert_eq!(group.outlet.raise(2, 6), refused);
    assert_eq!(group.outlet.raise(2, 5).unwrap().term, 3);
    assert_eq!(group.outlet.raise(3, 6).unwrap().term, 4);
}

#[test]
fn a_fenced_member_stops_being_active() {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    group.submit(b"quiet");
    group.deliver(0);
    assert_eq!(group.members[0].apply(), Ok(Applied::One));
    assert!(group.members[0].is_active() && !outputs(&group.members[0]).is_empty());
    group.members[0].fence(3).unwrap().unwrap();
    let member = &mut group.members[0];
    assert!(!member.is_active() && outputs(member).is_empty() && member.through().is_none());
    assert_eq!(member.apply(), Ok(Applied::Nothing));
    // A fence of its own term, again, ends nothing.
    let mut group = Group::<3>::begun(Acks::One);
    group.members[0].fence(2).unwrap().unwrap();
    assert!(group.members[0].is_active());
}

#[test]
fn any_higher_term_ends_being_active() {
    let mut group = Group::<3>::begun(Acks::One);
    group.outlet.raise(2, 9).unwrap();
    group.mark(0);
    assert!(!group.members[0].is_active());
    let mut group = Group::<3>::begun(Acks::One);
    group.ingress.fence(3).unwrap();
    group.ingress.confirm(3, 1, 1).unwrap();
    group.deliver(0);
    assert_eq!((group.members[0].is_active(), group.members[0].term()), (false, 3));
}

#[test]
fn the_successor_has_applied_the_record_below_the_base() {
    let mut arbiter = Arbiter::<3, CUTS>::new(Acks::One, 1);
    let mut outlet = Group::<3>::new(Acks::One).outlet;
    arbiter.raise(1);
    arbiter.raised(&outlet.raise(1, 1).unwrap());
    arbiter.ingress_answered(&IngressState { term: 2, generation: 1, base: 6, is_confirmed: false });
    // The log goes on at 6: the first two lack the fifth.
    for (member, applied) in [(0, 3), (1, 4)] {
        let answer = Fenced { term: 2, incarnation: 1, generation: 9, held: 9, applied, ..Fenced::default() };
        arbiter.fenced(member, &Fenced { is_full: true, is_counted: true, ..answer });
    }
    assert_eq!(arbiter.pick(), Err(NotPicked::Behind));
    let answer = Fenced { term: 2, incarnation: 7, generation: 1, held: 5, applied: 5, ..Fenced::default() };
    arbiter.fenced(2, &Fenced { is_full: true, ..answer });
    assert_eq!(arbiter.pick(), Ok(2));
}

#[test]
fn a_standby_applies_up_to_the_mark_alone() {
    let mut group = Group::<3>::begun(Acks::One);
    for payload in [b"a", b"b", b"c"] {
        group.submit(payload);
    }
    (0..3).for_each(|member| group.deliver(member));
    group.apply(0);
    // All is committed and held, but nothing is let out.
    assert_eq!((group.ingress.commit(), group.members[1].held()), (3, 3));
    assert_eq!(group.members[1].apply(), Ok(Applied::Nothing));
    let sent = outputs(&group.members[0]);
    for kept in &sent[..2] {
        group.outlet.take(&kept.output()).unwrap();
        group.release();
    }
    assert_eq!(group.members[1].apply(), Ok(Applied::Nothing), "it has not heard of the mark");
    group.mark(1);
    let applied = [(); 3].map(|()| group.members[1].apply().unwrap());
    assert_eq!(applied, [Applied::One, Applied::One, Applied::Nothing]);
    assert_eq!(group.members[1].daemon().seen, [b"a", b"b"]);
}

// === The eviction set ===

#[test]
fn two_others_remain_in_the_eviction_set() {
    let mut group = with_an_event(Acks::Members(2));
    // All three have the state. One may go; the two that remain may not.
    assert_eq!(group.ingress.exclude(1), Ok(()));
    assert_eq!(group.ingress.exclude(1), Ok(()), "again");
    for member in [0, 2] {
        let error = group.ingress.exclude(member);
        let expected = if member == 0 { ExcludeError::Successor } else { ExcludeError::TooFew { others: 1 } };
        assert_eq!(error, Err(expected));
    }
    assert_eq!(group.ingress.exclude(3), Err(ExcludeError::NoMember));
    // With `Acks::One` a single one may remain, and is said to be alone.
    let mut group = with_an_event(Acks::One);
    assert!(!group.ingress.is_degraded());
    assert_eq!((group.ingress.exclude(1), group.ingress.exclude(2)), (Ok(()), Ok(())));
    assert!(group.ingress.is_degraded());
}

#[test]
fn silent_members_do_not_leave_the_eviction_set_where_two_others_do_not_remain() {
    let mut group = with_an_event(Acks::Members(2));
    group.lives = [true, true, false];
    let fill = |group: &mut Group<3>, events: usize| {
        for _ in 0..events {
            let bytes = group.event(b"b");
            if group.offer(&bytes).is_err() {
                return false;
            }
            group.settle();
        }
        true
    };
    // The silent member holds back the ring, until nothing was heard of it for long.
    let before = group.producer;
    assert!(!fill(&mut group, 2 * RECORDS));
    group.producer = before;
    (0..9).for_each(|_| group.ingress.tick(5));
    // Two others are there: it goes.
    for member in [0, 1] {
        let ack = group.members[member].ack().unwrap();
        group.ingress.ack(member, &ack);
    }
    let high = group.ingress.high_water(group.producer.origin());
    let head = Head { sequence: high.sequence, next_parent: high.hash };
    group.producer = Chain::resume(group.producer.origin(), head);
    assert!(fill(&mut group, 2 * RECORDS));
    // With the second one silent, too, the ring fills and stays full.
    group.lives = [true, false, false];
    (0..9).for_each(|_| group.ingress.tick(5));
    assert!(!fill(&mut group, 2 * RECORDS));
    (0..99).for_each(|_| group.ingress.tick(5));
    assert!(!fill(&mut group, 1));
}

#[test]
fn the_successor_stays_in_the_eviction_set_while_its_term_lasts() {
    let mut group = with_an_event(Acks::One);
    assert_eq!(group.ingress.exclude(0), Err(ExcludeError::Successor));
    // One that was taken out is in again once it is the successor.
    assert_eq!(group.ingress.exclude(1), Ok(()));
    group.lives = [false, true, false];
    assert_eq!(group.fail_over(), 1);
    assert_eq!(group.ingress.exclude(1), Err(ExcludeError::Successor));
    assert_eq!(group.ingress.exclude(0), Ok(()));
    // What it has not applied is not evicted, however long nothing is heard of it.
    (0..99).for_each(|_| group.ingress.tick(1));
    let refused = (0..2 * RECORDS).any(|_| {
        let bytes = group.event(b"b");
        group.offer(&bytes).is_err()
    });
    assert!(refused);
    assert_eq!((group.members[1].applied().index, group.ingress.state().unwrap().base), (1, 2));
}

// === The ingress ===

#[test]
fn an_ingress_that_is_taken_for_dead_after_a_long_wait_is_replaced_in_that_term() {
    let mut group = with_an_event(Acks::One);
    group.ingress_lives = false;
    // With `Acks::One` the arbiter waits until somebody says that it won't come back.
    assert!(group.try_fail_over().is_err());
    let term = group.outlet.term();
    group.arbiter.replace_ingress().unwrap();
    for _ in 0..4 {
        let _ = group.arbiter.tick(4);
        group.arbitrate();
    }
    assert!(group.arbiter.is_idle());
    assert_eq!((group.outlet.term(), group.ingress.term()), (term, term));
    group.submit(b"b");
    group.settle();
    group.assert_let_out(&[b"a", b"b"]);
}
