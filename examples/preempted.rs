//! The router, interrupted in the middle of everything: a timer's handler with a selector of its own comes
//! while the program selects, ends leases, changes members and builds tables.
//!
//! ```text
//!  handler   ends a lease, selects, sets a health                   comes again and again, at random
//!  program   select, succeed, fail, release, add, update, remove,
//!            set_health, report, tick, build                        does one after another, at random
//! ```
//!
//! Beside the balancer a [`Book`](book::Book) is kept of what may be selected: an endpoint may from before it
//! is let in until after it is put out. Each pick is looked up there, each lease counted, and so is each end
//! of one, by whichever of the two. Under each strategy the counts must be the balancer's in the end, and all
//! slots free. The handler waits for nobody: what it takes at most is counted in instructions.
//!
//! The instants differ from board to board, so it is verdicts that are printed. Not on the host, where no
//! interrupt comes between two instructions; there, threads do the same (`tests/tests/route_threads.rs`).

#![no_std]
#![no_main]

#[path = "preempted/book.rs"]
mod book;
#[path = "preempted/handler.rs"]
mod handler;
#[path = "preempted/ops.rs"]
mod ops;

use core::mem::swap;

use board::{counter, println};
use trilane::route::*;
use trilane::sync::{AtomicBool, Ordering::Relaxed};
use trilane::time::{Duration, Instant};

use book::{Coming, End, book};
use handler::{URGENT, Urgent};
use ops::{NOW, OPS, Op, PER_MILLI, during};

const SLOTS: usize = 6;
/// The program's, and the handler's.
const STRIPES: usize = 2;
/// What the program does under each strategy.
const TURNS: u32 = 1_200;
/// What the handler's select or the end of its lease may take.
const MOST_INSTRUCTIONS: u32 = 40_000;
/// Between two of its runs, in instructions.
const MEAN_PAUSE: u32 = 700;
/// How often each operation is interrupted at least, and after how many different numbers of instructions.
/// Most of `update`, `remove` and `report` is inside the critical section, and so one place.
const LEAST_HITS: u32 = 20;
const LEAST_PLACES: u32 = 10;
const LEAST_PLACES_MASKED: u32 = 1;

type Rule = AnyStrategy<Table>;
type Fleet = Balancer<Rule, 1, SLOTS, STRIPES>;
type Caller = Selector<&'static Fleet, Rule, 1, SLOTS, STRIPES, 2>;
type Taken = Lease<&'static Fleet>;

static FLEET: Fleet =
    Balancer::new(AnyStrategy::new(Kind::RoundRobin, ConsistentHash::new(Table::new())), Options::new());

const OPTIONS: Options = Options::new()
    .failures(2)
    .open_for(millis(20))
    .probe_window(millis(40))
    .max_ejected(300)
    .slow_start(millis(60))
    .stale_after(millis(50));

board::entry!(main);

fn main() -> ! {
    counter::start();
    FLEET.configure(OPTIONS).expect("options that fit together");
    let from = counter::read();
    board::spin(100);
    PER_MILLI.store(counter::instructions(from, counter::read()) * 10, Relaxed);

    let mut now = Instant::from_secs(1);
    for kind in Kind::ALL {
        FLEET.set_kind(kind, now);
        now = storm(kind.name(), now);
    }
    RING.store(true, Relaxed);
    FLEET.set_kind(Kind::ConsistentHash, now);
    storm("consistent hash by a ring", now);
    summary()
}

/// Both tables, of which one is in use.
struct Table {
    maglev: Maglev<127, SLOTS>,
    ring: Ring<64, 16, 8>,
}

/// The ring is the one. Changed while there are no members.
static RING: AtomicBool = AtomicBool::new(false);

impl Table {
    const fn new() -> Self {
        Self { maglev: Maglev::new(), ring: Ring::new() }
    }

    fn used(&self) -> &dyn HashTable {
        if RING.load(Relaxed) { &self.ring } else { &self.maglev }
    }
}

impl SizedTable for Table {
    const ENDPOINTS: usize = SLOTS;
}

impl HashTable for Table {
    fn begin(&self, slots: u16) {
        self.used().begin(slots);
    }

    fn step(&self, steps: u32, members: &dyn Members) -> Progress {
        self.used().step(steps, members)
    }

    fn find(&self, hash: u32) -> Option<u16> {
        self.used().find(hash)
    }
}

/// An endpoint, and what decides whether it may be selected.
#[derive(Clone, Copy)]
struct Member {
    id: EndpointId,
    endpoint: Endpoint,
    gpu: bool,
    serves: bool,
    health: Health,
}

impl Member {
    fn may(&self) -> [bool; 2] {
        let may = self.serves && matches!(self.health, Health::Healthy | Health::Degraded);
        [may, may && self.gpu]
    }
}

struct Storm {
    selector: Caller,
    classes: [Class; 2],
    random: Random,
    now: Instant,
    members: [Option<Member>; SLOTS - 2],
    held: [Option<Taken>; 4],
    /// The handler's endpoints.
    others: [EndpointId; 2],
}

const GPU: Tags = Tags::NONE.with(Tag::of::<0>());

/// The two classes: all, and those with a GPU. Each prefers a zone, so that traffic spills.
fn classes(selector: &mut Caller) -> [Class; 2] {
    let near = Filter::ANY.tags(GPU).prefer(Zone::of::<0>()).expect("one zone");
    [Filter::ANY, near].map(|filter| selector.class(filter).expect("room for two"))
}

/// Everything under one strategy, from `start` on; returns when it is over.
fn storm(name: &str, start: Instant) -> Instant {
    let fleet = &FLEET;
    let errors = fleet.totals().errors.total();
    book(|book| book.refused = 0);
    let own = [100, 101].map(|number| {
        let id = fleet.add(&Endpoint::new(number).tags(GPU), start).expect("it is empty");
        book(|book| {
            book.coming = Some(Coming { may: [true; 2], seen: None });
            book.added(Some(id));
        });
        id
    });
    let mut storm = Storm::new(start, own);
    storm.pass(0);
    Urgent::start(own);
    for _ in 0..TURNS {
        storm.turn();
    }
    Urgent::stop();
    storm.held.iter_mut().filter_map(Option::take).for_each(release);
    storm.check();
    let refused = fleet.totals().errors.total() - errors;
    book(|book| book.expect(book.refused == refused, "not each error was counted"));
    storm.fill();
    if let Some(wrong) = book(|book| book.wrong) {
        println!("{name}: {wrong}");
        board::exit(1);
    }
    println!("{name}: each pick could be had, each lease has ended, the counts agree");
    storm.now + Duration::from_secs(1)
}

/// Drops a lease when all is over.
fn release(lease: Taken) {
    let id = lease.endpoint();
    drop(lease);
    book(|book| book.count(id, End::Released));
}

impl Storm {
    // Not inlined, nor is whatever else moves a selector: a small chip's stack has no room for a few of them.
    #[inline(never)]
    fn new(start: Instant, others: [EndpointId; 2]) -> Self {
        let mut selector = FLEET.selector(1).expect("a stripe is free");
        Self {
            classes: classes(&mut selector),
            selector,
            random: Random::new(2),
            now: start,
            members: [None; SLOTS - 2],
            held: [const { None }; 4],
            others,
        }
    }

    fn pass(&mut self, span: u64) {
        self.now += millis(span);
        NOW.store(self.now.as_millis() as u32, Relaxed);
    }

    fn turn(&mut self) {
        self.pass(1);
        let fleet = &FLEET;
        let [what, who] = [24, SLOTS as u32 - 2].map(|below| self.random.below(below));
        let who = who as usize;
        match (what, self.members[who]) {
            (0..10, _) => self.request(),
            (10..12, None) => self.add(who),
            (10, Some(member)) => {
                during(Op::Remove, || fleet.remove(member.id, self.now)).expect("it is a member");
                book(|book| book.allow(member.id, [false; 2]));
                self.members[who] = None;
            }
            (11..13, Some(member)) => {
                let other = self.some(who, member.id, member.health);
                self.change(who, other, Op::Update, |now| {
                    fleet.update(member.id, &other.endpoint, now).is_ok()
                });
            }
            (13..16, Some(member)) => {
                let all = [Health::Healthy, Health::Degraded, Health::Unknown, Health::Unhealthy];
                let health = all[self.random.below(4) as usize];
                let set = |now| fleet.set_health(member.id, health, now) == Ok(member.health);
                self.change(who, Member { health, ..member }, Op::SetHealth, set);
            }
            (16, Some(member)) => {
                let load = self.random.below(900) as u16;
                let metrics = Metrics::new(load, 0, 1, 1, 0).expect("a share below 1,000");
                during(Op::Report, || fleet.report(member.id, metrics, self.now)).expect("it is a member");
            }
            (17, _) => {
                self.pass(8);
                during(Op::Tick, || fleet.tick(self.now));
            }
            (18..20, _) => {
                // Not false: whoever interrupts a build ends before it goes on.
                let build = if RING.load(Relaxed) { Op::Ring } else { Op::Maglev };
                let built = during(build, || fleet.finish_build());
                book(|book| book.expect(built, "the table was not built"));
            }
            (20.., _) => self.meddle(who % 2),
            _ => {}
        }
    }

    /// Ends a lease, and takes another.
    fn request(&mut self) {
        let [place, class, key] = [4, 2, 40].map(|below| self.random.below(below));
        let (place, class) = (place as usize, class as usize);
        if self.random.below(4) == 0 {
            URGENT.lock(|urgent| {
                if let Some(urgent) = urgent.borrow_mut().as_mut() {
                    swap(&mut self.held[place], &mut urgent.traded);
                }
            });
        }
        if let Some(lease) = self.held[place].take() {
            let (id, end) = (lease.endpoint(), End::any(&mut self.random));
            let op = [Op::Select, Op::Succeed, Op::Fail, Op::Release][end as usize];
            during(op, || end.put(lease, self.now));
            book(|book| book.count(id, end));
        }
        let request = Request::new(self.classes[class]).key(RoutingKey::from_id(key.into()));
        let time = book(|book| book.time);
        let lease = during(Op::Select, || self.selector.select(&request, self.now)).ok();
        book(|book| match &lease {
            Some(lease) => book.pick(lease.endpoint(), class, time),
            None => book.refused += 1,
        });
        self.held[place] = lease;
    }

    /// Endpoint `who` in one of many forms.
    fn some(&mut self, who: usize, id: EndpointId, health: Health) -> Member {
        let [weight, zone, tier, gpu, cap, enabled] =
            [5, 2, 2, 2, 3, 6].map(|below| self.random.below(below));
        let (gpu, enabled) = (gpu == 0, enabled != 0);
        let endpoint = Endpoint::new(who as u64)
            .weight(weight as u16)
            .zone(Zone::new(zone as u8).expect("it is 0 or 1"))
            .tier(Tier::new(tier as u8).expect("it is 0 or 1"))
            .tags(if gpu { GPU } else { Tags::NONE })
            .enabled(enabled);
        let endpoint = if cap == 0 { endpoint.cap(2) } else { endpoint };
        Member { id, endpoint, gpu, serves: enabled && weight > 0, health }
    }

    fn add(&mut self, who: usize) {
        let unknown = FLEET.members().next().expect("the handler's are there");
        let mut member = self.some(who, unknown, Health::Healthy);
        book(|book| book.coming = Some(Coming { may: member.may(), seen: None }));
        let added = during(Op::Add, || FLEET.add(&member.endpoint, self.now));
        book(|book| {
            book.added(added.ok());
            // Or removed endpoints have leases out.
            book.expect(matches!(added, Ok(_) | Err(AddError::Full)), "it was not added");
        });
        if let Ok(id) = added {
            member.id = id;
            self.members[who] = Some(member);
        }
    }

    /// Makes `who` what is in `other`.
    fn change(&mut self, who: usize, other: Member, op: Op, change: impl FnOnce(Instant) -> bool) {
        let Some(member) = self.members[who].replace(other) else { return };
        let either = [0, 1].map(|class| member.may()[class] || other.may()[class]);
        book(|book| book.allow(member.id, either));
        let changed = during(op, || change(self.now));
        book(|book| {
            book.allow(other.id, other.may());
            book.expect(changed, "it was not changed");
        });
    }

    /// Sets the health of an endpoint of the handler's, which may come in between and set another.
    fn meddle(&mut self, who: usize) {
        let (fleet, id) = (&FLEET, self.others[who]);
        let health = [Health::Healthy, Health::Unhealthy][self.random.below(2) as usize];
        book(|book| {
            book.changing = Some(id);
            book.allow(id, [true; 2]);
        });
        let set = during(Op::SetHealth, || fleet.set_health(id, health, self.now));
        book(|book| {
            book.changing = None;
            book.expect(set.is_ok(), "it was not changed");
            // The later of both.
            let now = fleet.stats(id).map(|stats| stats.health);
            book.allow(id, [now == Ok(Health::Healthy); 2]);
        });
    }

    /// No lease is out, and each was counted as what it was.
    fn check(&mut self) {
        let ids = self.members.iter().flatten().map(|member| member.id).chain(self.others);
        for id in ids {
            let stats = FLEET.stats(id).expect("it is a member");
            let counts = [stats.selected, stats.succeeded, stats.failed, stats.released];
            let known = book(|book| book.counts[id.slot() as usize]);
            let left = FLEET.remove(id, self.now).expect("it is a member");
            book(|book| book.expect(counts == known, "not each lease was counted as what it was"));
            book(|book| book.expect(stats.in_flight + left == 0, "a lease is out that nobody has"));
            book(|book| book.allow(id, [false; 2]));
        }
        let totals = FLEET.totals();
        book(|book| book.expect(totals.members + totals.ejected == 0, "somebody is left"));
    }

    /// Nothing is left behind: each slot takes an endpoint, and each endpoint the one lease that it has room
    /// for.
    fn fill(&mut self) {
        let full: [EndpointId; SLOTS] = core::array::from_fn(|number| {
            FLEET.add(&Endpoint::new(200 + number as u64).cap(1), self.now).expect("all slots are free")
        });
        let mut had = 0;
        let leases: [_; SLOTS + 1] =
            core::array::from_fn(|_| self.selector.select(&Request::ANY, self.now).inspect(|_| had += 1));
        drop(leases);
        let left: u32 = full.map(|id| FLEET.remove(id, self.now).expect("it is a member")).iter().sum();
        book(|book| book.expect(had == SLOTS && left == 0, "a slot is not as it was in the beginning"));
    }
}

fn summary() -> ! {
    let mut few = 0;
    book(|book| {
        println!("the handler came in the middle of");
        for (name, hits) in OPS.iter().zip(&book.hits) {
            println!("  {name}");
            println!("~   {} times, after {} different numbers of instructions", hits.count, hits.places());
            let masked = ["update", "remove", "report"].contains(name);
            let least = if masked { LEAST_PLACES_MASKED } else { LEAST_PLACES };
            few += u32::from(hits.count < LEAST_HITS || hits.places() < least);
        }
        println!("and no call of its took more than {MOST_INSTRUCTIONS} instructions");
        println!("~   at most {}", book.worst);
        few += u32::from(book.worst > MOST_INSTRUCTIONS);
    });
    board::exit(few.min(1) as u8)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
