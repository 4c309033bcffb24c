//! Messages of groups as bytes.

use trilane::causal::{Event, Link, LinkHash, Ordinal, Origin, Position, Sequence};
use trilane::daemon::Delivery;
use trilane::group::message::{
    Ack, Deliver, Fenced, Grant, Granted, IngressState, Joined, LowerTerm, Marked, Output, Passed, Through,
};
use trilane::group::{
    Acks, Arbiter, Cuts, GroupId, Mark, Message, Offer, Outlet, Record, Request, Slice, ToIngress, ToMember,
    ToOutlet, WireError,
};
use trilane::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

const CUTS: usize = 4;

/// A list of two cuts, as an outlet makes it.
fn outlet() -> Outlet<3, CUTS, 128> {
    let mut outlet = Outlet::new();
    outlet.found(GroupId::new(5));
    let mut arbiter: Arbiter<3, CUTS> = Arbiter::new(Acks::One, 9);
    for term in 1..=2 {
        arbiter.raise(term);
        outlet.raise(term, 9).unwrap();
    }
    outlet
}

/// One message of each kind.
fn for_each_message(mut each: impl FnMut(Message<'_, CUTS>)) {
    let mut bytes = [7; Link::LEN + 5];
    let event = Event::write(Link::genesis(Origin::new(3)), &mut bytes).unwrap();
    let delivery = Delivery {
        position: Position { term: 2, index: 9 },
        time: Instant::from_micros(11),
        seed: u64::MAX,
        event,
    };
    let deliver = Deliver {
        term: 3,
        generation: 2,
        start: 4,
        base: 5,
        commit: 8,
        incarnation: 6,
        before: Position { term: 1, index: 8 },
        record: Some(Record { delivery, hash: LinkHash::new(77) }),
    };
    let outlet = outlet();
    let marked: Marked<'_, CUTS> = outlet.marked().unwrap();
    let ordinal = Ordinal { index: 4, output: u32::MAX };
    let mark = Mark { term: 1, sequence: Sequence::new(2), done: 3, ordinal };
    let fenced = Fenced {
        term: 1,
        incarnation: 2,
        generation: 3,
        held: 4,
        applied: 5,
        is_full: true,
        is_counted: false,
    };
    let offer = Offer {
        version: 3,
        producers: 4,
        bytes: 5,
        hash: 6,
        term: 7,
        applied: Position { term: 8, index: 9 },
    };
    for message in [
        Message::Deliver(deliver),
        Message::Deliver(Deliver { record: None, ..deliver }),
        Message::Ack(Ack { incarnation: 1, generation: 2, held: 3, applied: 4, wants: 5 }),
        Message::Output(Output { term: 1, frame: b"frame", ordinal: Some(ordinal), is_last: true }),
        Message::Output(Output { term: 1, frame: b"", ordinal: None, is_last: false }),
        Message::Through(Through { term: 1, index: 2, sequence: Sequence::MAX }),
        Message::Passed(Passed { incarnation: 1, term: 2 }),
        Message::Marked(marked),
        Message::Marked(Marked { mark, ..marked }),
        Message::Join { nonce: 1 },
        Message::Joined(Joined { nonce: 1, incarnation: 2, marked }),
        Message::ToOutlet(ToOutlet::Raise { from: 1, nonce: 2 }),
        Message::ToOutlet(ToOutlet::ReplaceIngress { term: 1 }),
        Message::LowerTerm(LowerTerm { term: 1 }),
        Message::IngressReplaced { term: 1 },
        Message::ToMember(ToMember::Fence { term: 1 }),
        Message::ToMember(ToMember::Begin { term: 1, incarnation: 2 }),
        Message::ToMember(ToMember::Grant(Grant { incarnation: 1, marked })),
        Message::Fenced(fenced),
        Message::Granted(Granted { term: 1, incarnation: 2 }),
        Message::ToIngress(ToIngress::Fence { term: 1 }),
        Message::ToIngress(ToIngress::Confirm { term: 1, generation: 2, successor: 3 }),
        Message::Ingress(IngressState { term: 1, generation: 2, base: 3, is_confirmed: true }),
        Message::AskOffer,
        Message::Offer(offer),
        Message::Request(Request { hash: 1, offset: 2 }),
        Message::Slice(Slice { hash: 1, offset: 2, check: 3, bytes: b"slice" }),
    ] {
        each(message);
    }
}

/// The bytes with the hash of a sender that wrote them so.
fn with_hash(content: &[u8]) -> Vec<u8> {
    [content, &xxh3_64(content).to_le_bytes()].concat()
}

#[test]
fn every_message_is_read_as_it_was_written() {
    let mut kinds = std::collections::BTreeSet::new();
    for_each_message(|message| {
        let mut buffer = [0; 512];
        let bytes = message.encode(&mut buffer).unwrap();
        kinds.insert(bytes[0]);
        assert_eq!(Message::decode(bytes, &mut Cuts::new()), Ok(message));
    });
    assert_eq!(kinds.len(), 24);
}

#[test]
fn a_message_that_was_changed_or_cut_short_is_an_error() {
    for_each_message(|message| {
        let mut buffer = [0; 512];
        let mut bytes = message.encode(&mut buffer).unwrap().to_vec();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Message::<CUTS>::decode(&bytes, &mut Cuts::new()),
                Err(WireError::Hash),
                "{message:?}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..bytes.len() {
            let error = Message::<CUTS>::decode(&bytes[..length], &mut Cuts::new()).unwrap_err();
            assert!(matches!(error, WireError::Hash | WireError::Truncated), "{error:?}");
        }
    });
}

#[test]
fn a_message_without_room_says_how_much_it_takes() {
    for_each_message(|message| {
        let mut buffer = [0; 512];
        let needed = message.encode(&mut buffer).unwrap().len();
        for length in 0..needed {
            assert_eq!(message.encode(&mut buffer[..length]), Err(WireError::NoRoom { needed }));
        }
    });
}

#[test]
fn what_a_sender_of_another_build_wrote_is_an_error_or_is_written_again_alike() {
    for_each_message(|message| {
        let mut buffer = [0; 512];
        let bytes = message.encode(&mut buffer).unwrap();
        let content = bytes[..bytes.len() - 8].to_vec();
        let numbers = content.len() / 8;
        for word in 0..numbers {
            for value in [0, 1, 2, 3, 4, 5, u64::from(u32::MAX) + 1, u64::MAX] {
                let mut content = content.clone();
                content[8 * word..8 * word + 8].copy_from_slice(&value.to_le_bytes());
                let bytes = with_hash(&content);
                let mut cuts = Cuts::<CUTS>::new();
                if let Ok(message) = Message::decode(&bytes, &mut cuts) {
                    let mut buffer = [0; 512];
                    assert_eq!(message.encode(&mut buffer).unwrap(), bytes);
                }
            }
        }
        for length in 0..content.len() {
            let bytes = with_hash(&content[..length]);
            let mut cuts = Cuts::<CUTS>::new();
            if let Ok(message) = Message::decode(&bytes, &mut cuts) {
                let mut buffer = [0; 512];
                assert_eq!(message.encode(&mut buffer).unwrap(), bytes);
            }
        }
    });
}

#[test]
fn more_cuts_than_there_is_room_for_are_an_error() {
    let outlet = outlet();
    let mut buffer = [0; 512];
    let bytes = Message::Marked(outlet.marked().unwrap()).encode(&mut buffer).unwrap();
    let cuts = outlet.marked().unwrap().cuts.iter().count();
    assert_eq!(cuts, 1, "the cut of a term in which nothing was let out is replaced");
    let many = [&6_u64.to_le_bytes()[..], &bytes[8..bytes.len() - 8]].concat();
    let at = 8 * 9;
    let many = with_hash(&[&many[..at], &5_u64.to_le_bytes(), &many[at + 8..]].concat());
    assert_eq!(Message::<CUTS>::decode(&many, &mut Cuts::new()), Err(WireError::TooManyCuts { limit: CUTS }));
}

#[test]
fn an_unknown_message_is_an_error() {
    let bytes = with_hash(&99_u64.to_le_bytes());
    assert_eq!(Message::<CUTS>::decode(&bytes, &mut Cuts::new()), Err(WireError::Kind { kind: 99 }));
}
