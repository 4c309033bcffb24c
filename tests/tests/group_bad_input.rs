//! What the parts of a group do with input that makes no sense, or comes too early, too late or too often: a
//! typed error or a defined answer, and nothing is lost or changed.

use trilane::causal::{
    Chain, Head, Horizon, Link, LinkError, LinkHash, Ordinal, Origin, OriginMap, OriginsFull, Position,
    Progress, Sequence, Snapshot, SnapshotError, SnapshotWriteError, SnapshotWriter,
};
use trilane::daemon::StateError;
use trilane::group::message::{Fenced, Grant, IngressState, Joined, LowerTerm, Marked, Passed, Through};
use trilane::group::{
    Acks, Applied, Arbiter, BeginError, Cuts, CutsFull, Fault, GroupId, HandOver, HighWater, InstallError,
    Mark, Member, NotPicked, Offer, OutletError, RecordError, Request, Slice, SnapshotFailed, Standby,
    SubmitError, Submitted, Taken, Transfer, TransferError,
};
use trilane_tests::group::{
    BYTES, CUTS, FRAME, GROUP, Group, Kept, PRODUCERS, RECORDS, Tally, TallyIngress, TallyMember,
    TallyOutlet, event, outputs, read,
};
use trilane_tests::us;
use xxhash_rust::xxh3::xxh3_64;

/// All that there is in a machine.
fn dump(machine: &impl std::fmt::Debug) -> String {
    format!("{machine:?}")
}

/// An ingress in its first term.
fn ingress() -> TallyIngress<3> {
    let mut ingress = TallyIngress::new();
    ingress.found(Acks::One);
    ingress
}

/// A group of one producer whose first event is taken, and its chain.
fn ingress_with_an_event() -> (TallyIngress<3>, Chain) {
    let (mut ingress, mut chain) = (ingress(), Chain::new(Origin::new(100)));
    let taken = submit(&mut ingress, &event(&mut chain, b"a"));
    assert_eq!(taken, Ok(Submitted::Acknowledged));
    (ingress, chain)
}

fn submit<const N: usize>(ingress: &mut TallyIngress<N>, bytes: &[u8]) -> Result<Submitted, SubmitError> {
    ingress.submit(read(bytes), us(5), 6)
}

/// The error of an event that is refused, after which the ingress is as it was.
#[track_caller]
fn refusal<const N: usize>(ingress: &mut TallyIngress<N>, bytes: &[u8]) -> SubmitError {
    let before = dump(ingress);
    let error = submit(ingress, bytes).unwrap_err();
    assert_eq!(dump(ingress), before, "a refused event has changed something");
    error
}

fn high_water(chain: &Chain) -> HighWater {
    chain.head().into()
}

// === Submit ===

#[test]
fn an_event_behind_a_gap_is_refused_with_where_the_chain_has_come_to() {
    let (mut ingress, mut chain) = ingress_with_an_event();
    let high_water = high_water(&chain);
    let missing = event(&mut chain, b"b");
    let early = event(&mut chain, b"c");
    let error = LinkError::Sequence { expected: Sequence::new(2), got: Sequence::new(3) };
    assert_eq!(refusal(&mut ingress, &early), SubmitError::Link { error, high_water });
    for bytes in [missing, early] {
        assert_eq!(submit(&mut ingress, &bytes), Ok(Submitted::Acknowledged));
    }
}

#[test]
fn an_event_with_another_parent_is_refused() {
    let (mut ingress, mut chain) = ingress_with_an_event();
    let expected = chain.head().next_parent;
    let other = Head { next_parent: LinkHash::new(9), ..chain.head() };
    let bytes = event(&mut Chain::resume(chain.origin(), other), b"b");
    let error = LinkError::Parent { expected, got: LinkHash::new(9) };
    let high_water = high_water(&chain);
    assert_eq!(refusal(&mut ingress, &bytes), SubmitError::Link { error, high_water });
    assert_eq!(submit(&mut ingress, &event(&mut chain, b"b")), Ok(Submitted::Acknowledged));
}

#[test]
fn another_event_in_the_place_of_one_that_was_taken_is_a_conflict() {
    let (mut ingress, chain) = ingress_with_an_event();
    let other = event(&mut Chain::new(chain.origin()), b"other");
    assert_eq!(
        refusal(&mut ingress, &other),
        SubmitError::Conflict { high_water: high_water(&chain) },
        "the record tells"
    );
}

#[test]
fn a_conflict_with_the_last_event_is_noticed_when_its_record_is_gone() {
    let mut group = Group::<1>::begun(Acks::One);
    let mut fork = group.producer;
    (0..RECORDS + 1).for_each(|_| {
        group.submit(b"a");
        group.settle();
    });
    let last = group.producer;
    // Others push its record out.
    let mut other = Chain::new(Origin::new(101));
    for _ in 0..RECORDS {
        let bytes = event(&mut other, b"b");
        group.offer(&bytes).unwrap();
        group.settle();
    }
    (0..RECORDS).for_each(|_| drop(event(&mut fork, b"a")));
    let bytes = event(&mut fork, b"other");
    assert_eq!(refusal(&mut group.ingress, &bytes), SubmitError::Conflict { high_water: high_water(&last) });
}

#[test]
fn a_producer_that_restarts_under_its_old_origin_is_told_where_its_chain_was() {
    let (mut ingress, chain) = ingress_with_an_event();
    assert_eq!(ingress.high_water(chain.origin()), high_water(&chain));
    let mut again = Chain::new(chain.origin());
    let first = event(&mut again, b"after the restart");
    assert_eq!(refusal(&mut ingress, &first), SubmitError::Conflict { high_water: high_water(&chain) });
    // Further on its parent shows it.
    let second = event(&mut again, b"and on");
    let error = LinkError::Parent { expected: chain.head().next_parent, got: read(&second).link().parent };
    assert_eq!(refusal(&mut ingress, &second), SubmitError::Link { error, high_water: high_water(&chain) });
    // With another origin it goes on.
    let bytes = event(&mut Chain::new(Origin::new(101)), b"after the restart");
    assert_eq!(submit(&mut ingress, &bytes), Ok(Submitted::Acknowledged));
}

#[test]
fn an_event_that_is_too_long_is_refused() {
    let (mut ingress, chain) = ingress_with_an_event();
    let limit = BYTES / 4;
    let bytes = event(&mut chain.clone(), &vec![1; limit + 1 - Link::LEN]);
    assert_eq!(refusal(&mut ingress, &bytes), SubmitError::TooLong { length: limit + 1, limit });
    let bytes = event(&mut chain.clone(), &vec![1; limit - Link::LEN]);
    assert_eq!(submit(&mut ingress, &bytes), Ok(Submitted::Acknowledged));
}

#[test]
fn a_full_ring_refuses_until_members_have_applied_and_then_takes_the_same() {
    let mut group = Group::<1>::begun(Acks::One);
    (0..RECORDS).for_each(|_| drop(group.submit(b"a")));
    let bytes = group.event(b"z");
    assert_eq!(refusal(&mut group.ingress, &bytes), SubmitError::Full);
    assert_eq!(group.ingress.high_water(group.producer.origin()).sequence.get(), RECORDS as u64);
    group.settle();
    assert_eq!(group.offer(&bytes), Ok(Submitted::Acknowledged));
    group.settle();
    let payloads = [vec![&b"a"[..]; RECORDS], vec![b"z"]].concat();
    group.assert_let_out(&payloads);
}

#[test]
fn a_ring_with_too_few_bytes_refuses_until_members_have_applied() {
    let mut group = Group::<1>::begun(Acks::One);
    let long = [7; 200];
    (0..5).for_each(|_| drop(group.submit(&long[..100])));
    let bytes = group.event(&long);
    assert_eq!(refusal(&mut group.ingress, &bytes), SubmitError::Full);
    assert_eq!(group.ingress.end(), 5);
}

#[test]
fn one_producer_too_many_is_refused() {
    let mut ingress = ingress();
    for origin in 0..PRODUCERS as u64 {
        let bytes = event(&mut Chain::new(Origin::new(100 + origin)), b"a");
        assert_eq!(submit(&mut ingress, &bytes), Ok(Submitted::Acknowledged));
    }
    let bytes = event(&mut Chain::new(Origin::new(200)), b"a");
    let limit = PRODUCERS;
    assert_eq!(refusal(&mut ingress, &bytes), SubmitError::OriginsFull(OriginsFull { limit }));
}

#[test]
fn an_event_at_sequence_0_is_refused() {
    for mut ingress in [ingress(), ingress_with_an_event().0] {
        let origin = Origin::new(100);
        let mut bytes = [0; Link::LEN + 1];
        let high_water = ingress.high_water(origin);
        bytes[..Link::LEN].copy_from_slice(&Link::genesis(origin).to_bytes());
        assert_eq!(refusal(&mut ingress, &bytes), SubmitError::Conflict { high_water });
    }
}

#[test]
fn behind_the_last_sequence_of_all_a_producer_has_no_more() {
    let origin = Origin::new(100);
    let mut chain =
        Chain::resume(origin, Head { sequence: Sequence::new(u64::MAX - 1), next_parent: LinkHash::new(9) });
    let mut group = Group::<1>::begun(Acks::One);
    group.submit(b"quiet");
    group.settle();
    group.start(0, Tally::default());
    group.mark(0);
    // A state that has the event before.
    let bytes = written(&Written { filter: vec![(origin, chain.head())], ..Written::of(&group, 2) });
    assert_eq!(group.members[0].install(&bytes), Ok(()));
    let incarnation = group.members[0].incarnation();
    let mut ingress = TallyIngress::<1>::new();
    ingress.begin(Acks::One, 2, incarnation, &group.members[0]).unwrap();
    ingress.confirm(2, 2, 0).unwrap();
    let last = event(&mut chain, b"last");
    assert_eq!(submit(&mut ingress, &last), Ok(Submitted::Acknowledged));
    assert_eq!(ingress.high_water(origin).sequence, Sequence::MAX);
    assert_eq!(submit(&mut ingress, &last), Ok(Submitted::Acknowledged), "it may ask again");
    let head = Head { sequence: Sequence::new(u64::MAX - 1), next_parent: LinkHash::new(9) };
    let other = event(&mut Chain::resume(origin, head), b"one more");
    let high_water = ingress.high_water(origin);
    assert_eq!(refusal(&mut ingress, &other), SubmitError::Conflict { high_water });
}

#[test]
fn an_ingress_that_has_not_begun_takes_nothing() {
    let mut ingress = TallyIngress::<3>::new();
    let bytes = event(&mut Chain::new(Origin::new(100)), b"a");
    assert_eq!(refusal(&mut ingress, &bytes), SubmitError::NotConfirmed);
    assert_eq!((ingress.deliver(0), ingress.state()), (None, None));
    assert_eq!((ingress.fence(5), ingress.confirm(5, 0, 0)), (Ok(None), Ok(None)));
}

#[test]
fn an_ingress_that_is_not_told_the_successor_takes_and_delivers_nothing_and_then_goes_on() {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    group.ingress.fence(3).unwrap();
    let bytes = group.event(b"b");
    assert_eq!(refusal(&mut group.ingress, &bytes), SubmitError::NotConfirmed);
    // Also what was taken is not acknowledged.
    let first = event(&mut Chain::new(group.producer.origin()), b"a");
    assert_eq!(refusal(&mut group.ingress, &first), SubmitError::NotConfirmed);
    assert_eq!(group.ingress.deliver(0), None);
    group.ingress.confirm(3, 1, 1).unwrap().unwrap();
    assert_eq!(group.offer(&bytes), Ok(Submitted::Acknowledged));
    assert_eq!(group.ingress.end(), 2);
}

#[test]
fn an_ingress_does_not_begin_from_a_member_of_another_life_or_term_or_without_a_log() {
    let mut group = Group::<2>::begun(Acks::One);
    group.submit(b"a");
    group.settle();
    let member = &group.members[0];
    let begin = |incarnation, term, member: &TallyMember| {
        let mut ingress = TallyIngress::<2>::new();
        let outcome = ingress.begin(Acks::One, term, incarnation, member);
        assert!(outcome.is_ok() || dump(&ingress) == dump(&TallyIngress::<2>::new()));
        outcome
    };
    assert_eq!(begin(member.incarnation(), 2, member), Ok(()));
    assert_eq!(begin(member.incarnation() + 1, 2, member), Err(BeginError));
    assert_eq!(begin(member.incarnation(), 3, member), Err(BeginError));
    group.members[0].restart(5);
    assert_eq!(begin(0, 0, &group.members[0]), Err(BeginError), "it is empty");
}

#[test]
fn acks_of_no_member_change_nothing_and_what_is_held_behind_the_end_is_not_believed() {
    let mut group = Group::<3>::begun(Acks::Members(2));
    let bytes = group.submit(b"a");
    let before = dump(&group.ingress);
    let ack = group.members[0].ack().unwrap();
    group.ingress.ack(3, &ack);
    assert_eq!(dump(&group.ingress), before);
    assert_eq!(group.ingress.deliver(3), None);
    // It says that it holds what there is not yet.
    let boast = trilane::group::message::Ack { held: 9, ..ack };
    group.ingress.ack(0, &boast);
    assert_eq!(group.offer(&bytes), Ok(Submitted::Pending { held: 1, needed: 2 }));
    let next = group.submit(b"b");
    assert_eq!(group.offer(&next), Ok(Submitted::Pending { held: 0, needed: 2 }));
}

// === Outlet ===

/// A group whose active has three outputs to send, of which none went, and those.
fn three_outputs() -> (Group<3>, Vec<Kept>) {
    let mut group = Group::new(Acks::One);
    assert_eq!(group.fail_over(), 0);
    for payload in [b"a", b"b", b"c"] {
        group.submit(payload);
    }
    group.deliver(0);
    group.apply(0);
    let outputs = outputs(&group.members[0]);
    // The hand-over of term 2 before them.
    assert_eq!(outputs.len(), 4);
    (group, outputs)
}

/// The error of an output that is refused, after which the outlet is as it was.
#[track_caller]
fn outlet_refusal(group: &mut Group<3>, kept: &Kept) -> OutletError {
    let before = dump(&group.outlet);
    let error = group.outlet.take(&kept.output()).unwrap_err();
    assert_eq!(dump(&group.outlet), before, "a refused output has changed something");
    error
}

/// After a refusal the right ones go out as ever.
#[track_caller]
fn goes_on(mut group: Group<3>) {
    group.settle();
    group.assert_let_out(&[b"a", b"b", b"c"]);
}

#[test]
fn a_closed_outlet_refuses_everything() {
    let (mut group, outputs) = three_outputs();
    let open = std::mem::take(&mut group.outlet);
    assert_eq!(outlet_refusal(&mut group, &outputs[0]), OutletError::Closed);
    let before = dump(&group.outlet);
    let through = Through { term: 0, index: 3, sequence: Sequence::GENESIS };
    let outlet = &mut group.outlet;
    assert_eq!(outlet.take_through(&through), Err(OutletError::Closed));
    assert_eq!(outlet.raise(0, 1), Err(OutletError::Closed));
    assert_eq!(outlet.join(0, 1), Err(OutletError::Closed));
    assert_eq!(outlet.replace_ingress(0), Err(OutletError::Closed));
    assert_eq!(outlet.marked(), Err(OutletError::Closed));
    assert_eq!((dump(outlet), outlet.term(), outlet.pending()), (before, 0, None));
    group.outlet = open;
    goes_on(group);
}

#[test]
fn an_output_of_a_term_that_has_ended_is_refused() {
    let (mut group, outputs) = three_outputs();
    group.fail_over();
    assert_eq!(outlet_refusal(&mut group, &outputs[0]), OutletError::LowerTerm(LowerTerm { term: 3 }));
    let through = Through { term: 2, index: 3, sequence: Sequence::GENESIS };
    assert_eq!(group.outlet.take_through(&through), Err(OutletError::LowerTerm(LowerTerm { term: 3 })));
    goes_on(group);
}

#[test]
fn an_output_of_a_term_that_was_never_given_out_is_refused() {
    let (mut group, outputs) = three_outputs();
    let kept = Kept { term: 9, ..outputs[0].clone() };
    assert_eq!(outlet_refusal(&mut group, &kept), OutletError::HigherTerm { ours: 2 });
    let through = Through { term: 9, index: 3, sequence: Sequence::GENESIS };
    assert_eq!(group.outlet.take_through(&through), Err(OutletError::HigherTerm { ours: 2 }));
    assert_eq!(group.outlet.replace_ingress(9), Err(OutletError::HigherTerm { ours: 2 }));
    goes_on(group);
}

#[test]
fn bytes_that_are_no_frame_or_more_than_one_are_refused() {
    let (mut group, outputs) = three_outputs();
    let whole = &outputs[0].frame;
    for frame in [vec![], whole[..9].to_vec(), whole[..whole.len() - 1].to_vec(), [&whole[..], b"!"].concat()]
    {
        let kept = Kept { frame, ..outputs[0].clone() };
        assert_eq!(outlet_refusal(&mut group, &kept), OutletError::NoFrame);
    }
    goes_on(group);
}

#[test]
fn an_output_with_the_origin_of_another_term_is_refused() {
    let (mut group, outputs) = three_outputs();
    let mut other = Chain::new(GROUP.origin(1));
    let bytes = event(&mut other, b"x");
    let frame = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
    let kept = Kept { frame, ..outputs[1].clone() };
    assert_eq!(outlet_refusal(&mut group, &kept), OutletError::Origin);
    goes_on(group);
}

#[test]
fn an_output_behind_a_gap_is_refused_with_the_one_that_is_next() {
    let (mut group, outputs) = three_outputs();
    assert_eq!(outlet_refusal(&mut group, &outputs[1]), OutletError::Gap { expected: Sequence::new(1) });
    assert_eq!(group.outlet.take(&outputs[0].output()), Ok(Taken::Next));
    group.release();
    assert_eq!(outlet_refusal(&mut group, &outputs[2]), OutletError::Gap { expected: Sequence::new(2) });
    goes_on(group);
}

#[test]
fn an_output_that_follows_another_than_the_last_is_refused() {
    let (mut group, outputs) = three_outputs();
    for kept in &outputs[..2] {
        assert_eq!(group.outlet.take(&kept.output()), Ok(Taken::Next));
        group.release();
    }
    let with = |sequence, parent| {
        let head = Head { sequence: Sequence::new(sequence), next_parent: LinkHash::new(parent) };
        let bytes = event(&mut Chain::resume(GROUP.origin(2), head), b"x");
        let frame = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
        Kept { frame, ..outputs[2].clone() }
    };
    // The next one, behind another; and another in the place of the last one.
    assert_eq!(outlet_refusal(&mut group, &with(2, 9)), OutletError::Diverged);
    assert_eq!(outlet_refusal(&mut group, &with(1, 9)), OutletError::Diverged);
    // In a term's first place there is a hand-over, and nowhere else.
    let kept = Kept { ordinal: None, ..outputs[2].clone() };
    assert_eq!(outlet_refusal(&mut group, &kept), OutletError::Diverged);
    goes_on(group);
}

#[test]
fn an_output_that_was_let_out_is_acknowledged_again_and_is_not_let_out() {
    let (mut group, outputs) = three_outputs();
    for kept in &outputs {
        assert_eq!(group.outlet.take(&kept.output()), Ok(Taken::Next));
        group.release();
    }
    let before = dump(&group.outlet);
    for kept in &outputs {
        assert_eq!(group.outlet.take(&kept.output()), Ok(Taken::Again));
        assert_eq!(group.outlet.pending(), None);
    }
    assert_eq!(dump(&group.outlet), before);
    goes_on(group);
}

#[test]
fn an_output_behind_one_that_is_pending_is_refused_until_that_is_let_out() {
    let (mut group, outputs) = three_outputs();
    assert_eq!(group.outlet.take(&outputs[0].output()), Ok(Taken::Next));
    assert_eq!(outlet_refusal(&mut group, &outputs[1]), OutletError::Pending);
    group.release();
    assert_eq!(group.outlet.take(&outputs[1].output()), Ok(Taken::Next));
    goes_on(group);
}

#[test]
fn an_output_that_is_too_long_for_the_outlet_is_refused() {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(&[b'x'; FRAME]);
    group.deliver(0);
    group.apply(0);
    let outputs = outputs(&group.members[0]);
    let length = outputs[0].frame.len();
    assert_eq!(outlet_refusal(&mut group, &outputs[0]), OutletError::TooLong { length, limit: FRAME });
}

#[test]
fn a_full_list_of_cuts_refuses_a_term_until_two_members_have_come_past_the_oldest() {
    let mut group = Group::<3>::new(Acks::One);
    assert_eq!(group.fail_over(), 0);
    // Nobody tells the outlet how far it has come: outputs go, and nothing else.
    for term in 2.. {
        group.submit(b"a");
        group.deliver(0);
        group.mark(0);
        group.apply(0);
        for kept in outputs(&group.members[0]) {
            if group.outlet.take(&kept.output()) == Ok(Taken::Next) {
                group.release();
            }
        }
        if group.outlet.marked().unwrap().cuts.iter().count() == CUTS {
            break;
        }
        group.outlet.raise(term, 9).unwrap();
        let marked = group.outlet.marked().unwrap();
        let (mark, cuts) = (marked.mark, marked.cuts.clone());
        let marked = Marked { term: marked.term, mark, cuts: &cuts, generation: 1 };
        let incarnation = group.members[0].incarnation();
        group.members[0].grant(&Grant { incarnation, marked }).unwrap().unwrap();
        group.ingress.fence(marked.term).unwrap();
        group.ingress.confirm(marked.term, 1, 0).unwrap().unwrap();
    }
    let term = group.outlet.term();
    let before = dump(&group.outlet);
    assert_eq!(group.outlet.raise(term, 10), Err(OutletError::CutsFull(CutsFull { limit: CUTS })));
    assert_eq!(dump(&group.outlet), before);
    for member in [0, 1] {
        let incarnation = group.members[member].incarnation();
        group.outlet.take_passed(member, &Passed { incarnation, term });
    }
    assert!(group.outlet.raise(term, 10).is_ok());
}

#[test]
fn the_outlet_knows_no_more_members_than_it_has_room_for() {
    let mut group = Group::<3>::begun(Acks::One);
    let before = dump(&group.outlet);
    assert_eq!(group.outlet.join(3, 1), Err(OutletError::NoMember));
    group.outlet.take_passed(3, &Passed { incarnation: 9, term: 9 });
    assert_eq!(dump(&group.outlet), before);
}

#[test]
fn terms_that_are_used_up_are_an_error() {
    let mut group = Group::<3>::begun(Acks::One);
    // Word 3 of the record is the term, and word 13 that of the cuts.
    for copy in &mut group.copies {
        for word in [3, 13] {
            copy[8 * word..8 * word + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        }
        hash_again(copy);
    }
    group.restart_outlet();
    let before = dump(&group.outlet);
    assert_eq!(group.outlet.raise(u64::MAX, 1), Err(OutletError::UsedUp));
    assert_eq!(dump(&group.outlet), before);
}

#[test]
fn lives_of_a_member_that_are_used_up_are_an_error() {
    let mut group = Group::<3>::begun(Acks::One);
    // The counts of lives begin at word 15.
    for copy in &mut group.copies {
        copy[8 * 15..8 * 16].copy_from_slice(&u64::MAX.to_le_bytes());
        hash_again(copy);
    }
    group.restart_outlet();
    let before = dump(&group.outlet);
    assert_eq!(group.outlet.join(0, 1), Err(OutletError::UsedUp));
    assert_eq!(dump(&group.outlet), before);
}

// === The outlet's record ===

/// Makes the hash at the end of a copy right.
fn hash_again(copy: &mut [u8]) {
    let (content, hash) = copy.split_last_chunk_mut::<8>().unwrap();
    *hash = xxh3_64(content).to_le_bytes();
}

/// A group that has let out something in two terms, with its record stored again and again.
fn with_record() -> Group<3> {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    group.settle();
    group.fail_over();
    group.submit(b"b");
    group.settle();
    group
}

/// The error of copies that no outlet opens; a closed one stays so.
#[track_caller]
fn open_error(group: GroupId, copies: [&[u8]; 2]) -> RecordError {
    let mut outlet = TallyOutlet::<3>::new();
    let error = outlet.open(group, copies).unwrap_err();
    assert_eq!(dump(&outlet), dump(&TallyOutlet::<3>::new()));
    error
}

#[test]
fn a_record_of_which_one_copy_is_torn_is_opened_by_the_other() {
    let mut group = with_record();
    let (mark, term) = (group.outlet.marked().unwrap().mark, group.outlet.term());
    let whole = group.copies.clone();
    for torn in 0..2 {
        // Both copies have what there is now, so each alone suffices.
        group.copies = whole.clone();
        group.store();
        group.store();
        let length = group.copies[torn].len() / 2;
        group.copies[torn][length] ^= 1;
        group.restart_outlet();
        assert_eq!((group.outlet.marked().unwrap().mark, group.outlet.term()), (mark, term));
        group.release();
    }
    group.assert_let_out(&[b"a", b"b"]);
}

#[test]
fn the_newer_of_two_whole_copies_is_opened() {
    let mut group = with_record();
    let before = group.outlet.term();
    group.outlet.raise(before, 9).unwrap();
    // Only one of the copies has it.
    group.store();
    group.restart_outlet();
    assert_eq!(group.outlet.term(), before + 1);
    group.store();
    group.restart_outlet();
    assert_eq!(group.outlet.term(), before + 1);
}

#[test]
fn copies_that_are_both_broken_leave_the_outlet_closed() {
    let group = with_record();
    let mut copies = group.copies.clone();
    copies.iter_mut().for_each(|copy| copy[99] ^= 4);
    let [even, odd] = &copies;
    assert_eq!(open_error(GROUP, [even, odd]), RecordError::Hash);
    let zeros = vec![0; even.len()];
    assert_eq!(open_error(GROUP, [&zeros, &zeros]), RecordError::Hash);
}

#[test]
fn the_record_of_another_group_or_of_something_else_leaves_the_outlet_closed() {
    let group = with_record();
    let [even, odd] = &group.copies;
    assert_eq!(open_error(GroupId::new(8), [even, odd]), RecordError::Group);
    let mut other = even.clone();
    other[0] ^= 1;
    hash_again(&mut other);
    assert_eq!(open_error(GROUP, [&other, &other]), RecordError::Group);
}

#[test]
fn a_record_of_another_size_is_neither_opened_nor_written() {
    let mut group = with_record();
    let expected = TallyOutlet::<3>::RECORD;
    let [even, odd] = &group.copies;
    for got in [0, expected - 1, expected + 1] {
        let other = vec![1; got];
        assert_eq!(open_error(GROUP, [&other, &other]), RecordError::Size { expected, got });
        // One that is right suffices.
        assert_eq!(TallyOutlet::<3>::new().open(GROUP, [even, &other]), Ok(()));
        assert_eq!(TallyOutlet::<3>::new().open(GROUP, [&other, odd]), Ok(()));
    }
    let (mut right, mut other) = (vec![1; expected], vec![1; 9]);
    let before = dump(&group.outlet);
    let written = group.outlet.write([&mut right, &mut other]);
    assert_eq!(written, Err(RecordError::Size { expected, got: 9 }));
    assert_eq!((dump(&group.outlet), right, other), (before, vec![1; expected], vec![1; 9]));
}

// === Members ===

#[test]
fn a_member_whose_outputs_do_not_go_out_waits_and_loses_nothing() {
    let mut group = Group::<1>::begun(Acks::One);
    let payloads = vec![&b"twice"[..]; RECORDS];
    payloads.iter().for_each(|payload| drop(group.submit(payload)));
    group.deliver(0);
    group.apply(0);
    let applied = group.members[0].applied();
    assert!(applied.index < RECORDS as u64);
    assert_eq!(group.members[0].apply(), Ok(Applied::Full));
    assert_eq!((group.members[0].applied(), group.members[0].fault()), (applied, None));
    group.settle();
    group.settle();
    group.assert_let_out(&payloads);
}

/// What a payload does to a member, and that its effect is on this member alone.
#[track_caller]
fn stops(payload: &[u8], fault: Fault) {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    group.settle();
    group.submit(payload);
    group.submit(b"c");
    group.settle();
    let member = &group.members[0];
    assert_eq!((member.fault(), member.applied().index), (Some(fault), 1));
    assert!(!member.is_active() && !member.is_full() && !member.wants_snapshot() && member.ack().is_none());
    assert!(outputs(member).is_empty() && member.through().is_none() && member.passed().is_none());
    let before = dump(member);
    assert_eq!(group.members[0].apply(), Err(fault));
    assert_eq!(group.members[0].fence(9), Ok(None));
    assert_eq!(group.members[0].install(b""), Err(InstallError::Fault(fault)));
    assert_eq!(group.members[0].snapshot(&mut [0; 999]), Err(SnapshotFailed::Empty));
    assert_eq!(dump(&group.members[0]), before);
    group.assert_let_out(&[b"a"]);
}

#[test]
fn a_daemon_with_more_outputs_than_it_says_stops_and_none_of_them_goes_out() {
    stops(b"flood", Fault::Daemon { index: 2 });
}

#[test]
fn a_daemon_with_longer_outputs_than_it_says_stops_and_none_of_them_goes_out() {
    stops(&[b'x'; 127], Fault::Daemon { index: 2 });
}

#[test]
fn a_daemon_that_cannot_go_on_stops_its_member() {
    stops(b"fault", Fault::Daemon { index: 2 });
}

#[test]
fn an_event_that_the_daemon_refuses_is_done_without_output_and_counts_for_its_producer() {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    let refused = group.submit(b"");
    group.submit(b"c");
    group.deliver(0);
    let applied = [(); 4].map(|()| group.members[0].apply().unwrap());
    assert_eq!(applied, [Applied::One, Applied::Refused, Applied::One, Applied::Nothing]);
    group.settle();
    assert_eq!(group.offer(&refused), Ok(Submitted::Acknowledged), "a duplicate as any other");
    group.assert_let_out(&[b"a", b"c"]);
    assert_eq!(group.outlet.marked().unwrap().mark.done, 3);
    for member in &group.members {
        assert_eq!(member.daemon().seen, [b"a", b"c"]);
        assert_eq!(member.applied().index, 3);
    }
}

#[test]
fn a_daemon_that_is_not_deterministic_stops_before_any_of_its_outputs_goes_out() {
    let mut group = Group::<3>::new(Acks::One);
    group.start(1, Tally { salt: 1, ..Tally::default() });
    assert_eq!(group.fail_over(), 0);
    group.settle();
    group.submit(b"a");
    group.settle();
    group.kill(0);
    group.kill(2);
    // It has to walk past the cut, where it has another link.
    assert_eq!(group.try_fail_over(), Err(NotPicked::Behind));
    assert_eq!(group.members[1].fault(), Some(Fault::Diverged));
    group.settle();
    group.assert_let_out(&[b"a"]);
    // Another, in a new term, goes on.
    group.lives[2] = true;
    assert_eq!(group.fail_over(), 2);
    group.submit(b"b");
    group.settle();
    group.assert_let_out(&[b"a", b"b"]);
}

#[test]
fn another_event_for_a_place_in_the_log_stops_the_member() {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    group.deliver(0);
    // An ingress of the same generation with another event there: two nodes were founded.
    let mut twin = Group::<3>::begun(Acks::One);
    twin.submit(b"b");
    let deliver = twin.ingress.deliver_at(0, 1).unwrap();
    group.members[0].deliver(&deliver).unwrap();
    assert_eq!(group.members[0].fault(), Some(Fault::Conflict { index: 1 }));
}

#[test]
fn a_member_with_less_room_for_producers_stops_at_the_first_one_too_many() {
    type Small = Member<Tally, BYTES, RECORDS, 1, CUTS>;
    let mut group = Group::<3>::begun(Acks::One);
    let mut small = Small::new(Tally::default());
    small.start(GROUP, Standby::Hot, 5);
    small.join(&group.outlet.join(1, 5).unwrap());
    group.submit(b"a");
    let bytes = event(&mut Chain::new(Origin::new(101)), b"b");
    group.offer(&bytes).unwrap();
    group.settle();
    for index in [1, 2] {
        small.deliver(&group.ingress.deliver_at(1, index).unwrap()).unwrap();
    }
    small.mark_reached(&group.outlet.marked().unwrap()).unwrap();
    assert_eq!(small.apply(), Ok(Applied::One));
    assert_eq!(small.apply(), Err(Fault::FilterFull));
    assert_eq!((small.applied().index, small.daemon().seen.len()), (1, 1));
}

#[test]
fn a_grant_for_another_life_or_for_a_member_without_state_makes_nobody_active() {
    let mut group = Group::<3>::begun(Acks::One);
    let marked = group.outlet.marked().unwrap();
    let incarnation = group.members[1].incarnation();
    let before = dump(&group.members[1]);
    for other in [0, incarnation - 1, incarnation + 1] {
        assert_eq!(group.members[1].grant(&Grant { incarnation: other, marked }), Ok(None));
    }
    assert_eq!(dump(&group.members[1]), before);
    group.members[1].restart(99);
    assert_eq!(group.members[1].grant(&Grant { incarnation: 0, marked }), Ok(None));
    assert!(!group.members[1].is_active());
}

#[test]
fn lower_terms_are_refused_everywhere() {
    let mut group = Group::<3>::begun(Acks::One);
    let old = group.outlet.marked().unwrap();
    let (mark, cuts) = (old.mark, old.cuts.clone());
    let marked = Marked { term: 2, mark, cuts: &cuts, generation: 1 };
    group.submit(b"a");
    let late = Group::<3>::begun(Acks::One);
    let late = late.ingress.deliver_at(1, 1).unwrap();
    group.fail_over();
    let refused = LowerTerm { term: 3 };

    let before = dump(&group.members[1]);
    let incarnation = group.members[1].incarnation();
    assert_eq!(group.members[1].deliver(&late), Err(refused));
    assert_eq!(group.members[1].fence(2), Err(refused));
    assert_eq!(group.members[1].grant(&Grant { incarnation, marked }), Err(refused));
    assert_eq!(group.members[1].mark_reached(&marked), Err(refused));
    assert_eq!(dump(&group.members[1]), before);

    let before = dump(&group.ingress);
    assert_eq!(group.ingress.fence(2), Err(refused));
    assert_eq!(group.ingress.confirm(2, 1, 1), Err(refused));
    assert_eq!(dump(&group.ingress), before);

    let before = dump(&group.outlet);
    assert_eq!(group.outlet.raise(1, 1), Err(OutletError::LowerTerm(refused)));
    assert_eq!(group.outlet.replace_ingress(2), Err(OutletError::LowerTerm(refused)));
    assert_eq!(dump(&group.outlet), before);

    let before = dump(&group.arbiter);
    let stale = Fenced { term: 2, incarnation: 9, ..Fenced::default() };
    group.arbiter.fenced(0, &stale);
    group.arbiter.raised(&marked);
    group.arbiter.ingress_replaced(2);
    group.arbiter.ingress_answered(&IngressState { term: 2, generation: 1, base: 1, is_confirmed: true });
    assert_eq!(dump(&group.arbiter), before);
}

#[test]
fn a_member_that_has_not_joined_takes_nothing_and_says_nothing() {
    let group = Group::<3>::begun(Acks::One);
    let mut member = TallyMember::new(Tally::default());
    member.start(GROUP, Standby::Hot, 5);
    let before = dump(&member);
    let marked = group.outlet.marked().unwrap();
    assert_eq!(member.deliver(&group.ingress.deliver_at(1, 1).unwrap()), Ok(None));
    assert_eq!(member.mark_reached(&marked), Ok(()));
    assert_eq!(member.fence(9), Ok(None));
    assert_eq!(member.grant(&Grant { incarnation: 0, marked }), Ok(None));
    assert_eq!(member.install(b""), Err(InstallError::NotJoined));
    assert_eq!(member.apply(), Ok(Applied::Nothing));
    assert_eq!((member.ack(), member.passed(), member.through()), (None, None, None));
    // An answer to the question of another life.
    member.join(&Joined { nonce: 4, incarnation: 9, marked });
    assert_eq!((dump(&member), member.wants_to_join()), (before, Some(5)));
}

// === Transfer ===

/// What a snapshot is made of.
struct Written {
    term: u64,
    applied: Position,
    chain: Chain,
    filter: Vec<(Origin, Head)>,
    state: Vec<u8>,
}

impl Written {
    /// The state behind event 1 in which nothing was let out, as it might be written in `term`.
    fn of<const N: usize>(group: &Group<N>, term: u64) -> Self {
        let origin = group.producer.origin();
        let filter = vec![(origin, group.producer.head())];
        let applied = Position { term: 2, index: 1 };
        let chain = Chain::new(GROUP.origin(1));
        // The hand-over was let out if anything was.
        let mark = group.outlet.marked().unwrap().mark;
        let chain =
            if mark.term == 1 { chain } else { Chain::resume(GROUP.origin(mark.term), group.outlet.head()) };
        Self { term, applied, chain, filter, state: vec![] }
    }
}

/// The snapshot.
fn written(written: &Written) -> Vec<u8> {
    let Written { term, applied, chain, ref filter, ref state } = *written;
    let (mut heads, mut horizon) = (OriginMap::<Head, 8>::new(), Horizon::<8>::new());
    for (origin, head) in filter {
        heads.insert(*origin, *head).unwrap();
        horizon.observe(*origin, head.sequence).unwrap();
    }
    let progress = Progress { term, applied, output: Ordinal::default(), chain };
    let mut buffer = vec![0; 2_000];
    let mut writer = SnapshotWriter::new(&progress, &heads, &horizon, &mut buffer).unwrap();
    writer.state()[..state.len()].copy_from_slice(state);
    writer.seal(state.len()).unwrap().to_vec()
}

/// A group that has let out an event, whose member 2 has begun anew and heard of the mark.
fn with_an_empty_member() -> Group<3> {
    let mut group = Group::<3>::begun(Acks::One);
    group.submit(b"a");
    group.settle();
    group.start(2, Tally::default());
    group.members[2].restart(77);
    group.join(2);
    assert!(group.members[2].wants_snapshot());
    group
}

/// Source and receiver, with an offer accepted.
fn transfer(group: &Group<3>) -> (Transfer<2_000>, Transfer<2_000>, Offer) {
    let (mut source, mut receiver) = (Transfer::new(), Transfer::new());
    let offer = source.offer(&group.members[0]).unwrap();
    assert_eq!(receiver.accept(offer, PRODUCERS), Ok(()));
    (source, receiver, offer)
}

/// The error of an offer, after which the receiver is as it was.
#[track_caller]
fn offer_error(offer: Offer) -> TransferError {
    let mut receiver = Transfer::<2_000>::new();
    let before = dump(&receiver);
    let error = receiver.accept(offer, PRODUCERS).unwrap_err();
    assert_eq!((dump(&receiver), receiver.request()), (before, None));
    error
}

/// The error of a slice, after which the receiver asks for the same.
#[track_caller]
fn slice_error(receiver: &mut Transfer<2_000>, slice: &Slice<'_>) -> TransferError {
    let before = dump(receiver);
    let error = receiver.take(slice).unwrap_err();
    assert_eq!(dump(receiver), before, "a refused slice has changed something");
    error
}

/// The rest of a transfer, and that the member has the state then.
#[track_caller]
fn ends(mut group: Group<3>, mut source: Transfer<2_000>, mut receiver: Transfer<2_000>) {
    let mut whole = None;
    while whole.is_none() {
        let request = receiver.request().unwrap();
        whole = receiver.take(&source.slice(request, 50).unwrap()).unwrap().map(<[u8]>::to_vec);
    }
    assert_eq!(group.members[2].install(&whole.unwrap()), Ok(()));
    assert_eq!(group.members[2].daemon(), group.members[0].daemon());
    assert_eq!(group.members[2].chain(), group.members[0].chain());
}

#[test]
fn an_offer_of_another_version_is_refused() {
    let offer = transfer(&with_an_empty_member()).2;
    for got in [0, 2, 4] {
        assert_eq!(offer_error(Offer { version: got, ..offer }), TransferError::Version { got });
    }
}

#[test]
fn an_offer_of_a_member_with_room_for_other_producers_is_refused() {
    let offer = transfer(&with_an_empty_member()).2;
    let ours = PRODUCERS as u32;
    for its in [0, ours - 1, ours + 1] {
        assert_eq!(offer_error(Offer { producers: its, ..offer }), TransferError::Capacity { ours, its });
    }
}

#[test]
fn an_offer_that_is_too_large_or_too_small_for_a_snapshot_is_refused() {
    let offer = transfer(&with_an_empty_member()).2;
    for bytes in [0, 7, 2_001, u32::MAX] {
        assert_eq!(offer_error(Offer { bytes, ..offer }), TransferError::Size { bytes, limit: 2_000 });
    }
}

#[test]
fn a_slice_that_was_changed_is_refused_and_asked_for_again() {
    let group = with_an_empty_member();
    let (mut source, mut receiver, _) = transfer(&group);
    let Slice { hash, offset, check, bytes } = source.slice(receiver.request().unwrap(), 50).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let slice = Slice { hash, offset, check, bytes: &bytes };
        assert_eq!(slice_error(&mut receiver, &slice), TransferError::Corrupt { offset });
    }
    // At another place the sum is another.
    let moved = Slice { hash, offset: 1, check, bytes };
    assert_eq!(slice_error(&mut receiver, &moved), TransferError::Corrupt { offset: 1 });
    ends(group, source, receiver);
}

#[test]
fn a_slice_behind_a_gap_is_refused() {
    let group = with_an_empty_member();
    let (mut source, mut receiver, offer) = transfer(&group);
    let slice = source.slice(Request { hash: offer.hash, offset: 20 }, 50).unwrap();
    assert_eq!(slice_error(&mut receiver, &slice), TransferError::Gap { expected: 0, got: 20 });
    ends(group, source, receiver);
}

#[test]
fn a_slice_that_comes_again_changes_nothing() {
    let group = with_an_empty_member();
    let (mut source, mut receiver, offer) = transfer(&group);
    let first = source.slice(Request { hash: offer.hash, offset: 0 }, 50).unwrap();
    assert_eq!(receiver.take(&first), Ok(None));
    let before = dump(&receiver);
    assert_eq!(receiver.take(&first), Ok(None));
    assert_eq!(dump(&receiver), before);
    ends(group, source, receiver);
}

#[test]
fn a_slice_of_another_snapshot_is_refused() {
    let group = with_an_empty_member();
    let (mut source, mut receiver, offer) = transfer(&group);
    let slice = source.slice(Request { hash: offer.hash, offset: 0 }, 50).unwrap();
    let other = Slice { hash: slice.hash ^ 1, ..slice };
    assert_eq!(slice_error(&mut receiver, &other), TransferError::NotOffered);
    // So is a question for another, or for what is behind the end.
    let question = Request { hash: offer.hash ^ 1, offset: 0 };
    assert_eq!(source.slice(question, 50), Err(TransferError::NotOffered));
    let question = Request { hash: offer.hash, offset: offer.bytes + 1 };
    assert_eq!(source.slice(question, 50), Err(TransferError::OutOfRange { bytes: offer.bytes }));
    ends(group, source, receiver);
}

#[test]
fn a_slice_that_reaches_behind_the_end_of_its_snapshot_is_refused() {
    let group = with_an_empty_member();
    let (mut source, _, offer) = transfer(&group);
    // The offer promises less than there is.
    let mut short = Transfer::<2_000>::new();
    let bytes = offer.bytes - 1;
    short.accept(Offer { bytes, ..offer }, PRODUCERS).unwrap();
    let slice = source.slice(short.request().unwrap(), 2_000).unwrap();
    assert_eq!(slice_error(&mut short, &slice), TransferError::OutOfRange { bytes });
}

#[test]
fn a_member_gives_out_a_snapshot_or_takes_one_in_but_not_both_at_once() {
    let group = with_an_empty_member();
    let (mut source, mut receiver, offer) = transfer(&group);
    let before = [dump(&source), dump(&receiver)];
    assert_eq!(source.accept(offer, PRODUCERS), Err(TransferError::Busy));
    assert_eq!(receiver.offer(&group.members[0]), Err(TransferError::Busy));
    assert_eq!([dump(&source), dump(&receiver)], before);
    // A receiver has nothing to give, and a source nothing to ask for.
    let question = Request { hash: offer.hash, offset: 0 };
    assert_eq!(receiver.slice(question, 50), Err(TransferError::NotOffered));
    assert_eq!(source.request(), None);
    ends(group, source, receiver);
}

#[test]
fn without_an_offer_there_is_no_slice() {
    let mut transfer = Transfer::<2_000>::new();
    let slice = Slice { hash: 1, offset: 0, check: 0, bytes: b"" };
    assert_eq!(slice_error(&mut transfer, &slice), TransferError::NotOffered);
    assert_eq!(transfer.slice(Request { hash: 1, offset: 0 }, 5), Err(TransferError::NotOffered));
}

#[test]
fn a_daemon_without_snapshots_offers_none() {
    let mut group = Group::<3>::new(Acks::One);
    group.start(0, Tally { is_stateless: true, ..Tally::default() });
    let mut source = Transfer::<2_000>::new();
    let error = TransferError::Source(SnapshotFailed::State(StateError::Stateless));
    assert_eq!(source.offer(&group.members[0]), Err(error));
}

#[test]
fn a_snapshot_that_does_not_fit_the_source_is_not_offered() {
    let mut group = with_an_empty_member();
    group.members[0].snapshot(&mut [0; 2_000]).unwrap();
    let mut small = Transfer::<20>::new();
    let error = small.offer(&group.members[0]).unwrap_err();
    assert!(matches!(error, TransferError::Source(SnapshotFailed::Write(SnapshotWriteError::NoRoom { .. }))));
    group.settle();
}

#[test]
fn a_member_without_state_offers_none() {
    let group = with_an_empty_member();
    let mut source = Transfer::<2_000>::new();
    assert_eq!(source.offer(&group.members[2]), Err(TransferError::Source(SnapshotFailed::Empty)));
}

/// The error of a snapshot that member 2 does not install, after which it is as it was.
#[track_caller]
fn install_error(group: &mut Group<3>, bytes: &[u8]) -> InstallError {
    let before = dump(&group.members[2]);
    let error = group.members[2].install(bytes).unwrap_err();
    assert_eq!(dump(&group.members[2]), before, "a refused snapshot has changed something");
    error
}

#[test]
fn bytes_that_are_no_snapshot_are_not_installed() {
    let mut group = with_an_empty_member();
    let mut buffer = [0; 2_000];
    let whole = group.members[0].snapshot(&mut buffer).unwrap();
    for length in 0..whole.len() {
        let error = install_error(&mut group, &whole[..length]);
        assert!(matches!(error, InstallError::Snapshot(_)));
    }
    for at in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        assert!(matches!(install_error(&mut group, &changed), InstallError::Snapshot(_)), "byte {at}");
    }
    assert_eq!(install_error(&mut group, b""), InstallError::Snapshot(Snapshot::read(b"").unwrap_err()));
    assert!(matches!(Snapshot::read(b"none of them"), Err(SnapshotError::NotASnapshot)));
    assert_eq!(group.members[2].install(whole), Ok(()));
}

#[test]
fn a_snapshot_whose_chain_is_of_no_known_term_is_not_installed() {
    let mut group = with_an_empty_member();
    for origin in [GroupId::new(8).origin(2), GROUP.origin(9), Origin::new(0)] {
        let bytes = written(&Written { chain: Chain::new(origin), ..Written::of(&group, 2) });
        assert_eq!(install_error(&mut group, &bytes), InstallError::UnknownChain);
    }
}

#[test]
fn a_snapshot_with_more_producers_than_there_is_room_for_is_not_installed() {
    let mut group = with_an_empty_member();
    let filter = (0..PRODUCERS as u64 + 1).map(|n| (Origin::new(n), Head::genesis(Origin::new(n))));
    let bytes = written(&Written { filter: filter.collect(), ..Written::of(&group, 2) });
    let limit = PRODUCERS;
    assert_eq!(install_error(&mut group, &bytes), InstallError::OriginsFull(OriginsFull { limit }));
}

#[test]
fn a_snapshot_that_is_no_newer_is_not_installed() {
    let mut group = with_an_empty_member();
    let mut buffer = [0; 2_000];
    let whole = group.members[0].snapshot(&mut buffer).unwrap();
    assert_eq!(group.members[2].install(whole), Ok(()));
    assert_eq!(install_error(&mut group, whole), InstallError::NotNewer);
}

#[test]
fn a_state_that_the_daemon_does_not_take_leaves_the_member_empty_and_another_is_installed() {
    let mut group = with_an_empty_member();
    // A length that goes beyond the end.
    let bytes = written(&Written { state: vec![9], ..Written::of(&group, 2) });
    assert_eq!(group.members[2].install(&bytes), Err(InstallError::State(StateError::Invalid)));
    assert!(!group.members[2].is_full() && group.members[2].wants_to_join().is_some());
    group.join(2);
    let mut buffer = [0; 2_000];
    let whole = group.members[0].snapshot(&mut buffer).unwrap();
    assert_eq!(group.members[2].install(whole), Ok(()));
}

// === Arbiter ===

/// An arbiter in a term, to which the ingress has answered with this base.
fn arbiter(acks: Acks, base: u64) -> Arbiter<3, CUTS> {
    let mut group = Group::<3>::new(acks);
    group.arbiter.raise(1);
    group.ask_outlet();
    if base > 0 {
        let state = IngressState { term: 2, generation: 1, base, is_confirmed: false };
        group.arbiter.ingress_answered(&state);
    }
    group.arbiter
}

/// A member's answer to the fence.
fn answer(incarnation: u64, applied: u64) -> Fenced {
    let is = true;
    Fenced { term: 2, incarnation, generation: 1, held: applied, applied, is_full: is, is_counted: is }
}

#[test]
fn an_arbiter_without_a_term_in_progress_picks_nobody() {
    let mut arbiter = Arbiter::<3, CUTS>::new(Acks::One, 1);
    arbiter.fenced(0, &answer(1, 5));
    assert_eq!(arbiter.pick(), Err(NotPicked::NotMeasuring));
    assert_eq!(arbiter.replace_ingress(), Err(NotPicked::NotMeasuring));
    assert_eq!((arbiter.tick(0), arbiter.to_outlet(), arbiter.to_ingress()), (Ok(()), None, None));
    assert_eq!(arbiter.to_member(0), None);
}

#[test]
fn an_arbiter_picks_nobody_if_none_is_fit_and_waits() {
    let mut arbiter = arbiter(Acks::One, 10);
    assert_eq!(arbiter.pick(), Err(NotPicked::Behind), "nobody has answered");
    arbiter.fenced(0, &Fenced { is_full: false, ..answer(1, 20) });
    arbiter.fenced(1, &answer(2, 8));
    arbiter.fenced(2, &answer(3, 0));
    assert_eq!(arbiter.pick(), Err(NotPicked::Behind));
    assert_eq!(arbiter.tick(5), Err(NotPicked::Behind));
    arbiter.fenced(3, &answer(4, 50));
    assert_eq!(arbiter.pick(), Err(NotPicked::Behind), "there is no such member");
    // One that has caught up meanwhile is.
    arbiter.fenced(2, &answer(3, 9));
    assert_eq!(arbiter.tick(5), Ok(()));
    assert_eq!(arbiter.successor(), Some(2));
}

#[test]
fn too_few_answers_do_not_replace_an_ingress() {
    for (acks, needed) in [(Acks::Members(2), 2), (Acks::Members(3), 1)] {
        let mut arbiter = arbiter(acks, 0);
        // One that doesn't count is no answer.
        arbiter.fenced(0, &Fenced { is_counted: false, ..answer(1, 5) });
        for answered in 0..needed {
            let error = Err(NotPicked::NoIngress { answered, needed });
            assert_eq!(arbiter.replace_ingress(), error);
            assert_eq!(arbiter.pick().map(|_| ()), error);
            assert_eq!(arbiter.successor(), None);
            arbiter.fenced(1 + answered, &answer(2, 5));
        }
        assert_eq!(arbiter.replace_ingress(), Ok(()));
        assert_eq!(arbiter.replace_ingress(), Err(NotPicked::NotMeasuring), "once a term");
    }
}

#[test]
fn an_arbiter_whose_outlet_is_further_ends_that_term() {
    let mut group = Group::<3>::begun(Acks::One);
    group.fail_over();
    group.restart_arbiter();
    group.arbiter.raise(1);
    for _ in 0..20 {
        group.arbitrate();
        let _ = group.arbiter.tick(4);
    }
    assert!(group.arbiter.is_idle());
    assert_eq!((group.outlet.term(), group.arbiter.term()), (4, 4));
}

#[test]
fn an_arbiter_that_is_to_end_the_last_term_of_all_takes_no_other_for_the_next() {
    let mut arbiter = Arbiter::<3, CUTS>::new(Acks::One, 1);
    arbiter.raise(u64::MAX);
    let before = dump(&arbiter);
    let cuts = Cuts::new();
    for term in [0, 1, u64::MAX] {
        arbiter.raised(&Marked { term, mark: Mark::default(), cuts: &cuts, generation: 1 });
    }
    assert_eq!(dump(&arbiter), before);
}

#[test]
fn a_hand_over_is_read_from_nothing_else() {
    let mut chain = Chain::new(GROUP.origin(1));
    let bytes = event(&mut chain, &[0; HandOver::PAYLOAD]);
    assert_eq!(HandOver::read(read(&bytes)), None, "the first output of the first term");
    let bytes = event(&mut chain, &[0; HandOver::PAYLOAD]);
    assert_eq!(HandOver::read(read(&bytes)), None, "a second event");
    let head = Head { sequence: Sequence::GENESIS, next_parent: LinkHash::new(5) };
    for length in [0, HandOver::PAYLOAD - 1, HandOver::PAYLOAD + 1] {
        let bytes = event(&mut Chain::resume(GROUP.origin(2), head), &vec![0; length]);
        assert_eq!(HandOver::read(read(&bytes)), None, "{length} bytes");
    }
}
