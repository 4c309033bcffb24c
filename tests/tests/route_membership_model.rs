//! Members that come, change and go beside two selectors with several classes, against a router that asks
//! everybody.

use trilane::route::{
    AddError, Balancer, BreakerState, EndpointId, Health, Lease, Metrics, Options, Random, Request,
    RoundRobin, SelectError, Selector,
};
use trilane::time::{Duration, Instant};
use trilane_tests::oracle::{Asked, NaiveMember, NaiveRouter};
use trilane_tests::routing::by_kind;

type Router = Balancer<RoundRobin, 3, 5, 2>;
type Chooser<'a> = Selector<&'a Router, RoundRobin, 3, 5, 2, 6>;

struct Held<'a> {
    lease: Lease<&'a Router>,
    capped: bool,
}

struct Model<'a> {
    balancer: &'a Router,
    selectors: [Chooser<'a>; 2],
    classes: Vec<(Asked, [trilane::route::Class; 2])>,
    naive: NaiveRouter,
    held: Vec<Held<'a>>,
    /// Handles of removed endpoints; and how many of their leases are out.
    gone: Vec<EndpointId>,
    draining: Vec<EndpointId>,
    random: Random,
    now: Instant,
    numbers: u64,
    errors: [usize; SelectError::KINDS],
}

fn asked() -> Vec<Asked> {
    let ask = |tags: &[u8], tier, zones: &[u8], confined| Asked {
        tags: tags.to_vec(),
        tier,
        zones: zones.to_vec(),
        confined,
    };
    vec![
        Asked::default(),
        ask(&[0], None, &[], false),
        ask(&[1, 2], None, &[1], false),
        ask(&[], Some(1), &[], true),
        ask(&[], None, &[2, 0], true),
        ask(&[0, 1, 2], None, &[3], true),
    ]
}

impl<'a> Model<'a> {
    fn new(balancer: &'a Router, seed: u64) -> Self {
        let mut selectors = [1, 2].map(|seed| Selector::new(balancer, seed).unwrap());
        let classes = asked()
            .into_iter()
            .map(|asked| {
                let filter = asked.filter();
                (asked, selectors.each_mut().map(|selector| selector.class(filter).unwrap()))
            })
            .collect();
        Self {
            balancer,
            selectors,
            classes,
            naive: NaiveRouter::default(),
            held: Vec::new(),
            gone: Vec::new(),
            draining: Vec::new(),
            random: Random::new(seed),
            now: Instant::from_secs(1),
            numbers: 0,
            errors: [0; SelectError::KINDS],
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u32) as usize
    }

    fn any_member(&mut self) -> Option<EndpointId> {
        // In slot order: a map's order differs from run to run.
        let mut all: Vec<_> = self.naive.members.keys().copied().collect();
        all.sort();
        (!all.is_empty()).then(|| all[self.below(all.len())])
    }

    fn any_health(&mut self) -> Health {
        [Health::Healthy, Health::Healthy, Health::Degraded, Health::Unknown, Health::Unhealthy]
            [self.below(5)]
    }

    fn describe(&mut self, member: &mut NaiveMember) {
        member.weight = [0, 1, 1, 2, 300][self.below(5)];
        member.tier = self.below(3) as u8;
        member.zone = self.below(4) as u8;
        member.tags = (0..3).filter(|_| self.below(3) > 0).collect();
        member.cap = [None, None, Some(1), Some(3)][self.below(4)];
        member.enabled = self.below(8) > 0;
    }

    fn add(&mut self) {
        self.numbers += 1;
        let mut member = NaiveMember { number: self.numbers, ..NaiveMember::default() };
        self.describe(&mut member);
        member.health = self.any_health();
        let taken = self.naive.members.len() + self.draining.len();
        match self.balancer.add(&member.endpoint(), self.now) {
            Ok(id) => {
                assert!(taken < 15 && !self.gone.contains(&id));
                assert!(self.draining.iter().all(|out| out.slot() != id.slot()));
                self.naive.members.insert(id, member);
            }
            Err(error) => assert_eq!((error, taken), (AddError::Full, 15)),
        }
    }

    fn update(&mut self) {
        let Some(id) = self.any_member() else { return };
        let before = self.balancer.stats(id).unwrap();
        let mut member = self.naive.members[&id].clone();
        self.describe(&mut member);
        self.balancer.update(id, &member.endpoint(), self.now).unwrap();
        assert_eq!(self.balancer.endpoint(id), Ok(member.endpoint()));
        self.naive.members.insert(id, member);
        // D17: all but whether it is routable stays.
        let after = self.balancer.stats(id).unwrap();
        assert_eq!(trilane::route::EndpointStats { routable: before.routable, ..after }, before);
    }

    fn remove(&mut self) {
        let Some(id) = self.any_member() else { return };
        let member = self.naive.members.remove(&id).unwrap();
        // L2: what is out is still known.
        assert_eq!(self.balancer.remove(id, self.now), Ok(member.in_flight() as u32));
        assert!(self.balancer.remove(id, self.now).is_err() && self.balancer.stats(id).is_err());
        if member.in_flight() > 0 {
            self.draining.push(id);
        }
        self.gone.push(id);
    }

    fn select(&mut self) {
        let by = self.below(2);
        let class = self.below(self.classes.len());
        let (asked, class) = (self.classes[class].0.clone(), self.classes[class].1[by]);
        let mut tried = Vec::new();
        if self.below(4) == 0 {
            for _ in 0..self.below(4) {
                tried.extend(self.any_member());
            }
            tried.extend(self.gone.last());
        }
        let request = Request::new(class).excluding(&tried);
        match self.selectors[by].select(&request, self.now) {
            Ok(lease) => {
                let (id, probe) = (lease.endpoint(), lease.is_probe());
                let breaker = match (self.balancer.stats(id).expect("a stale candidate").breaker, probe) {
                    (BreakerState::Probing, true) => BreakerState::HalfOpen,
                    (other, _) => other,
                };
                assert!(self.naive.may_serve(id, &asked, &tried, breaker, probe), "{id:?} for {asked:?}");
                let member = self.naive.members.get_mut(&id).unwrap();
                member.counts[0] += 1;
                member.capped += member.cap.is_some() as u32;
                let capped = member.cap.is_some();
                self.held.push(Held { lease, capped });
            }
            Err(error) => {
                let breaker = |id| self.balancer.stats(id).unwrap().breaker;
                let expected = self.naive.error(&asked, &tried, breaker);
                assert_eq!(Some(error.kind()), expected, "{error:?} for {asked:?} without {tried:?}");
                self.errors[error.kind()] += 1;
            }
        }
    }

    fn end(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.below(self.held.len());
        let Held { lease, capped } = self.held.swap_remove(at);
        let id = lease.endpoint();
        let how = 1 + self.below(3);
        match how {
            1 => lease.succeed(Duration::from_millis(3), self.now),
            2 => lease.fail(Duration::ZERO, self.now),
            _ => drop(lease),
        }
        match self.naive.members.get_mut(&id) {
            Some(member) => {
                member.counts[how] += 1;
                member.capped -= capped as u32;
            }
            None => {
                if !self.held.iter().any(|held| held.lease.endpoint() == id) {
                    self.draining.retain(|&out| out != id);
                }
            }
        }
    }

    fn step(&mut self) {
        match self.below(100) {
            0..=2 => self.add(),
            3..=6 => self.update(),
            7..=8 => self.remove(),
            9..=14 => {
                let Some(id) = self.any_member() else { return };
                let health = self.any_health();
                let member = self.naive.members.get_mut(&id).unwrap();
                let was = std::mem::replace(&mut member.health, health);
                assert_eq!(self.balancer.set_health(id, health, self.now), Ok(was));
            }
            15..=16 => {
                let Some(id) = self.any_member() else { return };
                let load = self.below(1_001) as u16;
                let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
                self.balancer.report(id, metrics, self.now).unwrap();
                assert_eq!(self.balancer.metrics(id), Ok(Some(metrics)));
            }
            17 => {
                let span = self.below(400_000) as u64;
                self.now += Duration::from_micros(span);
            }
            18 => {
                let Some(&id) = self.gone.last() else { return };
                assert!(self.balancer.set_health(id, Health::Unhealthy, self.now).is_err());
            }
            19..=60 if self.held.len() < 40 => self.select(),
            _ if self.held.len() < 4 => self.select(),
            _ => self.end(),
        }
    }

    fn check(&self) {
        for (&id, member) in &self.naive.members {
            let stats = self.balancer.stats(id).unwrap();
            let counts = [stats.selected, stats.succeeded, stats.failed, stats.released];
            assert_eq!((counts, stats.in_flight as usize), (member.counts, member.in_flight()));
            assert_eq!((stats.health, self.balancer.find(member.number)), (member.health, Some(id)));
        }
        let totals = self.balancer.totals();
        assert_eq!(
            (by_kind(totals.errors), totals.members as usize),
            (self.errors, self.naive.members.len())
        );
        assert!(totals.draining as usize >= self.draining.len());
        assert_eq!(self.balancer.members().count(), self.naive.members.len());
        let keeps_out = |(id, member): &(&EndpointId, &NaiveMember)| {
            let breaker = self.balancer.stats(**id).unwrap().breaker;
            member.is_open_to(&Asked::default())
                && matches!(breaker, BreakerState::Open | BreakerState::Probing)
        };
        assert_eq!(totals.ejected as usize, self.naive.members.iter().filter(keeps_out).count());
    }
}

#[test]
fn every_pick_is_eligible_every_error_is_the_right_one_and_every_lease_is_counted() {
    let steps = if cfg!(debug_assertions) { 12_000 } else { 200_000 };
    for seed in 0..8 {
        let options = Options::new().failures(2).open_for(Duration::from_millis(500)).max_ejected(700);
        let balancer = Router::new(RoundRobin, options.probe_window(Duration::from_millis(500)));
        let mut model = Model::new(&balancer, seed);
        for step in 0..steps {
            model.step();
            if step % 16 == 0 {
                model.check();
            }
        }
        assert!(
            model.errors[..7].iter().all(|&errors| errors > 0),
            "not every error has come up: {:?}",
            model.errors
        );
        while !model.held.is_empty() {
            model.end();
        }
        model.check();
        assert!(model.naive.members.values().all(|member| member.in_flight() == 0 && member.capped == 0));
    }
}

#[test]
fn d1_millions_of_events_leave_all_counts_at_0() {
    let events = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };
    let balancer: Balancer<RoundRobin, 1, 4, 1> = Balancer::new(RoundRobin, Options::new().failures(0));
    let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&balancer, 1).unwrap();
    let now = Instant::ZERO;
    let endpoint = |id| trilane::route::Endpoint::new(id).cap(10_000);
    let mut ids: Vec<_> = (0..3).map(|id| balancer.add(&endpoint(id), now).unwrap()).collect();
    let mut held: Vec<Option<Lease<_>>> = (0..64).map(|_| None).collect();
    for event in 0..events {
        let lease = selector.select(&Request::ANY, now).unwrap();
        match event % 5 {
            0 => lease.succeed(Duration::ZERO, now),
            1 => lease.fail(Duration::ZERO, now),
            2 => drop(lease),
            _ => held[event % 64] = Some(lease),
        }
        if event % 1_000 == 0 {
            // The fourth slot lets one come before another's leases have ended.
            balancer.remove(ids.remove(0), now).unwrap();
            if let Ok(id) = balancer.add(&endpoint(event as u64 + 9), now) {
                ids.push(id);
            }
            held.iter_mut().take(event / 1_000 % 65).for_each(|held| *held = None);
            while ids.len() < 3 {
                held.iter_mut().for_each(|held| *held = None);
                ids.push(balancer.add(&endpoint(event as u64 + 10), now).unwrap());
            }
        }
    }
    drop(held);
    for id in ids {
        let stats = balancer.stats(id).unwrap();
        assert_eq!(stats.in_flight, 0);
        assert_eq!(stats.selected, stats.succeeded + stats.failed + stats.released);
        assert_eq!(balancer.remove(id, now), Ok(0));
    }
    // All four slots are there again: nothing is held by anybody.
    (0..4).for_each(|id| assert!(balancer.add(&endpoint(u64::MAX - id), now).is_ok()));
    assert_eq!((balancer.totals().draining, balancer.totals().errors.total()), (0, 0));
}
