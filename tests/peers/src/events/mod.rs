//! Causal events beside a reconstruction of the design that they are compatible with on the wire.
//!
//! That design keeps the payload of the last event to hash it with the next, streams every hash over two
//! pieces, encodes a horizon anew for each event, and gives each payload and each frame memory of its own.

mod group;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use trilane::causal::{
    Bloom, Chain, Frame, FrameWriter, Head, Horizon, LinkHash, Origin, OriginMap, Position, RecordRing,
    Sequence,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::measure::{Clock, Sample};
use crate::run::{Figures, Plan, TARGET};

/// How often each side is measured in turn.
const ROUNDS: usize = 75;
/// The events that are made beforehand for one reading of the clock.
const BATCH: u64 = 256;
/// The producers of an ingress.
const PRODUCERS: u64 = 16;
/// The events that an ingress keeps.
const KEPT: usize = 512;
/// The bytes of a link.
const LINK: usize = 32;
/// The other side.
const OTHER: &str = "streamed";

/// What is done again and again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Op {
    /// A horizon becomes the 64 bits of a link.
    Horizon,
    /// A link and its payload are hashed.
    Hash,
    /// A payload becomes a frame, the next of a chain.
    Append,
    /// An event that came is verified, given an index and kept.
    Ingress,
    /// The ingress of a group takes an event.
    Submit,
    /// A member of a group takes a record of the ingress.
    Deliver,
    /// A member applies an event, with an output of so many bytes.
    Apply,
    /// The outlet takes an output.
    Take,
    /// Another member becomes active, with so many events in flight, and offers an output.
    FailOver,
}

impl Op {
    const ALL: [Self; 9] = [
        Self::Horizon,
        Self::Hash,
        Self::Append,
        Self::Ingress,
        Self::Submit,
        Self::Deliver,
        Self::Apply,
        Self::Take,
        Self::FailOver,
    ];

    const fn row(self) -> &'static str {
        match self {
            Self::Horizon => "event-horizon",
            Self::Hash => "event-hash",
            Self::Append => "event-append",
            Self::Ingress => "event-ingress",
            Self::Submit => "group-submit",
            Self::Deliver => "group-deliver",
            Self::Apply => "group-apply",
            Self::Take => "group-outlet",
            Self::FailOver => "group-fail-over",
        }
    }

    /// Origins of a horizon, events in flight at a fail-over, else bytes of a payload.
    const fn sizes(self) -> &'static [usize] {
        match self {
            Self::Horizon => &[1, 8, 32],
            Self::Hash | Self::Append => &[64, 1024],
            Self::Ingress | Self::Submit | Self::Deliver | Self::Take => &[group::PAYLOAD],
            Self::Apply => &[0, group::PAYLOAD],
            Self::FailOver => &[1, 16],
        }
    }

    /// Who is measured; the other is not known to have each operation.
    fn sides(self, n: usize) -> Vec<(&'static str, Run)> {
        let (own, other) = match self {
            Self::Horizon => (own_horizon(n), Some(other_horizon(n))),
            Self::Hash => (own_hash(n), Some(other_hash(n))),
            Self::Append => (own_append(n), Some(other_append(n))),
            Self::Ingress => (own_ingress(n), Some(other_ingress(n))),
            Self::Submit => (group::own_submit(n), Some(other_ingress(n))),
            Self::Deliver => (group::own_deliver(n), None),
            Self::Apply => (group::own_apply(n), Some(group::other_apply(n))),
            Self::Take => (group::own_take(n), None),
            Self::FailOver => (group::own_fail_over(n), None),
        };
        [(crate::OWN, own)].into_iter().chain(other.map(|other| (OTHER, other))).collect()
    }
}

/// Does so many operations.
type Run = Box<dyn FnMut(u64) -> Sample>;

/// A side whose operations are measured as one.
fn each<T>(mut operation: impl FnMut() -> T + 'static) -> Run {
    Box::new(move |operations| {
        let mut clock = Clock::default();
        clock.time(|| {
            for _ in 0..operations {
                black_box(operation());
            }
        });
        clock.sample(operations)
    })
}

/// A side that takes in frames, which are made beforehand.
fn taken_in(payload: usize, mut take_in: impl FnMut(&[u8]) + 'static) -> Run {
    let mut emitters: Vec<Chain> = (0..PRODUCERS).map(|origin| Chain::new(Origin::new(origin))).collect();
    let mut frames = vec![vec![7; Frame::OVERHEAD + payload]; BATCH as usize];
    Box::new(move |operations| {
        let mut clock = Clock::default();
        let batches = operations.div_ceil(BATCH);
        for _ in 0..batches {
            for (frame, turn) in frames.iter_mut().zip((0..emitters.len()).cycle()) {
                let writer = FrameWriter::new(frame).expect("there is room");
                writer.seal(payload, &mut emitters[turn], Bloom::EMPTY).expect("there is room");
            }
            clock.time(|| frames.iter().for_each(|frame| take_in(black_box(frame))));
        }
        clock.sample(batches * BATCH)
    })
}

// === trilane ===

fn own_horizon(origins: usize) -> Run {
    let mut horizon: Horizon<32> = Horizon::new();
    for origin in 0..origins as u64 {
        horizon.observe(Origin::new(origin), Sequence::new(1)).expect("there is room");
    }
    each(move || black_box(&horizon).bloom())
}

fn own_hash(payload: usize) -> Run {
    let event = vec![7; LINK + payload];
    each(move || LinkHash::of(black_box(&event)))
}

fn own_append(payload: usize) -> Run {
    let mut chain = Chain::new(Origin::new(7));
    let (content, mut buffer) = (vec![7; payload], vec![0; Frame::OVERHEAD + payload]);
    each(move || {
        let mut writer = FrameWriter::new(&mut buffer).expect("there is room");
        writer.payload().copy_from_slice(black_box(&content));
        let frame = writer.seal(payload, &mut chain, Bloom::EMPTY).expect("there is room");
        black_box(frame).len()
    })
}

/// What an ingress keeps beside an event: where it is, when it came, and its seed.
type Header = (Position, u64, u64);

fn own_ingress(payload: usize) -> Run {
    let mut filter: OriginMap<Head, { PRODUCERS as usize }> = OriginMap::new();
    for origin in (0..PRODUCERS).map(Origin::new) {
        filter.insert(origin, Head::genesis(origin)).expect("there is room");
    }
    let mut log: Box<RecordRing<Header, { 128 * KEPT }, KEPT>> =
        Box::new(RecordRing::new((Position::default(), 0, 0)));
    taken_in(payload, move |frame| {
        let (frame, _) = Frame::split(frame).expect("it is whole");
        let event = frame.event();
        let origin = event.link().origin;
        let head = filter.get_mut(origin).expect("it is known");
        let next = head.verify(origin, event).expect("it is the next");
        let indices = log.indices();
        if log.len() == KEPT {
            log.evict_through(indices.start);
        }
        let header = (Position { term: 1, index: indices.end }, 3, 4);
        log.push(header, event.bytes()).expect("there is room");
        *head = next;
    })
}

// === The other ===

fn streamed(link: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(link);
    hasher.update(payload);
    hasher.digest()
}

fn bits(origin: u64) -> u64 {
    let hash = xxh3_64(&origin.to_le_bytes());
    let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
    (0..3).fold(0, |bits, n| bits | 1 << (first.wrapping_add(step.wrapping_mul(n)) % 64))
}

fn link(origin: u64, horizon: u64, sequence: u64, parent: u64) -> [u8; LINK] {
    let mut link = [0; LINK];
    for (place, word) in link.as_chunks_mut().0.iter_mut().zip([origin, horizon, sequence, parent]) {
        *place = u64::to_le_bytes(word);
    }
    link
}

fn other_horizon(origins: usize) -> Run {
    let horizon: BTreeMap<u64, u64> = (0..origins as u64).map(|origin| (origin, 1)).collect();
    each(move || {
        let origins: Vec<u64> = black_box(&horizon).keys().copied().collect();
        origins.iter().fold(0, |bloom, origin| bloom | bits(*origin))
    })
}

fn other_hash(payload: usize) -> Run {
    let (link, payload) = ([7; LINK], vec![7; payload]);
    each(move || streamed(black_box(&link), black_box(&payload)))
}

fn other_append(payload: usize) -> Run {
    let content = vec![7; payload];
    let (mut sequence, mut last, mut kept) = (0, link(7, 0, 0, 0), Vec::new());
    each(move || {
        let parent = streamed(&last, &kept);
        sequence += 1;
        last = link(7, 0, sequence, parent);
        kept = black_box(&content).clone();
        let mut frame = Vec::with_capacity(4 + LINK + payload);
        frame.extend_from_slice(&((LINK + payload) as u32).to_le_bytes());
        frame.extend_from_slice(&last);
        frame.extend_from_slice(&content);
        frame.len()
    })
}

fn other_ingress(payload: usize) -> Run {
    let genesis = |origin| (origin, (0, streamed(&link(origin, 0, 0, 0), &[])));
    let mut filter: HashMap<u64, (u64, u64)> = (0..PRODUCERS).map(genesis).collect();
    let mut log: VecDeque<(Header, [u8; LINK], Vec<u8>)> = VecDeque::with_capacity(KEPT);
    let mut index = 0;
    taken_in(payload, move |frame| {
        let (link, payload) = frame[4..].split_first_chunk().expect("it is whole");
        let word = |n: usize| u64::from_le_bytes(link.as_chunks().0[n]);
        let (sequence, parent) = filter.get_mut(&word(0)).expect("it is known");
        assert!(word(2) == *sequence + 1 && word(3) == *parent, "it is the next");
        (*sequence, *parent) = (word(2), streamed(link, payload));
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(((Position { term: 1, index }, 3, 4), *link, payload.to_vec()));
        index += 1;
    })
}

// === Rows ===

/// All rows: names, and the numbers beside them.
pub fn rows() -> impl Iterator<Item = (String, usize)> {
    Op::ALL.into_iter().flat_map(|op| op.sizes().iter().map(move |n| (op.row().to_owned(), *n)))
}

/// Whether any of the rows is wanted.
pub fn is_wanted(plan: &Plan) -> bool {
    rows().any(|(row, _)| plan.wants(&row))
}

/// Measures the rows that are wanted. `print` is given the row's name, its number, who it is about, and what
/// that took.
pub fn run(plan: &Plan, mut print: impl FnMut(&str, usize, &str, &Figures)) {
    for op in Op::ALL.into_iter().filter(|op| plan.wants(op.row())) {
        for &n in op.sizes() {
            let mut sides = op.sides(n);
            let operations: Vec<u64> = sides.iter_mut().map(|(_, run)| enough(plan, run)).collect();
            let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); sides.len()];
            for _ in 0..if plan.is_quick() { 1 } else { ROUNDS } {
                for (((_, run), operations), samples) in sides.iter_mut().zip(&operations).zip(&mut samples) {
                    samples.push(run(*operations));
                }
            }
            for ((who, _), samples) in sides.iter().zip(samples) {
                print(op.row(), n, who, &Figures::of(samples));
            }
        }
    }
}

/// How many operations take about as long as a measurement should.
fn enough(plan: &Plan, run: &mut Run) -> u64 {
    let mut operations = plan.iterations().unwrap_or(BATCH);
    // A first run allocates what stays.
    run(operations.max(2 * KEPT as u64));
    while plan.iterations().is_none() && !plan.is_quick() {
        let start = Instant::now();
        run(operations);
        let took = start.elapsed().max(Duration::from_nanos(1));
        if took >= TARGET / 8 {
            return (operations as f64 * TARGET.as_secs_f64() / took.as_secs_f64()) as u64;
        }
        operations *= 4;
    }
    operations
}
