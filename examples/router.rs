//! A storm over sixteen endpoints, under one strategy after another: who gets what while some of them fail.
//!
//! ```text
//!             zone 0      zone 1
//!   tier 0    a b c d     e f g h    serves while it can, zone 0 first, where the requests come from
//!   tier 1    i j k l     m n o p    takes what tier 0 can't
//! ```
//!
//! [`STORM`] is the script: what happens, phase by phase. In each phase a hundred requests come, one every
//! ten milliseconds of the script's own time: the router reads no clock, and all chance is a seed, so the
//! same happens on every board. Every other endpoint has a GPU, which every fifth request asks for, in zone
//! 0. A row tells how many leases each endpoint got (`.` is none), how many of them failed, how many requests
//! were sent elsewhere after that, how often a breaker opened, and how many requests nobody could serve.

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::cell::RefCell;

use board::{print, println};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use trilane::route::*;
use trilane::sync::{AtomicU32, Ordering::Relaxed};
use trilane::time::{Duration, Instant};

/// One more than there are at a time: a removed endpoint keeps its slot until its last lease has ended.
const SLOTS: usize = 17;
/// One selector for the program, one for the interrupt's handler.
const STRIPES: usize = 2;

/// Any of the ten strategies, for the tables' sake. A program that has one strategy names it here, and is
/// smaller.
type Rule = AnyStrategy<Maglev<251, SLOTS>>;
type Fleet = Balancer<Rule, 1, SLOTS, STRIPES>;
type Caller<const CLASSES: usize> = Selector<&'static Fleet, Rule, 1, SLOTS, STRIPES, CLASSES>;

static FLEET: Fleet =
    Balancer::new(AnyStrategy::new(Kind::RoundRobin, ConsistentHash::new(Maglev::new())), Options::new());

/// Three failures in a row open a breaker; 200 ms later one request is its probe. Who joins or comes back
/// begins with a sixteenth of its weight.
const OPTIONS: Options =
    Options::new().failures(3).open_for(millis(200)).probe_window(millis(500)).slow_start(millis(300));
/// For all requests together: one retry for fifty requests, so that retries don't feed a storm.
static RETRIES: RetryBudget = RetryBudget::new(20, 0);
/// The leases of requests whose answer comes in another context, by a number, or never.
static AWAITED: DetachedLeases<&Fleet, 1, 4> = DetachedLeases::new();

/// What happens to some endpoints at the beginning of a phase; a letter is an endpoint.
enum Event {
    /// They take ten times as long to answer, and nobody else does.
    Slow(&'static str),
    /// They answer that they can't, and nobody else does.
    Failing(&'static str),
    /// What the health checks say of them.
    Are(&'static str, Health),
    /// They have another weight. 0 drains them: they get nothing new.
    Weigh(&'static str, u16),
    Leave(&'static str),
    Join(&'static str),
}
use Event::{Are, Failing, Join, Leave, Slow, Weigh};
use Health::{Healthy, Unhealthy};

const STORM: [(&str, &[Event]); 10] = [
    ("calm", &[]),
    ("d is slow", &[Slow("d")]),
    ("c fails", &[Slow(""), Failing("c")]),
    ("zone 0 lost", &[Failing(""), Are("abcdijkl", Unhealthy)]),
    ("e f g too", &[Are("efg", Unhealthy)]),
    ("all back", &[Are("abcdefgijkl", Healthy)]),
    ("b drains", &[Weigh("b", 0)]),
    ("a leaves", &[Leave("a")]),
    ("q joins", &[Join("q")]),
    ("d weighs 9", &[Weigh("d", 9)]),
];

/// The endpoints of a string, by number.
fn each(names: &str) -> impl Iterator<Item = usize> {
    names.bytes().map(|name| usize::from(name - b'a'))
}

const HERE: Zone = Zone::of::<0>();
const THERE: Zone = Zone::of::<1>();
const GPU: Tag = Tag::of::<0>();
const BETA: Tag = Tag::of::<1>();

/// Endpoint `who` as it joins.
fn endpoint(who: usize) -> Endpoint {
    let zone = if who == 16 { HERE } else { [HERE, THERE][who / 4 % 2] };
    let tier = if who / 8 == 1 { Tier::of::<1>() } else { Tier::of::<0>() };
    let mut tags = Tags::NONE.with(BETA);
    if who % 2 == 1 {
        tags = tags.with(GPU);
    }
    // Its name, whatever slot it gets: hash tables place it by that.
    let name = 0xE0 + who as u64;
    let endpoint = Endpoint::new(name).zone(zone).tier(tier).tags(tags).weight(1 + who as u16 % 3);
    // The last of each tier and zone: two requests at a time, never more.
    if who % 4 == 3 { endpoint.cap(2) } else { endpoint }
}

board::entry!(main);

fn main() -> ! {
    FLEET.configure(OPTIONS).expect("options that fit together");
    board::irq::bind(urgent_request);
    println!("tier 0: a to d in zone 0, e to h in zone 1; tier 1: i to p likewise; q in tier 0, zone 0");
    let mut start = Instant::from_secs(10);
    for kind in Kind::ALL {
        FLEET.set_kind(kind, start);
        // Later than the retry budget's window, which begins anew.
        start = storm(kind, start) + Duration::from_secs(20);
    }
    summary();
    board::exit(0)
}

/// A request under way. The lease counts it as in flight at the endpoint until it ends.
struct Flight {
    lease: Lease<&'static Fleet>,
    request: Request<'static>,
    tried: Tried<2>,
    sent: Instant,
    answered: Instant,
}

/// What a phase comes to.
#[derive(Default)]
struct Row {
    got: [u8; SLOTS],
    failed: u8,
    retried: u8,
    refused: u8,
}

struct Storm {
    selector: Caller<3>,
    now: Instant,
    random: Random,
    members: [Option<EndpointId>; SLOTS],
    /// Which endpoint has a slot: slots serve as indices of tables of one's own.
    at_slot: [usize; SLOTS],
    slow: &'static str,
    failing: &'static str,
    flights: [Option<Flight>; 12],
    row: Row,
}

/// All phases, from `start` on; returns when the last is over.
fn storm(kind: Kind, start: Instant) -> Instant {
    let mut storm = Storm {
        // The seed is all the chance there is. The stripe comes back when the selector is dropped.
        selector: FLEET.selector(7).expect("a stripe is free"),
        now: start,
        random: Random::new(11),
        members: [None; SLOTS],
        at_slot: [0; SLOTS],
        slow: "",
        failing: "",
        flights: [const { None }; 12],
        row: Row::default(),
    };
    URGENT.lock(|urgent| urgent.replace(Some(FLEET.selector(13).expect("a stripe is free"))));
    // A filter is a class; of each, the selector keeps the candidates until something changes.
    let near = Filter::ANY.prefer(HERE).expect("a filter names up to four zones");
    let gpu = near.tags(Tags::NONE.with(GPU).with(BETA)).confined();
    let [near, gpu] = [near, gpu].map(|filter| storm.selector.class(filter).expect("room for three"));
    each("abcdefghijklmnop").for_each(|who| storm.join(who));
    // A hash table is built beside the selects, a slice with each; here at once.
    FLEET.finish_build();
    storm.run(Duration::from_secs(1));

    print!("{:26}", kind.name());
    (b'a'..=b'q').for_each(|name| print!("{:>4}", name as char));
    println!("  fail retry open none");
    for (phase, events) in STORM {
        events.iter().for_each(|event| storm.happens(event));
        let before = FLEET.totals();
        storm.row = Row::default();
        for number in 0..100 {
            // One of forty users; with consistent hash, each has an endpoint of its own.
            let key = RoutingKey::from_id(storm.random.below(40).into());
            let class = if number % 5 == 4 { gpu } else { near };
            storm.request(Request::new(class).key(key), number);
            storm.run(millis(10));
        }
        storm.row.print(phase, FLEET.totals().breakers_opened - before.breakers_opened);
    }
    storm.run(Duration::from_secs(1));
    storm.print_ends();
    each("bcdefghijklmnopq").for_each(|who| storm.leave(who));
    URGENT.lock(|urgent| urgent.replace(None));
    storm.now
}

impl Storm {
    /// One request, of which the router knows where it may go.
    fn request(&mut self, request: Request<'static>, number: u32) {
        RETRIES.deposit(self.now);
        match number {
            // In the middle of everything, an interrupt's handler has a request too.
            10 | 60 => {
                NOW.store(self.now.as_millis() as u32, Relaxed);
                board::irq::trigger();
            }
            // The caller has lost interest: the lease is dropped, without a verdict.
            30 | 80 => drop(self.lease(&request)),
            // The answer comes elsewhere, if it comes: the lease is left to a table, where it ends by its
            // number or expires.
            20 | 70 => {
                if let Some(lease) = self.lease(&request) {
                    let id = lease.detach(&AWAITED, self.now + millis(300)).expect("room for four");
                    if number == 20 {
                        AWAITED.succeed(id, millis(9), self.now).expect("it hasn't expired");
                    }
                }
            }
            _ => self.send(request, Tried::new()),
        }
    }

    fn send(&mut self, request: Request<'static>, mut tried: Tried<2>) {
        let Some(lease) = self.lease(&request.excluding(tried.as_slice())) else { return };
        tried.add(lease.endpoint()).expect("there are two tries");
        let who = self.owner(&lease);
        let usual = 20 + 2 * who as u64;
        let took = if each(self.slow).any(|slow| slow == who) { 10 * usual } else { usual };
        let flight = Flight { lease, request, tried, sent: self.now, answered: self.now + millis(took) };
        let place = self.flights.iter_mut().find(|place| place.is_none());
        *place.expect("room for what is under way") = Some(flight);
    }

    fn lease(&mut self, request: &Request<'_>) -> Option<Lease<&'static Fleet>> {
        match self.selector.select(request, self.now) {
            Ok(lease) => {
                self.row.got[self.owner(&lease)] += 1;
                Some(lease)
            }
            // It says why. The balancer counts each kind.
            Err(_) => {
                self.row.refused += 1;
                None
            }
        }
    }

    fn owner(&self, lease: &Lease<&'static Fleet>) -> usize {
        self.at_slot[lease.endpoint().slot() as usize]
    }

    /// Time passes, and answers come.
    fn run(&mut self, span: Duration) {
        self.now += span;
        for place in 0..self.flights.len() {
            let Some(flight) = self.flights[place].take_if(|flight| flight.answered <= self.now) else {
                continue;
            };
            let who = self.owner(&flight.lease);
            if each(self.failing).all(|failing| failing != who) {
                flight.lease.succeed(flight.answered - flight.sent, self.now);
                continue;
            }
            flight.lease.fail(Duration::ZERO, self.now);
            self.row.failed += 1;
            // Once more, elsewhere, if there haven't been too many retries lately.
            if flight.tried.len() < 2 && RETRIES.try_withdraw(self.now).is_ok() {
                self.row.retried += 1;
                self.send(flight.request, flight.tried);
            }
        }
        AWAITED.expire(self.now);
        // What each says of itself, for the strategies that go by it.
        for id in self.members.iter().flatten() {
            let busy = FLEET.stats(*id).map_or(0, |stats| stats.in_flight);
            let metrics = Metrics::new(busy.min(10) as u16 * 100, 0, busy, 0, 0).expect("shares up to 1,000");
            FLEET.report(*id, metrics, self.now).expect("it is a member");
        }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Slow(names) => self.slow = names,
            Failing(names) => self.failing = names,
            Are(names, health) => {
                for id in each(names).filter_map(|who| self.members[who]) {
                    FLEET.set_health(id, health, self.now).expect("it is a member");
                }
            }
            Weigh(names, weight) => {
                for who in each(names) {
                    let id = self.members[who].expect("it is a member");
                    FLEET.update(id, &endpoint(who).weight(weight), self.now).expect("it is a member");
                }
            }
            Leave(names) => each(names).for_each(|who| self.leave(who)),
            Join(names) => each(names).for_each(|who| self.join(who)),
        }
    }

    /// Every lease has ended, in one of three ways; none is lost.
    fn print_ends(&self) {
        let mut sums = [0; 5];
        for id in self.members.iter().flatten() {
            let stats = FLEET.stats(*id).expect("it is a member");
            let EndpointStats { selected, succeeded, failed, released, .. } = stats;
            let counts = [selected, succeeded, failed, released, stats.in_flight as usize];
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let [leases, succeeded, failed, released, in_flight] = sums;
        print!("  of {leases} leases of those that stayed, {succeeded} succeeded, {failed} failed, ");
        println!("{released} were released; in flight {in_flight}");
    }

    fn join(&mut self, who: usize) {
        let id = FLEET.add(&endpoint(who), self.now).expect("a slot is free");
        self.members[who] = Some(id);
        self.at_slot[id.slot() as usize] = who;
    }

    /// Its leases may end as ever. Whoever has its handle still gets an error, never another endpoint.
    fn leave(&mut self, who: usize) {
        let id = self.members[who].take().expect("it is a member");
        FLEET.remove(id, self.now).expect("it is a member");
    }
}

/// The handler's own selector: it never waits for the program's.
static URGENT: CriticalSectionMutex<RefCell<Option<Caller<1>>>> =
    CriticalSectionMutex::new(RefCell::new(None));
/// What time it is, in milliseconds.
static NOW: AtomicU32 = AtomicU32::new(0);
static SERVED: AtomicU32 = AtomicU32::new(0);

/// The interrupt's handler.
fn urgent_request() {
    let now = Instant::from_millis(NOW.load(Relaxed).into());
    URGENT.lock(|urgent| {
        let mut urgent = urgent.borrow_mut();
        if let Some(Ok(lease)) = urgent.as_mut().map(|selector| selector.select(&Request::ANY, now)) {
            lease.succeed(millis(1), now);
            SERVED.fetch_add(1, Relaxed);
        }
    });
}

impl Row {
    fn print(&self, phase: &str, opened: u32) {
        print!("  {phase:24}");
        for &count in &self.got {
            if count == 0 { print!("   .") } else { print!("{count:>4}") }
        }
        println!("{:>6}{:>6}{opened:>5}{:>5}", self.failed, self.retried, self.refused);
    }
}

fn summary() {
    let totals = FLEET.totals();
    println!("in all: breakers opened {}; from the handler {}", totals.breakers_opened, SERVED.load(Relaxed));
    print!("refused:");
    for (kind, count) in totals.errors.iter().filter(|(_, count)| *count > 0) {
        print!(" {kind} {count}");
    }
    println!("; members {}, draining {}, awaited {}", totals.members, totals.draining, AWAITED.len());
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
