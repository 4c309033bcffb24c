//! The verifier of a chain beside an emitter: it takes the next event if its origin, sequence and parent are
//! right, and no other, whatever was changed in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trilane::causal::{Bloom, Chain, Event, Head, Link, LinkHash, Origin, Sequence};

/// An event's link and its payload of 4 bytes.
const LENGTH: usize = Link::LEN + 4;

// The first two bytes say where the chain begins, the next at which place and by what each event is changed.
fuzz_target!(|data: &[u8]| {
    let Some((start, steps)) = data.split_first_chunk::<2>() else { return };
    let sequence = match start[0] {
        0 => u64::MAX - u64::from(start[1]),
        _ => u64::from(start[1]),
    };
    let head = Head { sequence: Sequence::new(sequence), next_parent: LinkHash::new(u64::from(start[1])) };
    let mut emitter = Chain::resume(Origin::new(7), head);
    let mut verifier = emitter;
    for [at, change] in steps.as_chunks().0 {
        let mut bytes = [*change; LENGTH];
        let before = verifier;
        let Ok(event) = emitter.append(Bloom::from_bits(3), &mut bytes) else {
            assert_eq!(emitter.head().sequence, Sequence::MAX);
            assert!(emitter == verifier && verifier.validate(&Link::genesis(Origin::new(7))).is_err());
            return;
        };
        let right = event.link();
        if let Some(byte) = bytes.get_mut(usize::from(*at)) {
            *byte ^= change;
        }
        let event = Event::new(&bytes).unwrap();
        let link = event.link();
        assert_eq!(link.to_bytes(), bytes[..Link::LEN]);
        // The horizon is not the link's to prove.
        let is_next = Link { horizon: right.horizon, ..link } == right;
        assert_eq!(verifier.verify(event).is_ok(), is_next);
        if !is_next {
            assert_eq!(verifier, before);
            verifier = emitter;
        } else if verifier != emitter {
            // A change of horizon or payload is noticed at the next event.
            let Ok(event) = emitter.append(Bloom::EMPTY, &mut bytes) else { return };
            verifier.verify(event).unwrap_err();
            verifier = emitter;
        }
    }
});
