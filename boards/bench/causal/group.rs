//! What an event costs the ingress of a group, its active member and the outlet.

use core::hint::black_box;

use trilane::causal::{Chain, Frame, Origin};
use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError};
use trilane::group::message::Grant;
use trilane::group::{Acks, Applied, GroupId, Ingress, Member, Outlet, Standby};
use trilane::time::Instant;

use super::measure::{MEASURED, Meter, Stats, WARM_UP};
use super::{Buffer, count, next};

/// The bytes of a payload, of events and of outputs.
const PAYLOAD: usize = 64;
const BYTES: usize = 1024;
const RECORDS: usize = 8;
const PRODUCERS: usize = 4;
const CUTS: usize = 2;
const GROUP: GroupId = GroupId::new(7);

/// Adds up; as an output, it gives back the payload.
struct Adder {
    sum: u32,
    answers: bool,
}

impl Daemon for Adder {
    const MAX_OUTPUTS: usize = 1;
    const MAX_OUTPUT_BYTES: usize = PAYLOAD;

    fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
        let payload = delivery.event.payload();
        self.sum += u32::from(*payload.first().ok_or(ProcessError::Refuse)?);
        if self.answers {
            outbox.send(payload)?;
        }
        Ok(())
    }
}

/// Events on their way from the emitter to the consumer, one at a time.
pub fn run(meter: Meter, answers: bool) {
    let mut ingress: Ingress<1, BYTES, RECORDS, PRODUCERS> = Ingress::new();
    let mut outlet: Outlet<1, CUTS, { Frame::OVERHEAD + PAYLOAD }> = Outlet::new();
    let mut member: Member<Adder, BYTES, RECORDS, PRODUCERS, CUTS> = Member::new(Adder { sum: 0, answers });
    let (ingress, outlet, member) = black_box((&mut ingress, &mut outlet, &mut member));
    ingress.found(Acks::One);
    outlet.found(GROUP);
    member.start(GROUP, Standby::Hot, 1);
    member.join(&outlet.join(0, 1).unwrap());
    let marked = outlet.marked().unwrap();
    let (term, incarnation) = (marked.term, member.incarnation());
    member.grant(&Grant { incarnation, marked }).unwrap().unwrap();
    ingress.confirm(term, 1, 0).unwrap();
    ingress.ack(0, &member.ack().unwrap());

    let mut emitter = Chain::new(Origin::new(7));
    let mut buffer = Buffer([7; super::FRAME]);
    let [mut submit, mut deliver, mut apply, mut take] = [Stats::new(WARM_UP); 4];
    for turn in 0..WARM_UP + MEASURED {
        let frame = black_box(next(&mut emitter, &mut buffer.0, PAYLOAD));
        let event = Frame::split(frame).unwrap().0.event();
        let time = Instant::from_micros(black_box(u64::from(turn)));
        count(meter, &mut submit, || ingress.submit(event, time, 4).unwrap());
        let record = ingress.deliver(0).unwrap();
        count(meter, &mut deliver, || member.deliver(&record).unwrap().unwrap());
        let applied = count(meter, &mut apply, || member.apply().unwrap());
        assert_eq!(applied, Applied::One);
        member.outputs(|output| {
            count(meter, &mut take, || outlet.take(&output).unwrap());
            outlet.released();
        });
        if let Some(through) = member.through() {
            outlet.take_through(&through).unwrap();
        }
        let marked = outlet.marked().unwrap();
        member.mark_reached(&marked).unwrap();
        ingress.mark_reached(marked.mark.done);
        ingress.ack(0, &member.ack().unwrap());
    }
    if answers {
        apply.print("group_apply_output", PAYLOAD);
        take.print("outlet_take", PAYLOAD);
    } else {
        submit.print("group_submit", PAYLOAD);
        deliver.print("group_deliver", PAYLOAD);
        apply.print("group_apply", PAYLOAD);
    }
}
