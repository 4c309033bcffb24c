//! Causal events: a thermometer and a fan that reacts to it, each with a chain of its own, and a logger that
//! reads both in pieces. Twice a byte changes on the way; the logger notices, goes back and reads again.
//!
//! An event that fits proves the one before it, and nothing yet proves its own payload. So the logger acts
//! one event late, keeps the head before the newest event as the way back, and each emitter ends by an event
//! without payload.

#![cfg_attr(target_os = "none", no_std, no_main)]

use board::println;
use trilane::causal::{
    Bloom, Chain, Event, Frame, FrameReader, FrameWriter, Head, Horizon, LinkError, Origin, RecordRing,
    Sequence,
};

const THERMOMETER: Origin = Origin::new(0xA1);
const FAN: Origin = Origin::new(0xB1);

/// Which frames change on the way, by their numbers, and at which byte.
const CHANGES: [(u32, usize); 2] = [(3, Frame::OVERHEAD), (9, Frame::OVERHEAD)];

board::entry!(main);

fn main() -> ! {
    let (mut thermometer, mut fan) = (Emitter::new(THERMOMETER), Emitter::new(FAN));
    let mut wire = Wire { frames: 0, logger: Logger::new() };

    fan.emit(&[0]);
    wire.send_newest(&fan);
    for degrees in [21, 24, 26, 22] {
        thermometer.emit(&[degrees]);
        wire.send_newest(&thermometer);
        if degrees > 23 {
            // The fan has read the event: each later one of its own says so.
            fan.seen.observe(THERMOMETER, thermometer.chain.head().sequence).expect("room for two");
            fan.emit(&[degrees - 20]);
            wire.send_newest(&fan);
        }
    }
    for emitter in [&mut thermometer, &mut fan] {
        emitter.emit(&[]);
        wire.send_newest(emitter);
    }
    println!("{} frames for {} events", wire.frames, thermometer.sent.len() + fan.sent.len());
    board::exit(0)
}

/// Who emits. It keeps what it has sent, to send it again.
struct Emitter {
    chain: Chain,
    seen: Horizon<2>,
    sent: RecordRing<(), 512, 8>,
}

impl Emitter {
    fn new(origin: Origin) -> Self {
        let mut sent = RecordRing::new(());
        sent.clear(1); // A record's index is its event's sequence.
        Self { chain: Chain::new(origin), seen: Horizon::new(), sent }
    }

    fn emit(&mut self, payload: &[u8]) {
        let mut room = self.sent.reserve(1, Frame::OVERHEAD + payload.len()).expect("room for eight");
        let mut writer = FrameWriter::new(room.bytes()).expect("it was reserved");
        writer.payload().copy_from_slice(payload);
        let frame = writer.seal(payload.len(), &mut self.chain, self.seen.bloom());
        let length = frame.expect("it was reserved").len();
        room.commit((), length).expect("it was reserved");
    }
}

/// The way to the logger: pieces of ten bytes, some of which change.
struct Wire {
    frames: u32,
    logger: Logger,
}

impl Wire {
    /// Sends the emitter's newest event; and more, if the logger asks for those before.
    fn send_newest(&mut self, emitter: &Emitter) {
        let mut next = emitter.chain.head().sequence.get();
        while let Some(record) = emitter.sent.get(next) {
            let again = self.carry(record.bytes);
            next = again.map_or(next + 1, Sequence::get);
        }
    }

    fn carry(&mut self, frame: &[u8]) -> Option<Sequence> {
        self.frames += 1;
        let mut bytes = [0; 64];
        let bytes = &mut bytes[..frame.len()];
        bytes.copy_from_slice(frame);
        if let Some((_, at)) = CHANGES.iter().find(|(number, _)| *number == self.frames) {
            bytes[*at] ^= 0x40;
        }
        bytes.chunks(10).fold(None, |again, piece| self.logger.read(piece).or(again))
    }
}

/// Who reads.
struct Logger {
    reader: FrameReader<64>,
    tracks: [Track; 2],
}

impl Logger {
    fn new() -> Self {
        Self { reader: FrameReader::new(), tracks: [THERMOMETER, FAN].map(Track::new) }
    }

    /// Reads a piece of the stream. Gives the event from which on it is to be sent again, if it is.
    fn read(&mut self, mut piece: &[u8]) -> Option<Sequence> {
        let mut again = None;
        while let Some(frame) = self.reader.read(&mut piece).expect("no length has changed") {
            let origin = frame.event().link().origin;
            if let Some(track) = self.tracks.iter_mut().find(|track| track.seen.origin() == origin) {
                again = track.read(frame.event()).or(again);
            }
        }
        again
    }
}

/// The events of one origin, as far as they have come.
struct Track {
    seen: Chain,
    /// The head before the newest event: the way back.
    before: Head,
    /// The newest event's payload and horizon, which only the next event proves.
    newest: Option<(u8, Bloom)>,
}

impl Track {
    fn new(origin: Origin) -> Self {
        let seen = Chain::new(origin);
        Self { seen, before: seen.head(), newest: None }
    }

    fn read(&mut self, event: Event<'_>) -> Option<Sequence> {
        let (link, head) = (event.link(), self.seen.head());
        match self.seen.verify(event) {
            Ok(()) => {
                if let Some((value, horizon)) = self.newest.take() {
                    log(link.origin, head.sequence, value, horizon);
                }
                self.newest = event.payload().first().map(|value| (*value, link.horizon));
                self.before = head;
                None
            }
            Err(error @ LinkError::Parent { .. }) => {
                println!("{} {}: {error}", name(link.origin), link.sequence.get());
                self.newest = None;
                self.seen = Chain::resume(link.origin, self.before);
                self.before.sequence.next()
            }
            // Some are missing before it.
            Err(LinkError::Sequence { expected, got }) if got > expected => Some(expected),
            Err(_) => None,
        }
    }
}

/// What is done with an event, once it is proven.
fn log(origin: Origin, sequence: Sequence, value: u8, horizon: Bloom) {
    let other = if origin == FAN { THERMOMETER } else { FAN };
    // A Bloom filter's "no" is for sure.
    let seen = if horizon.may_contain(other) { "knew of" } else { "didn't know of" };
    println!("{} {}: {value}, {seen} the {}", name(origin), sequence.get(), name(other));
}

fn name(origin: Origin) -> &'static str {
    if origin == FAN { "fan" } else { "thermometer" }
}
