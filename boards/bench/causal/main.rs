//! The bench image of causal events: what an event costs its emitter and its ingress, in instructions, and
//! what it costs a group.
//!
//! An image of its own, as the router's is. The number of a row is the bytes of the payload, or of what is
//! hashed; of a horizon's or filter's row, the origins that it has.

#![no_std]
#![no_main]

use core::hint::black_box;

use board::println;
use trilane::causal::{
    Bloom, Chain, Event, Frame, FrameReader, FrameWriter, Head, Horizon, LinkHash, Origin, OriginMap,
    Position, RecordRing, Sequence,
};

mod group;
#[path = "../measure.rs"]
mod measure;

use measure::{MEASURED, Meter, Stats, WARM_UP, read};

/// The largest payload.
const PAYLOAD: usize = 256;
/// The bytes of a frame that has it.
const FRAME: usize = Frame::OVERHEAD + PAYLOAD;
/// The producers of the filter, and the origins of the horizon.
const ORIGINS: usize = 16;
/// The records that the ring has room for.
const RECORDS: usize = 8;

/// What an ingress keeps beside an event.
type Header = (Position, u64, u64);
type Log = RecordRing<Header, { RECORDS * FRAME }, RECORDS>;

/// A frame's bytes, as a driver has them.
#[repr(align(4))]
struct Buffer([u8; FRAME]);

board::entry!(main);

fn main() -> ! {
    println!("{{\"image\":\"trilane\"}}");
    let meter = Meter::start();
    for bytes in [32, 64, 96, FRAME - 4] {
        hash(meter, bytes);
    }
    for payload in [0, 64, PAYLOAD] {
        append(meter, payload);
        verify(meter, payload);
        accept(meter, payload);
    }
    validate(meter);
    horizon(meter);
    group::run(meter, false);
    group::run(meter, true);
    board::exit(0)
}

/// What `operation` costs.
#[inline(always)]
fn count<T>(meter: Meter, stats: &mut Stats, operation: impl FnOnce() -> T) -> T {
    let from = read();
    let value = black_box(operation());
    let to = read();
    stats.add(meter.between(from, to));
    value
}

/// One shot over so many bytes.
fn hash(meter: Meter, bytes: usize) {
    let buffer = Buffer([7; FRAME]);
    let mut stats = Stats::new(WARM_UP);
    for _ in 0..WARM_UP + MEASURED {
        let bytes = black_box(&buffer.0[..bytes]);
        count(meter, &mut stats, || LinkHash::of(bytes));
    }
    stats.print("causal_hash", bytes);
}

/// An emitter puts link and length before a payload.
fn append(meter: Meter, payload: usize) {
    let mut buffer = Buffer([7; FRAME]);
    let mut chain = Chain::new(Origin::new(7));
    let chain = black_box(&mut chain);
    let mut stats = Stats::new(WARM_UP);
    for _ in 0..WARM_UP + MEASURED {
        let buffer = black_box(&mut buffer.0[..]);
        count(meter, &mut stats, || {
            FrameWriter::new(buffer).unwrap().seal(payload, chain, Bloom::EMPTY).unwrap().len()
        });
    }
    stats.print("causal_append", payload);
}

/// The next frame of a chain with one origin.
fn next<'a>(chain: &mut Chain, buffer: &'a mut [u8], payload: usize) -> &'a [u8] {
    FrameWriter::new(buffer).unwrap().seal(payload, chain, Bloom::EMPTY).unwrap()
}

/// The frame that has come is read and verified.
fn verify(meter: Meter, payload: usize) {
    let mut buffer = Buffer([7; FRAME]);
    let mut emitter = Chain::new(Origin::new(7));
    let mut verifier = emitter;
    let verifier = black_box(&mut verifier);
    let mut reader: FrameReader<FRAME> = FrameReader::new();
    let reader = black_box(&mut reader);
    let mut stats = Stats::new(WARM_UP);
    for _ in 0..WARM_UP + MEASURED {
        let mut frame = black_box(next(&mut emitter, &mut buffer.0, payload));
        count(meter, &mut stats, || {
            let frame = reader.read(&mut frame).unwrap().unwrap();
            verifier.verify(frame.event()).unwrap();
        });
    }
    stats.print("causal_verify", payload);
}

/// What an ingress does with an event: verified by the filter of its producers, given an index, kept in the
/// ring, and the filter advanced.
fn accept(meter: Meter, payload: usize) {
    let mut filter: OriginMap<Head, ORIGINS> = OriginMap::new();
    for origin in (0..ORIGINS as u64).map(Origin::new) {
        filter.insert(origin, Head::genesis(origin)).unwrap();
    }
    let mut log = Log::new((Position::default(), 0, 0));
    let (filter, log) = black_box((&mut filter, &mut log));
    let mut emitters: [Chain; ORIGINS] =
        core::array::from_fn(|origin| Chain::new(Origin::new(origin as u64)));
    let mut buffer = Buffer([7; FRAME]);
    let mut stats = Stats::new(WARM_UP);
    for turn in 0..(WARM_UP + MEASURED) as usize {
        let frame = black_box(next(&mut emitters[turn % ORIGINS], &mut buffer.0, payload));
        let time = black_box(turn as u64);
        let index = count(meter, &mut stats, || {
            let (frame, _) = Frame::split(frame).unwrap();
            accept_event(filter, log, frame.event(), time)
        });
        log.evict_through(index.unwrap());
    }
    stats.print("causal_accept", payload);
}

#[inline(never)]
fn accept_event(
    filter: &mut OriginMap<Head, ORIGINS>,
    log: &mut Log,
    event: Event<'_>,
    time: u64,
) -> Option<u64> {
    let origin = event.link().origin;
    let head = filter.get_mut(origin)?;
    let next = head.verify(origin, event).ok()?;
    let position = Position { term: 1, index: log.indices().end };
    let index = log.push((position, time, time), event.bytes()).ok()?;
    *head = next;
    Some(index)
}

/// The comparisons alone.
fn validate(meter: Meter) {
    let mut buffer = Buffer([7; FRAME]);
    let chain = Chain::new(Origin::new(7));
    let frame = next(&mut { chain }, &mut buffer.0, 64);
    let link = Frame::split(frame).unwrap().0.event().link();
    let mut stats = Stats::new(WARM_UP);
    for _ in 0..WARM_UP + MEASURED {
        let (chain, link) = black_box((&chain, &link));
        count(meter, &mut stats, || chain.validate(link).is_ok());
    }
    stats.print("causal_validate", 64);
}

/// A horizon that knows all its origins.
fn horizon(meter: Meter) {
    let mut horizon: Horizon<ORIGINS> = Horizon::new();
    for origin in 0..ORIGINS as u64 {
        horizon.observe(Origin::new(origin), Sequence::GENESIS).unwrap();
    }
    let horizon = black_box(&mut horizon);
    let [mut observe, mut encode, mut contains] = [Stats::new(WARM_UP); 3];
    for turn in 1..=u64::from(WARM_UP + MEASURED) {
        let origin = Origin::new(black_box(turn % ORIGINS as u64));
        let sequence = Sequence::new(black_box(turn));
        count(meter, &mut observe, || horizon.observe(origin, sequence).is_ok());
        count(meter, &mut encode, || horizon.bloom());
        count(meter, &mut contains, || horizon.contains(origin, sequence));
    }
    observe.print("causal_observe", ORIGINS);
    encode.print("causal_horizon", ORIGINS);
    contains.print("causal_contains", ORIGINS);
}
