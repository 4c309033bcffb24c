//! Links and chains: the published vectors, what each end takes and refuses, and both against a list.

use proptest::prelude::*;
use trilane::causal::{
    AppendError, Bloom, Chain, Event, Head, Link, LinkError, LinkHash, NoLink, Origin, Sequence,
};

/// A link and its payload, as one slice has them.
fn event_bytes(link: Link, payload: &[u8]) -> Vec<u8> {
    [&link.to_bytes()[..], payload].concat()
}

fn link(origin: u64, horizon: u64, sequence: u64, parent: u64) -> Link {
    Link {
        origin: Origin::new(origin),
        horizon: Bloom::from_bits(horizon),
        sequence: Sequence::new(sequence),
        parent: LinkHash::new(parent),
    }
}

#[test]
fn a_link_has_the_published_bytes() {
    let link = link(0xdead_beef, 0xcafe, 42, 0x1234_5678_90ab_cdef);
    let bytes = [
        0xef, 0xbe, 0xad, 0xde, 0, 0, 0, 0, 0xfe, 0xca, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 0xef,
        0xcd, 0xab, 0x90, 0x78, 0x56, 0x34, 0x12,
    ];
    assert_eq!(link.to_bytes(), bytes);
    assert_eq!(Link::from_bytes(&bytes), link);
}

#[test]
fn the_hash_of_link_and_payload_is_the_published_one() {
    let counted = |length: u32| (0..length).map(|i| (31 * i) as u8).collect::<Vec<_>>();
    for (link, payload, hash) in [
        (link(0xabcd, 0, 0, 0), vec![], 0x8348_1f3f_c4c5_ca7b),
        (link(0xabcd, 0, 0, 0), b"hello".to_vec(), 0x6155_5bdd_9c8c_9000),
        (link(0xdead_beef, 0x2a, 0, 0), counted(0), 0x75f5_58ef_ecf8_2a99),
        (link(0xdead_beef, 0x2a, 0, 0), counted(32), 0x42b6_f55d_0c88_ff36),
        (link(0xdead_beef, 0x2a, 0, 0), counted(1024), 0x7c2b_b8e6_4cf1_3113),
    ] {
        let bytes = event_bytes(link, &payload);
        assert_eq!(Event::new(&bytes).unwrap().hash(), LinkHash::new(hash));
    }
}

#[test]
fn the_first_event_is_number_1_and_names_the_hash_of_the_genesis_link() {
    let mut chain = Chain::new(Origin::new(0xabcd));
    let mut buffer = event_bytes(link(0, 0, 0, 0), b"first");
    let event = chain.append(Bloom::from_bits(9), &mut buffer).unwrap();
    assert_eq!(event.link(), link(0xabcd, 9, 1, 0x8348_1f3f_c4c5_ca7b));
    assert_eq!(event.payload(), b"first");
    assert_eq!(chain.head(), Head { sequence: Sequence::new(1), next_parent: event.hash() });
}

#[test]
fn the_bloom_of_origins_is_the_published_one() {
    for (origins, bits) in [
        (vec![0], 0x0000_0000_0210_8000),
        (vec![1], 0x0000_4008_0100_0000),
        (vec![0xaaaa], 0x0020_0400_8000_0000),
        (vec![0xbbbb], 0x8001_0000_0000_4000),
        ((0..8).collect(), 0x2982_c04f_0350_d108_u64),
    ] {
        let each = origins.into_iter().map(|origin| Bloom::of(Origin::new(origin)));
        assert_eq!(each.fold(Bloom::EMPTY, Bloom::union), Bloom::from_bits(bits));
    }
}

#[test]
fn of_origin_sequence_and_parent_the_first_that_differs_is_reported() {
    let chain =
        Chain::resume(Origin::new(7), Head { sequence: Sequence::new(4), next_parent: LinkHash::new(0x55) });
    let origin = LinkError::Origin { expected: Origin::new(7), got: Origin::new(8) };
    let sequence = |got| LinkError::Sequence { expected: Sequence::new(5), got: Sequence::new(got) };
    let parent = LinkError::Parent { expected: LinkHash::new(0x55), got: LinkHash::new(0x66) };
    assert_eq!(chain.validate(&link(7, 1, 5, 0x55)), Ok(()));
    assert_eq!(chain.validate(&link(8, 1, 6, 0x66)), Err(origin));
    assert_eq!(chain.validate(&link(7, 1, 6, 0x66)), Err(sequence(6)));
    assert_eq!(chain.validate(&link(7, 1, 4, 0x55)), Err(sequence(4)));
    assert_eq!(chain.validate(&link(7, 1, 5, 0x66)), Err(parent));
    assert!(sequence(4).to_string().contains("has been seen"));
    assert!(sequence(6).to_string().contains("send again"));
}

#[test]
fn behind_the_last_sequence_nothing_is_appended_and_nothing_verified() {
    let mut chain = Chain::resume(
        Origin::new(7),
        Head { sequence: Sequence::new(u64::MAX - 1), next_parent: LinkHash::new(0x55) },
    );
    let mut buffer = [1; 40];
    let last = chain.append(Bloom::EMPTY, &mut buffer).unwrap().link();
    assert_eq!(last.sequence, Sequence::MAX);
    let (before, mut buffer) = (chain, [1; 40]);
    assert_eq!(chain.append(Bloom::EMPTY, &mut buffer), Err(AppendError::SequenceOverflow));
    assert_eq!((chain, buffer), (before, [1; 40]));
    assert_eq!(chain.validate(&link(7, 0, 0, 0)), Err(LinkError::SequenceOverflow));
}

#[test]
fn a_buffer_shorter_than_a_link_is_an_error_and_changes_nothing() {
    let mut chain = Chain::new(Origin::new(7));
    let (before, mut buffer) = (chain, [1; Link::LEN - 1]);
    assert_eq!(chain.append(Bloom::EMPTY, &mut buffer), Err(AppendError::NoRoomForLink));
    assert_eq!((chain, buffer), (before, [1; Link::LEN - 1]));
    assert_eq!(Event::new(&buffer), Err(NoLink));
    let mut no_payload = [1; Link::LEN];
    assert_eq!(chain.append(Bloom::EMPTY, &mut no_payload).unwrap().payload(), b"");
}

/// Reads the events of `events` from the head before the last one that fits, again after each that doesn't;
/// `changed` comes with one bit turned over, the first time.
fn read_with_the_last_two_heads(events: &[Vec<u8>], changed: (usize, usize)) -> (Vec<Vec<u8>>, usize) {
    let origin = Origin::new(7);
    let (mut seen, mut change) = (Chain::new(origin), Some(changed));
    let (mut before, mut payloads, mut again) = (seen.head(), vec![], 0);
    while payloads.len() < events.len() {
        let next = payloads.len();
        let mut bytes = events[next].clone();
        if let Some((_, bit)) = change.take_if(|change| change.0 == next) {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let (event, head) = (Event::new(&bytes).unwrap(), seen.head());
        match seen.verify(event) {
            Ok(()) => {
                payloads.push(event.payload().to_vec());
                before = head;
            }
            Err(error) => {
                again += 1;
                if let LinkError::Parent { .. } = error {
                    assert!(error.to_string().contains("go back to the head before"));
                    seen = Chain::resume(origin, before);
                    payloads.truncate(before.sequence.get() as usize);
                }
            }
        }
    }
    (payloads, again)
}

#[test]
fn whichever_bit_was_changed_who_goes_back_to_the_head_before_reads_what_was_sent() {
    let mut chain = Chain::new(Origin::new(7));
    let payloads = [vec![1], vec![2, 2], vec![], vec![4, 4, 4]];
    let events = payloads.each_ref().map(|payload| {
        let mut bytes = event_bytes(link(0, 0, 0, 0), payload);
        chain.append(Bloom::EMPTY, &mut bytes).unwrap();
        bytes
    });
    for index in 0..3 {
        for bit in 0..8 * events[index].len() {
            assert_eq!(
                read_with_the_last_two_heads(&events, (index, bit)),
                (payloads.to_vec(), 1),
                "{index} {bit}"
            );
        }
    }
    // The newest event's own payload is proven by nothing yet.
    let (read, again) = read_with_the_last_two_heads(&events, (3, 8 * Link::LEN));
    assert_eq!((&read[3], again), (&vec![5, 4, 4], 0));
}

/// What a verifier does with an emitter's events.
#[derive(Clone, Debug)]
enum Step {
    Next,
    Again,
    Skip,
    /// One bit of the next event's bytes is other than it was.
    Flip(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Next),
        1 => Just(Step::Again),
        1 => Just(Step::Skip),
        2 => any::<usize>().prop_map(Step::Flip),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// Oracle: the emitter's events in a list, and the index of the one that is next. A flipped bit of the
    /// payload, or of the horizon, is noticed one event later.
    #[test]
    fn exactly_the_next_event_is_taken_and_a_changed_one_is_noticed_at_the_next(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 60),
        steps in steps(),
    ) {
        let mut emitter = Chain::new(Origin::new(7));
        let events: Vec<Vec<u8>> = payloads
            .iter()
            .map(|payload| {
                let mut bytes = event_bytes(link(0, 0, 0, 0), payload);
                emitter.append(Bloom::from_bits(payload.len() as u64), &mut bytes).unwrap();
                bytes
            })
            .collect();
        let mut verifier = Chain::new(Origin::new(7));
        let mut next = 0;
        for step in steps {
            let before = verifier;
            match step {
                Step::Next => {
                    prop_assert_eq!(verifier.verify(Event::new(&events[next]).unwrap()), Ok(()));
                    next += 1;
                }
                Step::Again if next > 0 => {
                    let result = verifier.verify(Event::new(&events[next - 1]).unwrap());
                    let is_sequence = matches!(result, Err(LinkError::Sequence { got, .. }) if got.get() == next as u64);
                    prop_assert!(is_sequence);
                    prop_assert_eq!(verifier, before);
                }
                Step::Skip if next + 1 < events.len() => {
                    let result = verifier.verify(Event::new(&events[next + 1]).unwrap());
                    let is_sequence = matches!(result, Err(LinkError::Sequence { .. }));
                    prop_assert!(is_sequence);
                    prop_assert_eq!(verifier, before);
                }
                Step::Flip(bit) if next + 1 < events.len() => {
                    let mut bytes = events[next].clone();
                    let bit = bit % (8 * bytes.len());
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let covered_at_once = bit / 64 != 1 && bit < 8 * Link::LEN;
                    let result = verifier.verify(Event::new(&bytes).unwrap());
                    prop_assert_eq!(result.is_err(), covered_at_once);
                    if covered_at_once {
                        prop_assert_eq!(verifier, before);
                    } else {
                        let result = verifier.verify(Event::new(&events[next + 1]).unwrap());
                        let is_parent = matches!(result, Err(LinkError::Parent { .. }));
                        prop_assert!(is_parent);
                        verifier = before;
                    }
                }
                Step::Again | Step::Skip | Step::Flip(_) => {}
            }
            if next == events.len() {
                break;
            }
        }
    }
}
