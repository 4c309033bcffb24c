//! A recorded run of several origins, checked link by link by code that shares none with the core; and what
//! it takes for each broken rule.

use trilane::causal::{Chain, FrameWriter, Head, Horizon, Origin, Sequence};
use trilane_tests::chains::{Run, check_run};

/// Emits an event whose payload is `byte` three times, having seen what `seen` has, and records it.
fn emit(chain: &mut Chain, seen: &mut Horizon<8>, byte: u8, recorded: &mut Vec<Vec<u8>>) {
    let mut buffer = [byte; 39];
    let frame = FrameWriter::new(&mut buffer).unwrap().seal(3, chain, seen.bloom()).unwrap();
    seen.observe(chain.origin(), chain.head().sequence).unwrap();
    recorded.push(frame.to_vec());
}

/// Three origins by turns, of which the third goes on where the first was cut.
fn run() -> Vec<Vec<u8>> {
    let mut seen = Horizon::new();
    let mut recorded = vec![];
    let mut chains = [1, 2].map(|origin| Chain::new(Origin::new(origin)));
    for n in 0..20 {
        emit(&mut chains[usize::from(n % 3 == 0)], &mut seen, n, &mut recorded);
    }
    let cut = chains[0].head().next_parent;
    let head = Head { sequence: Sequence::GENESIS, next_parent: cut };
    let mut successor = Chain::resume(Origin::new(3), head);
    for n in 20..30 {
        emit(&mut successor, &mut seen, n, &mut recorded);
    }
    recorded
}

#[test]
fn every_link_of_a_run_with_a_hand_over_is_right() {
    assert_eq!(check_run(&run().concat()), Ok(Run { events: 30, origins: 3, hand_overs: 1 }));
}

#[test]
fn the_checker_notices_an_event_that_is_left_out_or_comes_twice_or_early() {
    for n in 0..29 {
        let mut missing = run();
        missing.remove(n);
        let is_last_of_the_second = n == 18;
        assert_eq!(check_run(&missing.concat()).is_ok(), is_last_of_the_second, "{n}");
        let mut doubled = run();
        doubled.insert(n, doubled[n].clone());
        assert!(check_run(&doubled.concat()).is_err());
    }
    let mut swapped = run();
    swapped.swap(1, 2);
    assert!(check_run(&swapped.concat()).is_err());
}

#[test]
fn the_checker_notices_every_bit_that_is_changed_before_the_last_event_of_a_chain() {
    let recorded = run();
    for n in (0..29).filter(|n| *n != 18) {
        for bit in 0..8 * recorded[n].len() {
            let mut changed = recorded.clone();
            changed[n][bit / 8] ^= 1 << (bit % 8);
            assert!(check_run(&changed.concat()).is_err(), "event {n}, bit {bit}");
        }
    }
    let whole = recorded.concat();
    for end in 1..39 {
        assert!(check_run(&whole[..end]).is_err());
    }
}
