//! What an acknowledgement survives: one test for each cell of the table in `core/src/group/PROTOCOL.md`,
//! A.1, with the death at its worst moment. A group of three is driven by hand; what was acknowledged is
//! applied once, and its outputs are let out once.

use trilane::group::{Acks, Fault, NotPicked, OutletError, Submitted, Taken};
use trilane_tests::group::{Group, RECORDS, Tally, TallyOutlet, outputs};

const ONE: Acks = Acks::One;
const TWO: Acks = Acks::Members(2);
const THREE: Acks = Acks::Members(3);

/// A group with an event that was let out, and three that are acknowledged and still in flight: the active
/// has applied them, and `holders` hold them.
fn in_flight(acks: Acks, holders: &[usize]) -> (Group<3>, Vec<Vec<u8>>) {
    let mut group = Group::begun(acks);
    group.submit(b"before");
    group.settle();
    let events = [&b"twice"[..], b"quiet", b"last"].map(|payload| group.submit(payload)).to_vec();
    for member in holders {
        group.deliver(*member);
    }
    // The active hears that they are committed.
    group.deliver(holders[0]);
    group.apply(0);
    for event in &events {
        assert_eq!(group.offer(event), Ok(Submitted::Acknowledged));
    }
    (group, events)
}

/// Everything goes on: what was in flight and one event more have each come to their end, once.
#[track_caller]
fn goes_on(mut group: Group<3>) {
    group.settle();
    group.submit(b"after");
    group.settle();
    group.settle();
    group.assert_let_out(&[b"before", b"twice", b"quiet", b"last", b"after"]);
    for (member, _) in group.members.iter().zip(group.lives).filter(|(_, lives)| *lives) {
        assert_eq!(member.daemon().seen, [&b"before"[..], b"twice", b"quiet", b"last", b"after"]);
        assert_eq!(member.fault(), None);
    }
}

/// The active dies, after any number of its outputs.
fn dies_amid_its_outputs(acks: Acks) {
    for let_out in 0..=3 {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        let sent = outputs(&group.members[0]);
        assert_eq!(sent.len(), 3);
        for output in &sent[..let_out] {
            assert_eq!(group.outlet.take(&output.output()), Ok(Taken::Next));
            group.store();
            group.release();
        }
        group.kill(0);
        assert_ne!(group.fail_over(), 0);
        // What it had sent before it died comes late.
        for output in &sent {
            assert!(matches!(group.outlet.take(&output.output()), Err(OutletError::LowerTerm(_))));
        }
        goes_on(group);
    }
}

/// Somebody says that the ingress won't come back.
#[track_caller]
fn replace_ingress(group: &mut Group<3>) {
    group.arbiter.replace_ingress().unwrap();
    for _ in 0..9 {
        let _ = group.arbiter.tick(4);
        group.arbitrate();
    }
    assert!(group.arbiter.is_idle() && group.ingress_lives);
}

// === One member ===

#[test]
fn acks_one_survive_the_active_amid_the_outputs_of_an_event() {
    dies_amid_its_outputs(ONE);
}

#[test]
fn acks_members_2_survive_the_active_amid_the_outputs_of_an_event() {
    dies_amid_its_outputs(TWO);
}

#[test]
fn acks_one_survive_a_standby() {
    for standby in [1, 2] {
        let (mut group, _) = in_flight(ONE, &[0, standby]);
        group.kill(standby);
        goes_on(group);
    }
}

#[test]
fn acks_members_2_survive_a_standby_that_was_one_of_two_holders() {
    let (mut group, _) = in_flight(TWO, &[0, 1]);
    group.kill(1);
    goes_on(group);
    // And it is the active that does not answer next, but comes back.
    let (mut group, _) = in_flight(TWO, &[0, 1]);
    group.kill(1);
    group.settle();
    group.fail_over();
    goes_on(group);
}

#[test]
fn a_standby_that_is_gone_does_not_stop_the_ring() {
    for acks in [ONE, TWO] {
        let mut group = Group::<3>::begun(acks);
        group.kill(2);
        let mut payloads = vec![];
        for number in 0..3 * RECORDS as u8 {
            (0..9).for_each(|_| group.ingress.tick(5));
            for member in [0, 1] {
                let ack = group.members[member].ack().unwrap();
                group.ingress.ack(member, &ack);
            }
            payloads.push([number]);
            group.submit(&[number]);
            group.settle();
        }
        let payloads: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..]).collect();
        group.assert_let_out(&payloads);
    }
}

#[test]
fn a_member_that_begins_anew_counts_again_and_another_may_die() {
    for acks in [ONE, TWO] {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        group.kill(0);
        group.fail_over();
        group.settle();
        group.start(0, Tally::default());
        group.settle();
        group.settle();
        assert!(group.members.iter().all(|member| member.is_counted() && member.is_full()));
        let active = group.arbiter.successor().unwrap();
        group.kill(active);
        assert_ne!(group.fail_over(), active);
        goes_on(group);
    }
}

// === The ingress ===

#[test]
fn acks_one_do_not_survive_the_ingress() {
    let (mut group, before) = (Group::<3>::begun(ONE), b"before");
    group.submit(before);
    group.settle();
    let lost = group.submit(b"lost");
    assert_eq!(group.offer(&lost), Ok(Submitted::Acknowledged));
    group.ingress_lives = false;
    // By itself the arbiter takes no other, since it might not know all that was acknowledged.
    assert!(group.try_fail_over().is_err());
    replace_ingress(&mut group);
    group.settle();
    group.assert_let_out(&[before]);
    // The producer is told, and no other event takes its place unnoticed.
    assert_eq!(group.ingress.high_water(group.producer.origin()).sequence.get(), 1);
    assert_eq!(group.offer(&lost), Ok(Submitted::Acknowledged), "it is taken as a new one");
}

#[test]
fn acks_one_of_an_ingress_that_is_cut_off_are_lost() {
    let mut group = Group::<3>::begun(ONE);
    group.submit(b"before");
    group.settle();
    // It lives, but nobody hears it any more, and it hears of no fence.
    let mut old = std::mem::take(&mut group.ingress);
    group.ingress_lives = false;
    assert!(group.try_fail_over().is_err());
    replace_ingress(&mut group);
    let lost = group.event(b"lost");
    let submitted = old.submit(trilane_tests::group::read(&lost), trilane_tests::us(5), 6);
    assert_eq!(submitted, Ok(Submitted::Acknowledged));
    for member in &mut group.members {
        assert!(member.deliver(&old.deliver_at(0, 2).unwrap()).is_err());
    }
    group.settle();
    group.assert_let_out(&[b"before"]);
}

#[test]
fn acks_members_2_survive_the_ingress() {
    // Two hold the event, and one of these two does not answer: the other does.
    for silent in [0, 1] {
        let (mut group, events) = in_flight(TWO, &[0, 1]);
        group.ingress_lives = false;
        group.lives[silent] = false;
        group.fail_over();
        group.lives[silent] = true;
        for event in &events {
            assert!(group.offer(event).is_ok());
        }
        assert_eq!(group.ingress.end(), 4, "a duplicate takes no place");
        group.settle();
        for event in &events {
            assert_eq!(group.offer(event), Ok(Submitted::Acknowledged));
        }
        goes_on(group);
    }
}

#[test]
fn acks_members_2_of_an_ingress_that_is_cut_off_are_not_given() {
    let mut group = Group::<3>::begun(TWO);
    let mut old = std::mem::take(&mut group.ingress);
    group.ingress_lives = false;
    group.fail_over();
    let bytes = group.event(b"late");
    let submitted = old.submit(trilane_tests::group::read(&bytes), trilane_tests::us(5), 6);
    assert_eq!(submitted, Ok(Submitted::Pending { held: 0, needed: 2 }));
    let deliver = old.deliver_at(0, 1).unwrap();
    assert!((0..3).all(|member| group.members[member].deliver(&deliver).is_err()));
    // The producer sends the same to the new one, as it was told nothing.
    group.offer(&bytes).unwrap();
    group.settle();
    group.assert_let_out(&[b"late"]);
}

#[test]
fn acks_members_2_wait_for_two_answers_before_another_ingress_begins() {
    let (mut group, _) = in_flight(TWO, &[0, 1]);
    group.ingress_lives = false;
    group.lives = [false, false, true];
    // The one that answers holds nothing.
    let waits = NotPicked::NoIngress { answered: 1, needed: 2 };
    assert_eq!(group.try_fail_over(), Err(waits));
    group.lives[1] = true;
    group.fail_over();
    group.lives[0] = true;
    goes_on(group);
}

// === Ingress and member in one chip ===

#[test]
fn acks_one_do_not_survive_a_chip_with_ingress_and_member() {
    let (mut group, _) = in_flight(ONE, &[0]);
    group.ingress_lives = false;
    group.kill(0);
    // All of the others answer, and still nobody knows what the first one held.
    assert!(group.try_fail_over().is_err());
    let waits = NotPicked::NoIngress { answered: 2, needed: 3 };
    assert_eq!(group.arbiter.replace_ingress(), Err(waits));
    assert!(group.members[1..].iter().all(|member| member.held() < 4));
}

#[test]
fn acks_members_2_survive_a_chip_with_ingress_and_member() {
    let (mut group, _) = in_flight(TWO, &[0, 1]);
    // A part of the outputs has gone out, too.
    let first = outputs(&group.members[0]).remove(0);
    assert_eq!(group.outlet.take(&first.output()), Ok(Taken::Next));
    group.store();
    group.release();
    group.ingress_lives = false;
    group.kill(0);
    group.fail_over();
    goes_on(group);
}

#[test]
fn acks_members_3_survive_a_chip_with_ingress_and_member_by_any_other() {
    for answers in [1, 2] {
        let (mut group, _) = in_flight(THREE, &[0, 1, 2]);
        group.ingress_lives = false;
        group.kill(0);
        group.lives[3 - answers] = false;
        assert_eq!(group.fail_over(), answers);
        group.settle();
        group.lives[3 - answers] = true;
        group.start(0, Tally::default());
        goes_on(group);
    }
}

// === The outlet ===

#[test]
fn the_outlet_goes_on_from_its_record() {
    for (acks, moment, before) in [ONE, TWO]
        .into_iter()
        .flat_map(|acks| (0..5).flat_map(move |moment| (0..3).map(move |before| (acks, moment, before))))
    {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        let sent = outputs(&group.members[0]);
        for output in &sent[..before] {
            assert_eq!(group.outlet.take(&output.output()), Ok(Taken::Next));
            group.store();
            group.release();
        }
        assert_eq!(group.outlet.take(&sent[before].output()), Ok(Taken::Next));
        let old = group.copies.clone();
        if moment >= 1 {
            group.store();
        }
        if moment == 1 {
            // Power fails amid the write.
            for (copy, old) in group.copies.iter_mut().zip(old) {
                let half = copy.len() / 2;
                copy[half..].copy_from_slice(&old[half..]);
            }
        }
        if moment >= 3 {
            group.let_out();
        }
        if moment == 4 {
            group.outlet.released();
        }
        group.restart_outlet();
        goes_on(group);
    }
}

#[test]
fn the_outlet_goes_on_in_its_term_after_a_restart() {
    for acks in [ONE, TWO] {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        let late = outputs(&group.members[0]);
        group.kill(0);
        group.fail_over();
        group.restart_outlet();
        // A fenced active is not let in again.
        for output in &late {
            assert!(matches!(group.outlet.take(&output.output()), Err(OutletError::LowerTerm(_))));
        }
        goes_on(group);
    }
}

#[test]
fn without_its_record_the_outlet_lets_nothing_out() {
    for acks in [ONE, TWO] {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        group.outlet = TallyOutlet::new();
        for output in outputs(&group.members[0]) {
            assert_eq!(group.outlet.take(&output.output()), Err(OutletError::Closed));
        }
        assert_eq!(group.outlet.raise(2, 9), Err(OutletError::Closed));
        group.assert_let_out(&[b"before"]);
        // Once it is found again, all goes on.
        group.restart_outlet();
        goes_on(group);
    }
}

// === The arbiter ===

/// The arbiter's steps of a fail-over, one message each.
fn step(group: &mut Group<3>, number: usize) {
    match number % 6 {
        0 => group.ask_outlet(),
        1 => group.ask_ingress(),
        2 | 3 => group.ask_member(number % 6 - 1),
        4 => {
            // The ingress is taken for dead if it doesn't answer; another has to be noted.
            let _ = group.arbiter.replace_ingress();
            group.ask_outlet();
        }
        _ => drop(group.arbiter.pick()),
    }
}

#[test]
fn the_arbiter_may_restart() {
    for (acks, with_ingress, steps) in [(ONE, true), (TWO, true), (TWO, false)]
        .into_iter()
        .flat_map(|(acks, with_ingress)| (0..24).map(move |steps| (acks, with_ingress, steps)))
    {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        group.kill(0);
        group.ingress_lives = with_ingress;
        group.arbiter.raise(2);
        (0..steps).for_each(|number| step(&mut group, number));
        let half_way = group.outlet.term();
        group.restart_arbiter();
        // It hears of the term before last, first.
        group.arbiter.raise(1);
        group.fail_over();
        assert!(group.outlet.term() > half_way, "no term is given out twice");
        let actives = group.members[1..].iter().filter(|member| member.is_active()).count();
        assert_eq!(actives, 1);
        goes_on(group);
    }
}

#[test]
fn without_an_arbiter_nothing_is_lost_and_nobody_takes_over() {
    for acks in [ONE, TWO] {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        group.kill(0);
        group.settle();
        group.assert_let_out(&[b"before"]);
        assert!(group.members[1..].iter().all(|member| !member.is_active()));
        // Events are still taken, as long as there is room.
        let bytes = group.submit(b"waits");
        group.settle();
        assert_eq!(group.offer(&bytes), Ok(Submitted::Acknowledged));
        group.restart_arbiter();
        group.fail_over();
        group.settle();
        group.assert_let_out(&[b"before", b"twice", b"quiet", b"last", b"waits"]);
    }
}

#[test]
fn with_an_arbiter_that_is_wrong_nothing_is_lost() {
    for acks in [ONE, TWO] {
        let (mut group, _) = in_flight(acks, &[0, 1]);
        // The active lives, and has outputs on their way.
        let late = outputs(&group.members[0]);
        let active = group.fail_over();
        assert_eq!(group.members.iter().filter(|member| member.is_active()).count(), 1);
        assert!(group.members[active].is_active());
        for output in &late {
            assert!(matches!(group.outlet.take(&output.output()), Err(OutletError::LowerTerm(_))));
        }
        goes_on(group);
    }
}

#[test]
fn an_event_that_stops_its_member_is_still_open() {
    // A.6.9: whoever becomes active stops at it, too; what was let out before stays as it is.
    let mut group = Group::<3>::begun(TWO);
    group.submit(b"before");
    group.settle();
    group.submit(b"fault");
    group.settle();
    for _ in 0..2 {
        let active = group.fail_over();
        group.settle();
        assert_eq!(group.members[active].fault(), Some(Fault::Daemon { index: 2 }));
    }
    group.assert_let_out(&[b"before"]);
}
