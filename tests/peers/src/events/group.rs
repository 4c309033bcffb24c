//! Members, ingress and outlet of a group beside a reconstruction of what does the same there.
//!
//! When an event is delivered there, it is copied into memory of its own, the horizon is encoded anew for an
//! output, and an output is hashed by a stream over link and payload, after those of the one before were kept
//! for that.

use std::collections::BTreeMap;
use std::hint::black_box;

use trilane::causal::{Bloom, Chain, Event, Frame, FrameWriter, Origin};
use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError};
use trilane::group::message::{Ack, Grant};
use trilane::group::{Acks, Applied, Arbiter, GroupId, Ingress, Member, Outlet, Standby, Taken};
use trilane::time::Instant;

use super::{LINK, PRODUCERS, Run, bits, link, streamed};
use crate::measure::Clock;

/// The events that are taken by one reading of the clock.
const BATCH: u64 = 64;
/// The bytes and the records of each ring.
const BYTES: usize = 16 << 10;
const RECORDS: usize = 128;
/// The bytes of a payload, of events and of outputs.
pub const PAYLOAD: usize = 64;
const MEMBERS: usize = 3;
const CUTS: usize = 4;
const GROUP: GroupId = GroupId::new(7);

type Node = Member<Adder, BYTES, RECORDS, { PRODUCERS as usize }, CUTS>;
type Door = Outlet<MEMBERS, CUTS, 256>;

/// Adds up; as an output, it gives back the payload.
struct Adder {
    sum: u64,
    answers: bool,
}

impl Daemon for Adder {
    const MAX_OUTPUTS: usize = 1;
    const MAX_OUTPUT_BYTES: usize = PAYLOAD;

    fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
        let payload = delivery.event.payload();
        self.sum += u64::from(*payload.first().ok_or(ProcessError::Refuse)?);
        if self.answers {
            outbox.send(payload)?;
        }
        Ok(())
    }
}

/// Members, of which one is active, and the others around them; what one sends comes to all at once.
struct Group {
    ingress: Box<Ingress<MEMBERS, BYTES, RECORDS, { PRODUCERS as usize }>>,
    members: Vec<Box<Node>>,
    outlet: Box<Door>,
    arbiter: Box<Arbiter<MEMBERS, CUTS>>,
    active: usize,
    emitters: Vec<Chain>,
    /// The frames of the next events.
    frames: Vec<Vec<u8>>,
}

/// What is measured of a batch, and what is only done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Submit,
    Deliver,
    Apply,
    Take,
}

impl Group {
    fn new(answers: bool) -> Self {
        let member = |_| Box::new(Member::new(Adder { sum: 0, answers }));
        let mut group = Self {
            ingress: Box::new(Ingress::new()),
            members: (0..MEMBERS).map(member).collect(),
            outlet: Box::new(Outlet::new()),
            arbiter: Box::new(Arbiter::new(Acks::One, 1)),
            active: 0,
            emitters: (0..PRODUCERS).map(|origin| Chain::new(Origin::new(origin))).collect(),
            frames: vec![vec![7; Frame::OVERHEAD + PAYLOAD]; BATCH as usize],
        };
        group.outlet.found(GROUP);
        group.ingress.found(Acks::One);
        for (number, member) in group.members.iter_mut().enumerate() {
            member.start(GROUP, Standby::Hot, 1);
            member.join(&group.outlet.join(number, 1).expect("it is open"));
        }
        group.fail_over();
        group.outlet.released();
        group.mark();
        group
    }

    /// The next `count` events, which nobody has seen.
    fn emit(&mut self, count: usize) {
        for (frame, turn) in self.frames.iter_mut().take(count).zip((0..self.emitters.len()).cycle()) {
            let writer = FrameWriter::new(frame).expect("there is room");
            writer.seal(PAYLOAD, &mut self.emitters[turn], Bloom::EMPTY).expect("there is room");
        }
    }

    fn submit(&mut self, count: usize) {
        for frame in &self.frames[..count] {
            let event = Event::new(&black_box(frame)[4..]).expect("it is one");
            self.ingress.submit(event, Instant::from_micros(3), 4).expect("it is the next");
        }
    }

    /// The records that `member` lacks.
    fn deliver(&mut self, member: usize) -> Ack {
        loop {
            let next = self.members[member].held() + 1;
            let deliver = self.ingress.deliver_at(member, next).expect("it has begun");
            let ack = self.members[member].deliver(black_box(&deliver)).expect("its term is no lower");
            if deliver.record.is_none() {
                return ack.expect("it has joined");
            }
        }
    }

    fn apply(&mut self, member: usize) {
        while self.members[member].apply().expect("it can go on") != Applied::Nothing {}
    }

    /// All outputs of the active leave.
    fn take(&mut self) {
        let outlet = &mut self.outlet;
        self.members[self.active].outputs(|output| {
            if outlet.take(black_box(&output)) == Ok(Taken::Next) {
                outlet.released();
            }
        });
    }

    /// All hear of what has left.
    fn mark(&mut self) {
        let Self { ingress, members, outlet, active, .. } = self;
        if let Some(through) = members[*active].through() {
            outlet.take_through(&through).expect("the term goes on");
        }
        for (number, member) in members.iter_mut().enumerate() {
            member.mark_reached(&outlet.marked().expect("it is open")).expect("the term goes on");
            while member.apply().expect("it can go on") != Applied::Nothing {}
            ingress.ack(number, &member.ack().expect("it has joined"));
            outlet.take_passed(number, &member.passed().expect("it has a state"));
        }
        ingress.mark_reached(outlet.marked().expect("it is open").mark.done);
    }

    /// A batch, from the emitters to the consumer.
    fn batch(&mut self, clock: &mut Clock, measured: Part) {
        self.emit(BATCH as usize);
        let mut step = |part, group: &mut Self, step: &dyn Fn(&mut Self)| {
            if part == measured { clock.time(|| step(group)) } else { step(group) }
        };
        step(Part::Submit, self, &|group| group.submit(BATCH as usize));
        let active = self.active;
        for member in (0..MEMBERS).filter(|member| *member != active) {
            self.deliver(member);
        }
        step(Part::Deliver, self, &|group| {
            black_box(group.deliver(active));
        });
        step(Part::Apply, self, &|group| group.apply(active));
        step(Part::Take, self, &Self::take);
        self.mark();
    }

    /// The active is thought to be gone: fence, measure, pick, grant, and the first output is offered.
    /// Nothing of the old active is asked.
    fn fail_over(&mut self) -> usize {
        let Self { ingress, members, outlet, arbiter, active, .. } = self;
        let old = outlet.term();
        arbiter.raise(old);
        arbiter.raised(&outlet.raise(old, 1).expect("there is room for a cut"));
        let term = old + 1;
        let state = ingress.fence(term).expect("it is the next term").expect("it has begun");
        arbiter.ingress_answered(&state);
        for (number, member) in members.iter_mut().enumerate().filter(|(number, _)| number != active) {
            let fenced = member.fence(term).expect("it is the next term").expect("it has joined");
            arbiter.fenced(number, &fenced);
        }
        *active = arbiter.pick().expect("one is fit");
        let state = ingress.confirm(term, state.generation, *active);
        arbiter.ingress_answered(&state.expect("it is its term").expect("it is meant"));
        let member = &mut members[*active];
        let (incarnation, marked) = (member.incarnation(), outlet.marked().expect("it is open"));
        let granted = member.grant(&Grant { incarnation, marked }).expect("it is its term");
        arbiter.granted(*active, &granted.expect("it is meant"));
        while member.apply().expect("it can go on") != Applied::Nothing {}
        let mut offered = 0;
        member.outputs(|output| {
            offered += outlet.take(&output).map_or(0, |_| 1);
        });
        offered
    }
}

fn own(answers: bool, part: Part) -> Run {
    let mut group = Group::new(answers);
    Box::new(move |operations| {
        let mut clock = Clock::default();
        let batches = operations.div_ceil(BATCH);
        (0..batches).for_each(|_| group.batch(&mut clock, part));
        clock.sample(batches * BATCH)
    })
}

/// Of members that hold `events` events, none of which has been applied.
pub fn own_fail_over(events: usize) -> Run {
    let mut group = Group::new(true);
    Box::new(move |operations| {
        let mut clock = Clock::default();
        for _ in 0..operations {
            group.emit(events);
            group.submit(events);
            for member in 0..MEMBERS {
                group.deliver(member);
            }
            let offered = clock.time(|| black_box(group.fail_over()));
            assert_eq!(offered, 1, "the hand-over is let out before the next");
            group.outlet.released();
            // The hand-over, and what follows it.
            (0..events + 2).for_each(|_| group.take());
            group.mark();
            group.mark();
        }
        clock.sample(operations)
    })
}

pub fn own_apply(output: usize) -> Run {
    own(output > 0, Part::Apply)
}

pub fn own_submit(_: usize) -> Run {
    own(false, Part::Submit)
}

pub fn own_deliver(_: usize) -> Run {
    own(false, Part::Deliver)
}

pub fn own_take(_: usize) -> Run {
    own(true, Part::Take)
}

// === The other ===

/// The state, the horizon, and the chain of outputs with the last one's bytes.
struct Delivered {
    sum: u64,
    horizon: BTreeMap<u64, u64>,
    sequence: u64,
    last: [u8; LINK],
    kept: Vec<u8>,
}

pub fn other_apply(output: usize) -> Run {
    let horizon = (0..PRODUCERS).map(|origin| (origin, 0)).collect();
    let mut state = Delivered { sum: 0, horizon, sequence: 0, last: link(7, 0, 0, 0), kept: Vec::new() };
    let mut frames = vec![vec![7; LINK + PAYLOAD]; BATCH as usize];
    let mut sequence = 0;
    Box::new(move |operations| {
        let mut clock = Clock::default();
        let batches = operations.div_ceil(BATCH);
        for _ in 0..batches {
            for (frame, origin) in frames.iter_mut().zip((0..PRODUCERS).cycle()) {
                sequence += u64::from(origin == 0);
                frame[..LINK].copy_from_slice(&link(origin, 0, sequence, 0));
            }
            clock.time(|| {
                for frame in &frames {
                    black_box(deliver(&mut state, black_box(frame), output > 0));
                }
            });
        }
        clock.sample(batches * BATCH)
    })
}

/// The frame of the output, if there is one.
fn deliver(state: &mut Delivered, event: &[u8], answers: bool) -> Option<Vec<u8>> {
    let (head, payload) = event.split_first_chunk::<LINK>().expect("it is an event");
    let word = |n: usize| u64::from_le_bytes(head.as_chunks().0[n]);
    let event = payload.to_vec();
    let seen = state.horizon.entry(word(0)).or_default();
    *seen = word(2).max(*seen);
    state.sum += u64::from(event[0]);
    if !answers {
        return None;
    }
    let origins: Vec<u64> = state.horizon.keys().copied().collect();
    let horizon = origins.iter().fold(0, |bloom, origin| bloom | bits(*origin));
    let parent = streamed(&state.last, &state.kept);
    state.sequence += 1;
    state.last = link(7, horizon, state.sequence, parent);
    state.kept = event.clone();
    let mut frame = Vec::with_capacity(4 + LINK + event.len());
    frame.extend_from_slice(&((LINK + event.len()) as u32).to_le_bytes());
    frame.extend_from_slice(&state.last);
    frame.extend_from_slice(&event);
    Some(frame)
}
