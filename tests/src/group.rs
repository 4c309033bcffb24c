//! A group whose messages are carried by hand: none goes unless a test says so, and none is lost.

use trilane::causal::{Bloom, Chain, Event, Frame, Link, Origin, Sequence};
use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError, StateError};
use trilane::group::message::{Joined, Output};
use trilane::group::{
    Acks, Applied, Arbiter, GroupId, HandOver, Ingress, Member, NotPicked, Outlet, OutletError, Standby,
    SubmitError, Submitted, Taken, ToIngress, ToMember, ToOutlet,
};

use crate::us;

/// The group.
pub const GROUP: GroupId = GroupId::new(7);
/// Bytes of a log.
pub const BYTES: usize = 1024;
/// Records of a log.
pub const RECORDS: usize = 8;
/// Producers.
pub const PRODUCERS: usize = 2;
/// Cuts.
pub const CUTS: usize = 3;
/// The longest output.
pub const FRAME: usize = 100;

/// A member with a [`Tally`].
pub type TallyMember = Member<Tally, BYTES, RECORDS, PRODUCERS, CUTS>;
/// An ingress for it.
pub type TallyIngress<const N: usize> = Ingress<N, BYTES, RECORDS, PRODUCERS>;
/// An outlet for it.
pub type TallyOutlet<const N: usize> = Outlet<N, CUTS, FRAME>;

/// Remembers all payloads, and gives each out with its number; what begins with these words is treated
/// otherwise:
///
/// | payload | what it does |
/// | --- | --- |
/// | nothing | refuses it |
/// | `quiet` | gives out nothing |
/// | `twice` | gives it out two times |
/// | `flood` | has more outputs than it says |
/// | `fault` | can't go on |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What it was given.
    pub seen: Vec<Vec<u8>>,
    /// What is not a function of the events: a daemon with another one isn't the same.
    pub salt: u8,
    /// It writes no snapshots.
    pub is_stateless: bool,
}

impl Daemon for Tally {
    const MAX_OUTPUTS: usize = 2;
    const MAX_OUTPUT_BYTES: usize = 128;

    fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
        let payload = delivery.event.payload();
        let outputs = match payload.get(..5) {
            _ if payload.is_empty() => return Err(ProcessError::Refuse),
            Some(b"fault") => return Err(ProcessError::Fault),
            Some(b"quiet") => 0,
            Some(b"twice") => 2,
            Some(b"flood") => 3,
            _ => 1,
        };
        self.seen.push(payload.to_vec());
        for _ in 0..outputs {
            outbox.send(&[&[self.salt, self.seen.len() as u8], payload].concat())?;
        }
        Ok(())
    }

    fn snapshot(&self, buffer: &mut [u8]) -> Result<usize, StateError> {
        if self.is_stateless {
            return Err(StateError::Stateless);
        }
        let state: Vec<u8> =
            self.seen.iter().flat_map(|seen| [&[seen.len() as u8], seen.as_slice()].concat()).collect();
        let needed = state.len();
        buffer.get_mut(..needed).ok_or(StateError::NoRoom { needed })?.copy_from_slice(&state);
        Ok(needed)
    }

    fn restore(&mut self, mut state: &[u8]) -> Result<(), StateError> {
        self.seen.clear();
        while let Some((length, rest)) = state.split_first() {
            let (seen, rest) = rest.split_at_checked((*length).into()).ok_or(StateError::Invalid)?;
            self.seen.push(seen.to_vec());
            state = rest;
        }
        Ok(())
    }
}

/// The next event of `chain`: link and payload.
pub fn event(chain: &mut Chain, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&[0; Link::LEN], payload].concat();
    chain.append(Bloom::EMPTY, &mut bytes).expect("there is a sequence");
    bytes
}

/// `bytes` as an event.
pub fn read(bytes: &[u8]) -> Event<'_> {
    Event::new(bytes).expect("it is an event")
}

/// The payload of a frame.
pub fn payload(frame: &[u8]) -> &[u8] {
    Frame::split(frame).expect("it is a frame").0.event().payload()
}

/// An output that was kept for later.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Kept {
    pub term: u64,
    pub frame: Vec<u8>,
    pub ordinal: Option<trilane::causal::Ordinal>,
    pub is_last: bool,
}

impl Kept {
    /// As it is sent.
    pub fn output(&self) -> Output<'_> {
        Output { term: self.term, frame: &self.frame, ordinal: self.ordinal, is_last: self.is_last }
    }
}

/// All that a member would send to the outlet.
pub fn outputs(member: &TallyMember) -> Vec<Kept> {
    let mut kept = vec![];
    member.outputs(|Output { term, frame, ordinal, is_last }| {
        kept.push(Kept { term, frame: frame.to_vec(), ordinal, is_last });
    });
    kept
}

/// A group of `N` members with all around it, and who is behind its outlet.
#[allow(missing_docs)]
pub struct Group<const N: usize> {
    pub acks: Acks,
    pub members: Vec<TallyMember>,
    /// Those that answer.
    pub lives: [bool; N],
    pub ingress: TallyIngress<N>,
    pub ingress_lives: bool,
    pub outlet: TallyOutlet<N>,
    pub copies: [Vec<u8>; 2],
    pub arbiter: Arbiter<N, CUTS>,
    nonce: u64,
    pub producer: Chain,
    /// The payloads of outputs that the consumer has, without hand-overs.
    pub let_out: Vec<Vec<u8>>,
    /// All frames that it has, one behind the other.
    pub frames: Vec<u8>,
    last: (Origin, Sequence),
}

impl<const N: usize> Group<N> {
    /// A group whose members have joined, in their order, and that waits for its first fail-over.
    pub fn new(acks: Acks) -> Self {
        let mut outlet = TallyOutlet::new();
        outlet.found(GROUP);
        let mut ingress = TallyIngress::new();
        ingress.found(acks);
        let mut group = Self {
            acks,
            members: (0..N).map(|_| Member::new(Tally::default())).collect(),
            lives: [true; N],
            ingress,
            ingress_lives: true,
            outlet,
            copies: [0, 1].map(|_| vec![0; TallyOutlet::<N>::RECORD]),
            arbiter: Arbiter::new(acks, 1),
            nonce: 1_000,
            producer: Chain::new(Origin::new(100)),
            let_out: vec![],
            frames: vec![],
            last: (Origin::new(0), Sequence::GENESIS),
        };
        group.store();
        (0..N).for_each(|member| group.start(member, Tally::default()));
        group
    }

    /// A group whose member 0 is active in term 2; all have joined the ingress's generation.
    pub fn begun(acks: Acks) -> Self {
        let mut group = Self::new(acks);
        assert_eq!(group.fail_over(), 0);
        group.settle();
        group
    }

    /// A number that nobody had.
    pub fn nonce(&mut self) -> u64 {
        self.nonce += 1_000;
        self.nonce
    }

    // === Members and what they get ===

    /// Another member begins in the place of one that is gone.
    pub fn start(&mut self, member: usize, daemon: Tally) {
        let nonce = self.nonce();
        self.members[member] = Member::new(daemon);
        self.members[member].start(GROUP, Standby::Hot, nonce);
        self.lives[member] = true;
        self.join(member);
    }

    /// The member asks the outlet, if it wants to join.
    pub fn join(&mut self, member: usize) {
        let Some(nonce) = self.members[member].wants_to_join() else { return };
        let Joined { nonce, incarnation, marked } = self.outlet.join(member, nonce).expect("it is open");
        self.members[member].join(&Joined { nonce, incarnation, marked });
        self.store();
    }

    /// Link and payload of the producer's next event.
    pub fn event(&mut self, payload: &[u8]) -> Vec<u8> {
        event(&mut self.producer, payload)
    }

    /// The ingress is given an event.
    pub fn offer(&mut self, bytes: &[u8]) -> Result<Submitted, SubmitError> {
        self.ingress.submit(read(bytes), us(5), 6)
    }

    /// The ingress is given the producer's next event, and has to take it. Returns its bytes.
    pub fn submit(&mut self, payload: &[u8]) -> Vec<u8> {
        let bytes = self.event(payload);
        self.offer(&bytes).expect("it is taken");
        bytes
    }

    /// All that the ingress has for a member, with the answers.
    pub fn deliver(&mut self, member: usize) {
        for _ in 0..3 * RECORDS {
            let Some(deliver) = self.ingress.deliver(member) else { return };
            let answer = self.members[member].deliver(&deliver);
            if let Ok(Some(ack)) = answer {
                self.ingress.ack(member, &ack);
            }
        }
    }

    /// The member applies what it may.
    pub fn apply(&mut self, member: usize) {
        while let Ok(Applied::One | Applied::Refused) = self.members[member].apply() {}
    }

    /// The member hears of the mark.
    pub fn mark(&mut self, member: usize) {
        let _ = self.members[member].mark_reached(&self.outlet.marked().expect("it is open"));
    }

    /// What the member sends to the outlet, which lets it out.
    pub fn send(&mut self, member: usize) {
        for output in outputs(&self.members[member]) {
            if self.outlet.take(&output.output()) == Ok(Taken::Next) {
                self.store();
                self.release();
            }
        }
        if let Some(through) = self.members[member].through()
            && self.outlet.take_through(&through) == Ok(true)
        {
            self.store();
        }
        if let Some(passed) = self.members[member].passed() {
            self.outlet.take_passed(member, &passed);
        }
    }

    /// A member that wants a snapshot installs that of another.
    pub fn copy_state(&mut self, member: usize) {
        if !self.members[member].wants_snapshot() {
            return;
        }
        let mut buffer = [0; 2_000];
        for source in (0..N).filter(|source| *source != member && self.lives[*source]) {
            if let Ok(state) = self.members[source].snapshot(&mut buffer)
                && self.members[member].install(state).is_ok()
            {
                return;
            }
        }
    }

    /// All that may go on among those that live.
    pub fn settle(&mut self) {
        self.release();
        for _ in 0..3 {
            for member in (0..N).filter(|member| self.lives[*member]).collect::<Vec<_>>() {
                if self.ingress_lives {
                    self.deliver(member);
                }
                self.apply(member);
                self.send(member);
            }
            (0..N).filter(|member| self.lives[*member]).collect::<Vec<_>>().into_iter().for_each(|member| {
                self.mark(member);
                self.join(member);
                self.copy_state(member);
            });
            self.ingress.mark_reached(self.outlet.marked().expect("it is open").mark.done);
        }
    }

    // === The outlet ===

    /// The outlet's record is stored.
    pub fn store(&mut self) {
        let [even, odd] = &mut self.copies;
        self.outlet.write([even, odd]).expect("the copies have their size");
    }

    /// The outlet begins again with what was stored.
    pub fn restart_outlet(&mut self) {
        let [even, odd] = &self.copies;
        self.outlet = TallyOutlet::new();
        self.outlet.open(GROUP, [even, odd]).expect("a copy is whole");
    }

    /// Lets out what is pending, and takes note of it.
    pub fn release(&mut self) {
        self.let_out();
        self.outlet.released();
    }

    /// Lets out what is pending. The consumer drops what it had last.
    pub fn let_out(&mut self) {
        let Some(bytes) = self.outlet.pending() else { return };
        let event = Frame::split(bytes).expect("it is a frame").0.event();
        let place = (event.link().origin, event.link().sequence);
        if std::mem::replace(&mut self.last, place) == place {
            return;
        }
        self.frames.extend(bytes);
        if HandOver::read(event).is_none() {
            self.let_out.push(event.payload().to_vec());
        }
    }

    /// The consumer has exactly the outputs of a [`Tally`] that was given `payloads`, each once.
    #[track_caller]
    pub fn assert_let_out(&self, payloads: &[&[u8]]) {
        let mut expected = vec![];
        for (number, payload) in (1..).zip(payloads) {
            let times = match payload.get(..5) {
                Some(b"quiet") => 0,
                Some(b"twice") => 2,
                _ => 1,
            };
            expected.extend(vec![[&[0, number], *payload].concat(); times]);
        }
        assert_eq!(self.let_out, expected);
        crate::chains::check_run(&self.frames).expect("the links are right");
    }

    // === Fail-over ===

    /// One round of the arbiter: it asks everybody who lives, and hears the answers.
    pub fn arbitrate(&mut self) {
        self.ask_outlet();
        self.ask_ingress();
        (0..N).filter(|member| self.lives[*member]).collect::<Vec<_>>().into_iter().for_each(|member| {
            self.ask_member(member);
        });
    }

    /// The arbiter's question to the outlet.
    pub fn ask_outlet(&mut self) {
        match self.arbiter.to_outlet() {
            Some(ToOutlet::Raise { from, nonce }) => match self.outlet.raise(from, nonce) {
                Ok(marked) => self.arbiter.raised(&marked),
                Err(OutletError::LowerTerm(refused)) => self.arbiter.refused(refused),
                Err(_) => {}
            },
            Some(ToOutlet::ReplaceIngress { term }) => {
                if self.outlet.replace_ingress(term).is_ok() {
                    self.arbiter.ingress_replaced(term);
                }
            }
            None => return,
        }
        self.store();
    }

    /// The arbiter's question to the ingress.
    pub fn ask_ingress(&mut self) {
        let Some(asked) = self.arbiter.to_ingress().filter(|_| self.ingress_lives) else { return };
        let state = match asked {
            ToIngress::Fence { term } => self.ingress.fence(term),
            ToIngress::Confirm { term, generation, successor } => {
                self.ingress.confirm(term, generation, successor)
            }
        };
        if let Ok(Some(state)) = state {
            self.arbiter.ingress_answered(&state);
        }
    }

    /// The arbiter's question to a member.
    pub fn ask_member(&mut self, member: usize) {
        match self.arbiter.to_member(member) {
            Some(ToMember::Fence { term }) => {
                if let Ok(Some(answer)) = self.members[member].fence(term) {
                    self.arbiter.fenced(member, &answer);
                }
            }
            Some(ToMember::Begin { term, incarnation }) => {
                let has_begun =
                    self.ingress_lives && self.ingress.state().is_some_and(|state| state.generation == term);
                if !has_begun {
                    self.ingress = TallyIngress::new();
                    let begun = self.ingress.begin(self.acks, term, incarnation, &self.members[member]);
                    self.ingress_lives = begun.is_ok();
                }
                if let Some(state) = self.ingress.state() {
                    self.arbiter.ingress_answered(&state);
                }
            }
            Some(ToMember::Grant(grant)) => {
                if let Ok(Some(answer)) = self.members[member].grant(&grant) {
                    self.arbiter.granted(member, &answer);
                }
            }
            None => {}
        }
    }

    /// A fail-over among those that live, if it comes to an end; else why no member was picked.
    pub fn try_fail_over(&mut self) -> Result<usize, NotPicked> {
        self.arbiter.raise(self.outlet.term());
        let mut why = NotPicked::NotMeasuring;
        for _ in 0..60 {
            self.arbitrate();
            if self.arbiter.is_idle() {
                return Ok(self.arbiter.successor().expect("it has picked"));
            }
            why = self.arbiter.tick(4).err().unwrap_or(why);
        }
        Err(why)
    }

    /// A fail-over that comes to an end. Returns the active.
    #[track_caller]
    pub fn fail_over(&mut self) -> usize {
        self.try_fail_over().expect("a member is picked")
    }

    /// A member dies.
    pub fn kill(&mut self, member: usize) {
        self.lives[member] = false;
    }

    /// The arbiter dies, and another life of it begins.
    pub fn restart_arbiter(&mut self) {
        let nonce = self.nonce();
        self.arbiter = Arbiter::new(self.acks, nonce);
    }
}
