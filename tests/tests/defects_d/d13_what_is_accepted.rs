//! D13: preferred zones, priorities, staleness and the interval of health checks were accepted and never
//! read. Here whatever options, filters and endpoints accept has an effect.
//!
//! One storm, in which everything happens that anything could matter to, is run with and without each
//! setting: the logs differ. That no setting is forgotten is read from the names of the fields.

use std::fmt::{Debug, Write};

use trilane::route::{
    CheckOptions, Due, Endpoint, FailureRate, Filter, Health, HealthChecker, LeastLoad, Metrics, Options,
    Request, Strategy, Tag, Tags, Tier, WeightedRoundRobin, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const fn secs(span: u64) -> Duration {
    Duration::from_secs(span)
}

const TAGS: Tags = Tags::NONE.with(Tag::of::<1>());

fn zone(number: u8) -> Zone {
    Zone::new(number).unwrap()
}

fn prefer(zones: &[u8]) -> Filter {
    zones.iter().fold(Filter::ANY, |filter, &at| filter.prefer(zone(at)).unwrap())
}

// === The storm ===

/// What it is run with.
#[derive(Clone, Copy, PartialEq)]
struct Setting {
    options: Options,
    filter: Filter,
    first: Endpoint,
}

const USUAL: Setting = Setting { options: Options::new(), filter: Filter::ANY, first: Endpoint::new(0) };

/// Eight endpoints: four in tier 0, of zones 0 and 1, two of them tagged; two in tier 1; two in zone 2, one
/// of which nothing is known of.
fn endpoints(first: Endpoint) -> [Endpoint; 8] {
    let tier_1 = Tier::of::<1>();
    [
        first,
        Endpoint::new(1).zone(zone(0)).tags(TAGS),
        Endpoint::new(2).zone(zone(1)).tags(TAGS),
        Endpoint::new(3).zone(zone(1)),
        Endpoint::new(4).tier(tier_1).tags(TAGS),
        Endpoint::new(5).tier(tier_1).zone(zone(1)),
        Endpoint::new(6).zone(zone(2)),
        Endpoint::new(7).zone(zone(2)).health(Health::Unknown),
    ]
}

struct Storm<S: Strategy<1, 16, 4> + 'static> {
    routes: Routes<S>,
    filter: Filter,
    now: Instant,
    log: String,
    /// How many leases each has had.
    taken: [u32; 8],
}

impl<S: Strategy<1, 16, 4> + 'static> Storm<S> {
    /// Selects; `fails` says of each lease of each endpoint whether it does.
    fn selects(&mut self, count: u32, mut fails: impl FnMut(u32, usize) -> bool) {
        let class = self.routes.selector.class(self.filter).unwrap();
        let mut held = Vec::new();
        for _ in 0..count {
            match self.routes.select(&Request::new(class), self.now) {
                Ok((at, lease)) => {
                    write!(self.log, "{at}{}", if lease.is_probe() { "?" } else { "" }).unwrap();
                    self.taken[at] += 1;
                    held.push((fails(self.taken[at], at), lease));
                }
                Err(error) => write!(self.log, "({error})").unwrap(),
            }
            // Three at a time are out.
            if held.len() == 3 {
                end(held.remove(0), self.now);
            }
        }
        held.into_iter().for_each(|lease| end(lease, self.now));
        self.log.push('\n');
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
    }

    fn report(&mut self, at: usize, load: u16) {
        let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
        self.routes.balancer.report(self.routes.ids[at], metrics, self.now).unwrap();
    }
}

fn end<B: std::ops::Deref<Target: trilane::route::Leasing>>(
    (fails, lease): (bool, trilane::route::Lease<B>),
    now: Instant,
) {
    if fails { lease.fail(Duration::ZERO, now) } else { lease.succeed(Duration::from_millis(2), now) }
}

/// Who got what, in a text.
fn storm<S: Strategy<1, 16, 4> + 'static>(strategy: S, setting: Setting) -> String {
    let routes = Routes::new(strategy, setting.options, endpoints(setting.first));
    let mut storm =
        Storm { routes, filter: setting.filter, now: Instant::ZERO, log: String::new(), taken: [0; 8] };
    for id in 0..10 {
        write!(storm.log, "{:?}", storm.routes.balancer.find(id)).unwrap();
    }
    storm.selects(40, |_, _| false);
    // Three of four outcomes of endpoints 0 and 1 are failures; then all of them, and of 2.
    storm.selects(80, |number, at| at < 2 && number % 4 != 0);
    storm.pass(secs(3));
    storm.selects(80, |number, at| at < 2 && number % 4 != 0);
    storm.selects(100, |_, at| at < 3);
    // Probes, one of which nobody hears of.
    storm.pass(secs(11));
    storm.selects(20, |_, _| false);
    storm.pass(secs(22));
    let lost = storm.routes.selector.select(&Request::ANY, storm.now);
    write!(storm.log, "{:?}", lost.as_ref().map(|lease| lease.endpoint())).unwrap();
    std::mem::forget(lost);
    storm.selects(20, |_, _| false);
    storm.pass(secs(11));
    storm.selects(20, |_, _| false);
    storm.pass(secs(31));
    storm.selects(60, |_, _| false);
    // Reports, which grow old.
    (0..8).for_each(|at| storm.report(at, 950 - 20 * at as u16));
    storm.selects(40, |_, _| false);
    storm.pass(secs(4));
    (1..4).for_each(|at| storm.report(at, 970));
    storm.pass(secs(2));
    storm.selects(40, |_, _| false);
    // Half of tier 0 goes and comes back.
    (0..3).for_each(|at| storm.routes.set_health(at, Health::Unhealthy, storm.now));
    storm.selects(60, |_, _| false);
    (0..2).for_each(|at| storm.routes.set_health(at, Health::Healthy, storm.now));
    storm.selects(60, |_, _| false);
    // One fails, and again when it is probed: it is out for twice as long.
    storm.pass(secs(400));
    storm.selects(60, |_, at| at == 3);
    storm.pass(secs(31));
    storm.selects(20, |_, at| at == 3);
    for _ in 0..62 {
        storm.pass(secs(1));
        storm.selects(2, |_, _| false);
    }
    storm.log
}

/// Both who goes by weights and who goes by reports.
fn log(setting: Setting) -> String {
    storm(WeightedRoundRobin, setting) + &storm(LeastLoad::new(), setting)
}

/// A setting, what it is changed from and to, by the name of the field.
type Change = (&'static str, Setting, Setting);

fn options() -> Vec<Change> {
    let with = |options| Setting { options, ..USUAL };
    let usual = Options::new();
    let rate = FailureRate { permille: 500, window: secs(60), at_least: 10 };
    [
        ("failures", usual.failures(2)),
        ("failure_rate", usual.failure_rate(rate)),
        ("open_ticks", usual.open_for(secs(10))),
        ("open_at_most", usual.open_at_most(secs(31))),
        ("probe_ticks", usual.probe_window(secs(10))),
        ("probes", usual.probes(2)),
        ("max_ejected", usual.max_ejected(0)),
        ("panic_below", usual.panic_below(900)),
        ("overprovisioning", usual.overprovisioning(1_000)),
        ("slow_start_ticks", usual.slow_start(secs(60))),
        ("stale_ticks", usual.stale_after(secs(5))),
        ("route_unknown", usual.route_unknown(true)),
    ]
    .into_iter()
    .map(|(name, changed)| (name, USUAL, with(changed)))
    .chain([
        ("panic_hosts", with(usual.panic_below(900)), with(usual.panic_below(900).panic_hosts(7))),
        ("seed", USUAL, with(usual.seed(7))),
    ])
    .chain([{
        let filter = prefer(&[0]);
        let changed = Setting { options: usual.spill_from(1_000), filter, ..USUAL };
        ("spill_from", Setting { filter, ..USUAL }, changed)
    }])
    .collect()
}

fn filters() -> Vec<Change> {
    let with = |filter| Setting { filter, ..USUAL };
    vec![
        ("tags", USUAL, with(Filter::ANY.tags(TAGS))),
        ("tier", USUAL, with(Filter::ANY.tier(Tier::of::<1>()))),
        ("zones", with(prefer(&[1])), with(prefer(&[2]))),
        ("zone_count", with(prefer(&[1])), with(prefer(&[1, 2]))),
        ("confined", with(prefer(&[1])), with(prefer(&[1]).confined())),
    ]
}

fn first_endpoints() -> Vec<Change> {
    let first = USUAL.first;
    let tagged = Setting { filter: Filter::ANY.tags(TAGS), ..USUAL };
    [
        ("id", first_with_id(8)),
        ("weight", first.weight(2)),
        ("tier", first.tier(Tier::of::<1>())),
        ("zone", first.zone(zone(2))),
        ("tags", first.tags(TAGS)),
        ("cap", first.cap(1)),
        ("enabled", first.enabled(false)),
        ("health", first.health(Health::Degraded)),
    ]
    .into_iter()
    .map(|(name, first)| {
        // What nobody asks for makes no difference.
        let from = match name {
            "tags" => tagged,
            "zone" => Setting { filter: prefer(&[0]), ..USUAL },
            _ => USUAL,
        };
        (name, from, Setting { first, ..from })
    })
    .collect()
}

fn first_with_id(id: u64) -> Endpoint {
    Endpoint::new(id)
}

/// The names of a struct's fields.
fn fields(of: &impl Debug) -> Vec<String> {
    let names = format!("{of:#?}");
    let lines = names.lines().filter_map(|line| line.strip_prefix("    "));
    let mut names: Vec<_> = lines
        .filter(|line| !line.starts_with([' ', '}', ']', ')']))
        .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
        .collect();
    names.sort();
    names
}

/// The names of those that make no difference.
fn without_effect<T>(changes: &[(&'static str, T, T)], log: impl Fn(&T) -> String) -> Vec<&'static str> {
    changes.iter().filter(|(_, from, to)| log(from) == log(to)).map(|(name, ..)| *name).collect()
}

fn assert_complete<T>(changes: &[(&'static str, T, T)], of: &impl Debug) {
    let mut names: Vec<_> = changes.iter().map(|(name, ..)| *name).collect();
    names.sort();
    assert_eq!(names, fields(of), "a change for each field");
}

#[test]
fn d13_the_check_catches_what_is_accepted_and_not_read() {
    // A router that reads neither zones nor staleness.
    let deaf = |setting: &Setting| {
        let options = setting.options.stale_after(Duration::ZERO);
        log(Setting { options, filter: Filter::ANY, ..*setting })
    };
    assert_eq!(without_effect(&options(), deaf), ["stale_ticks", "spill_from"]);
    assert_eq!(without_effect(&filters()[2..], deaf), ["zones", "zone_count", "confined"]);
}

#[test]
fn d13_every_option_of_a_balancer_has_an_effect() {
    assert_complete(&options(), &Options::new());
    assert_eq!(without_effect(&options(), |setting| log(*setting)), [""; 0]);
}

#[test]
fn d13_every_part_of_a_failure_rate_has_an_effect() {
    let rate = FailureRate { permille: 500, window: secs(60), at_least: 10 };
    // No other may be forgotten: it would not compile.
    let FailureRate { permille, window: _, at_least } = rate;
    let with =
        |rate| Setting { options: Options::new().failures(0).max_ejected(1_000).failure_rate(rate), ..USUAL };
    let changes = [
        ("permille", with(rate), with(FailureRate { permille: permille + 150, ..rate })),
        ("window", with(rate), with(FailureRate { window: secs(1), ..rate })),
        ("at_least", with(rate), with(FailureRate { at_least: at_least * 3, ..rate })),
    ];
    assert_eq!(without_effect(&changes, |setting| log(*setting)), [""; 0]);
}

#[test]
fn d13_every_part_of_a_filter_has_an_effect() {
    assert_complete(&filters(), &Filter::ANY);
    assert_eq!(without_effect(&filters(), |setting| log(*setting)), [""; 0]);
}

#[test]
fn d13_every_part_of_an_endpoint_has_an_effect() {
    assert_complete(&first_endpoints(), &Endpoint::new(0));
    assert_eq!(without_effect(&first_endpoints(), |setting| log(*setting)), [""; 0]);
}

/// When an endpoint is checked that is well, then out, then well, and never answers for a while; and what is
/// concluded.
fn checks(options: &CheckOptions) -> String {
    let mut checker: HealthChecker<u8, 2> = HealthChecker::new(*options, 3).unwrap();
    checker.watch(1, Instant::ZERO).unwrap();
    let mut log = String::new();
    for second in 0..300 {
        let now = Instant::from_secs(second);
        while let Some(due) = checker.due(now) {
            match due {
                Due::Probe(check) if !(200..250).contains(&second) => {
                    let change = checker.report(check, !(50..130).contains(&second), now).unwrap();
                    writeln!(log, "{second}: {change:?}").unwrap();
                }
                Due::Probe(_) => writeln!(log, "{second}: no answer").unwrap(),
                Due::TimedOut(_, change) => writeln!(log, "{second}: timed out, {change:?}").unwrap(),
            }
        }
    }
    log
}

#[test]
fn d13_every_option_of_health_checks_has_an_effect() {
    let usual = CheckOptions::new();
    let changes = [
        ("interval", usual, usual.interval(secs(7))),
        ("unhealthy_interval", usual, usual.unhealthy_interval(secs(3))),
        ("timeout", usual, usual.timeout(secs(5))),
        ("jitter", usual, usual.jitter(secs(4))),
        ("rise", usual, usual.rise(4)),
        ("fall", usual, usual.fall(5)),
    ];
    assert_complete(&changes, &usual);
    assert_eq!(without_effect(&changes, checks), [""; 0]);
}
