//! Nothing about groups allocates: events, outputs, records, fail-overs and transfers.

use trilane::causal::{Bloom, Chain, Link, Origin};
use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError, StateError};
use trilane::group::{
    Acks, Applied, Arbiter, GroupId, Ingress, Member, Outlet, Standby, Taken, ToIngress, ToMember, ToOutlet,
    Transfer,
};
use trilane::time::Instant;
use trilane_tests::counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GROUP: GroupId = GroupId::new(7);
const ACKS: Acks = Acks::Members(2);

/// Counts its events, and gives out each number.
struct Count(u64);

impl Daemon for Count {
    const MAX_OUTPUTS: usize = 1;
    const MAX_OUTPUT_BYTES: usize = 8;

    fn process(&mut self, _: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
        self.0 += 1;
        Ok(outbox.send(&self.0.to_le_bytes())?)
    }

    fn snapshot(&self, buffer: &mut [u8]) -> Result<usize, StateError> {
        *buffer.first_chunk_mut().ok_or(StateError::NoRoom { needed: 8 })? = self.0.to_le_bytes();
        Ok(8)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        self.0 = u64::from_le_bytes(state.try_into().map_err(|_| StateError::Invalid)?);
        Ok(())
    }
}

type CountMember = Member<Count, 1024, 8, 2, 4>;
type CountOutlet = Outlet<3, 4, 128>;

struct Group {
    ingress: Ingress<3, 1024, 8, 2>,
    members: [CountMember; 3],
    outlet: CountOutlet,
    arbiter: Arbiter<3, 4>,
    copies: [[u8; CountOutlet::RECORD]; 2],
    let_out: u64,
}

impl Group {
    fn new() -> Self {
        let mut group = Self {
            ingress: Ingress::new(),
            members: [0, 1, 2].map(|_| Member::new(Count(0))),
            outlet: Outlet::new(),
            arbiter: Arbiter::new(ACKS, 1),
            copies: [[0; CountOutlet::RECORD]; 2],
            let_out: 0,
        };
        group.ingress.found(ACKS);
        group.outlet.found(GROUP);
        for number in 0..3 {
            group.members[number].start(GROUP, Standby::Hot, 1);
            group.join(number);
        }
        group
    }

    fn join(&mut self, number: usize) {
        let Some(nonce) = self.members[number].wants_to_join() else { return };
        self.members[number].join(&self.outlet.join(number, nonce).unwrap());
    }

    /// The ingress is gone if `replaces`.
    fn fail_over(&mut self, replaces: bool) {
        let Self { ingress, members, outlet, arbiter, .. } = self;
        let mut is_gone = replaces;
        arbiter.raise(outlet.term());
        while !arbiter.is_idle() {
            match arbiter.to_outlet() {
                Some(ToOutlet::Raise { from, nonce }) => arbiter.raised(&outlet.raise(from, nonce).unwrap()),
                Some(ToOutlet::ReplaceIngress { term }) => {
                    outlet.replace_ingress(term).unwrap();
                    arbiter.ingress_replaced(term);
                }
                None => {}
            }
            let state = match arbiter.to_ingress().filter(|_| !is_gone) {
                Some(ToIngress::Fence { term }) => ingress.fence(term).unwrap(),
                Some(ToIngress::Confirm { term, generation, successor }) => {
                    ingress.confirm(term, generation, successor).unwrap()
                }
                None => None,
            };
            state.iter().for_each(|state| arbiter.ingress_answered(state));
            for (number, member) in members.iter_mut().enumerate() {
                match arbiter.to_member(number) {
                    Some(ToMember::Fence { term }) => {
                        let answer = member.fence(term).unwrap();
                        answer.iter().for_each(|answer| arbiter.fenced(number, answer));
                    }
                    Some(ToMember::Begin { term, incarnation }) => {
                        ingress.begin(ACKS, term, incarnation, member).unwrap();
                        is_gone = false;
                        arbiter.ingress_answered(&ingress.state().unwrap());
                    }
                    Some(ToMember::Grant(grant)) => {
                        let answer = member.grant(&grant).unwrap();
                        answer.iter().for_each(|answer| arbiter.granted(number, answer));
                    }
                    None => {}
                }
            }
            let _ = arbiter.tick(3);
        }
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            for number in 0..3 {
                for _ in 0..16 {
                    let Some(deliver) = self.ingress.deliver(number) else { break };
                    let answer = self.members[number].deliver(&deliver).unwrap();
                    answer.iter().for_each(|ack| self.ingress.ack(number, ack));
                }
                let member = &mut self.members[number];
                while member.apply().unwrap() == Applied::One {}
                let Self { outlet, copies: [even, odd], let_out, .. } = self;
                member.outputs(|output| {
                    if outlet.take(&output) == Ok(Taken::Next) {
                        outlet.write([even, odd]).unwrap();
                        *let_out += u64::from(outlet.pending().is_some() && output.ordinal.is_some());
                        outlet.released();
                    }
                });
                if let Some(through) = member.through() {
                    outlet.take_through(&through).unwrap();
                }
                member.passed().iter().for_each(|passed| outlet.take_passed(number, passed));
            }
            let marked = self.outlet.marked().unwrap();
            self.members.iter_mut().for_each(|member| member.mark_reached(&marked).unwrap());
            self.ingress.mark_reached(marked.mark.done);
        }
    }
}

#[test]
fn a_group_at_work_its_fail_overs_and_its_transfers_do_not_allocate() {
    let allocated = allocations(|| {
        let mut group = Group::new();
        let mut producer = Chain::new(Origin::new(100));
        let mut events = 0;
        for round in 0..12 {
            group.fail_over(round % 3 == 2);
            for _ in 0..round {
                let mut bytes = [1; Link::LEN + 9];
                let event = producer.append(Bloom::EMPTY, &mut bytes).unwrap();
                group.ingress.submit(event, Instant::ZERO, 5).unwrap();
                group.settle();
                group.ingress.submit(event, Instant::ZERO, 5).unwrap();
                events += 1;
            }
            // One that begins anew takes the state of another, in slices.
            let (empty, source) = (round % 3, (round + 1) % 3);
            group.settle();
            group.members[empty].restart(round as u64 + 2);
            group.join(empty);
            let (mut from, mut to) = (Transfer::<512>::new(), Transfer::<512>::new());
            to.accept(from.offer(&group.members[source]).unwrap(), 2).unwrap();
            while let Some(request) = to.request() {
                if let Some(state) = to.take(&from.slice(request, 50).unwrap()).unwrap() {
                    group.members[empty].install(state).unwrap();
                    to.end();
                }
            }
            group.settle();
            group.outlet.open(GROUP, [&group.copies[0], &group.copies[1]]).unwrap_or_default();
            group.outlet.released();
        }
        assert_eq!((group.let_out, events), (66, 66));
        assert!(group.members.iter().all(|member| member.daemon().0 == 66 && member.is_counted()));
        // What is refused doesn't, either.
        let early = Chain::new(Origin::new(101)).append(Bloom::EMPTY, &mut [0; 9]).is_err();
        assert!(early && group.outlet.raise(0, 9).is_err() && group.members[0].install(&[1]).is_err());
    });
    assert_eq!(allocated, 0);
}
