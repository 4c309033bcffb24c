//! What a seed has in store.

use trilane::group::Acks;

use crate::rng::Rng;

/// The kinds of faults, by which a plan can be made smaller.
pub const KINDS: [&str; 13] = [
    "drop",
    "repeat",
    "delay",
    "partition",
    "member",
    "ingress",
    "arbiter",
    "outlet",
    "suspicion",
    "slow",
    "corrupt",
    "clock",
    "freeze",
];

/// How a run goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Plan {
    pub seed: u64,
    pub members: usize,
    pub warm: usize,
    pub acks: Acks,
    pub producers: usize,
    /// Of each producer.
    pub events: u64,
    /// The ticks with faults.
    pub ticks: u64,
    /// How many in a thousand messages; the longest delay in ticks.
    pub drop: u32,
    pub repeat: u32,
    pub delay: usize,
    pub corrupt: u32,
    /// How many in a thousand ticks.
    pub partition: u32,
    pub member_deaths: u32,
    pub ingress_deaths: u32,
    pub arbiter_restarts: u32,
    pub outlet_restarts: u32,
    pub suspicion: u32,
    pub slow: u32,
    /// How many in a thousand ticks of one that is dead.
    pub rebirth: u32,
    pub clock_steps: u32,
    /// A member stands still while the others come to an end.
    pub freeze: bool,
}

impl Plan {
    /// The plan of a seed. Each kind of fault is there in some, and alone in a few.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let members = *rng.pick(&[3, 3, 3, 3, 2, 5]);
        let acks = match rng.below(5) {
            0 | 1 => Acks::One,
            2 if members > 2 => Acks::Members(3),
            _ => Acks::Members(2),
        };
        let mut some = |most: u32| if rng.below(2) == 0 { 0 } else { 1 + rng.below(most as usize) as u32 };
        let (drop, repeat, corrupt) = (some(250), some(150), some(200));
        let (partition, member_deaths, ingress_deaths) = (some(15), some(25), some(15));
        let (arbiter_restarts, outlet_restarts) = (some(15), some(25));
        let (suspicion, slow, clock_steps) = (some(40), some(20), some(30));
        let warm = rng.below(members);
        match rng.below(8) {
            0 | 1 => return Self::of_false_suspicion(seed, &mut rng),
            2 => return Self::of_laggards(seed, &mut rng),
            3 => return Self::of_late_messages(seed, &mut rng),
            _ => {}
        }
        Self {
            seed,
            members,
            warm,
            acks,
            producers: 1 + rng.below(3),
            events: 2 + rng.below(14) as u64,
            ticks: 60 + rng.below(400) as u64,
            drop,
            repeat,
            delay: *rng.pick(&[1, 2, 4, 12, 40]),
            corrupt,
            partition,
            member_deaths,
            ingress_deaths,
            arbiter_restarts,
            outlet_restarts,
            suspicion,
            slow,
            rebirth: *rng.pick(&[15, 30, 100, 400]),
            clock_steps,
            freeze: rng.below(3) == 0,
        }
    }

    /// The ingress is taken for dead, and goes on; members die meanwhile.
    fn of_false_suspicion(seed: u64, rng: &mut Rng) -> Self {
        Self {
            seed,
            members: 3,
            warm: rng.below(2),
            acks: Acks::Members(2),
            producers: 2,
            events: 8 + rng.below(8) as u64,
            ticks: 300 + rng.below(300) as u64,
            drop: rng.below(60) as u32,
            repeat: rng.below(250) as u32,
            delay: *rng.pick(&[1, 4, 10, 30, 50]),
            corrupt: 0,
            partition: rng.below(12) as u32,
            member_deaths: rng.below(60) as u32,
            ingress_deaths: rng.below(12) as u32,
            arbiter_restarts: rng.below(12) as u32,
            outlet_restarts: 0,
            suspicion: 10 + rng.below(30) as u32,
            slow: 10 + rng.below(40) as u32,
            rebirth: *rng.pick(&[15, 30, 100, 400]),
            clock_steps: 0,
            freeze: rng.below(3) == 0,
        }
    }

    /// Members are slow for so long that the ring goes on without them, and others die.
    fn of_laggards(seed: u64, rng: &mut Rng) -> Self {
        Self {
            events: 12 + rng.below(6) as u64,
            delay: 1,
            repeat: 0,
            partition: 0,
            ingress_deaths: 0,
            member_deaths: 10 + rng.below(40) as u32,
            slow: 20 + rng.below(40) as u32,
            rebirth: *rng.pick(&[10, 20]),
            ..Self::of_false_suspicion(seed, rng)
        }
    }

    /// Members die and are back at once, while messages of their earlier lives are still on their way.
    fn of_late_messages(seed: u64, rng: &mut Rng) -> Self {
        Self {
            acks: *rng.pick(&[Acks::Members(2), Acks::Members(3)]),
            drop: 0,
            repeat: 100 + rng.below(200) as u32,
            delay: *rng.pick(&[20, 40, 60]),
            partition: 0,
            member_deaths: 20 + rng.below(80) as u32,
            slow: rng.below(20) as u32,
            rebirth: *rng.pick(&[100, 400, 1_000]),
            ..Self::of_false_suspicion(seed, rng)
        }
    }

    /// The plan without one kind of fault.
    pub fn without(&self, kind: &str) -> Self {
        let mut plan = self.clone();
        match kind {
            "drop" => plan.drop = 0,
            "repeat" => plan.repeat = 0,
            "delay" => plan.delay = 1,
            "partition" => plan.partition = 0,
            "member" => plan.member_deaths = 0,
            "ingress" => plan.ingress_deaths = 0,
            "arbiter" => plan.arbiter_restarts = 0,
            "outlet" => plan.outlet_restarts = 0,
            "suspicion" => plan.suspicion = 0,
            "slow" => plan.slow = 0,
            "corrupt" => plan.corrupt = 0,
            "clock" => plan.clock_steps = 0,
            "freeze" => plan.freeze = false,
            _ => {}
        }
        plan
    }
}
