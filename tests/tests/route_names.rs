//! What builders set is read back, and names are read as they are written.

use std::collections::BTreeSet;

use trilane::route::*;
use trilane::time::{Duration, Instant};

#[test]
fn what_a_builder_sets_is_read_back() {
    let tags: Tags = [3, 0, 31].map(|number| Tag::new(number).unwrap()).into_iter().collect();
    let endpoint = Endpoint::new(u64::MAX - 1)
        .weight(7)
        .tier(Tier::of::<5>())
        .zone(Zone::of::<9>())
        .tags(tags)
        .cap(11)
        .enabled(false)
        .health(Health::Degraded);
    let read = Endpoint::new(endpoint.number())
        .weight(endpoint.get_weight())
        .tier(endpoint.get_tier())
        .zone(endpoint.get_zone())
        .tags(endpoint.get_tags())
        .enabled(endpoint.is_enabled())
        .health(endpoint.get_health());
    assert_eq!(endpoint.get_cap().map(|cap| read.cap(cap)), Some(endpoint));
    assert_eq!(tags.iter().map(Tag::number).collect::<Vec<_>>(), [0, 3, 31]);

    let filter = Filter::ANY.tags(tags).tier(Tier::of::<2>()).prefer(Zone::of::<4>()).unwrap();
    let filter = filter.prefer(Zone::of::<1>()).unwrap().confined();
    assert_eq!((filter.get_tags(), filter.get_tier()), (tags, Some(Tier::of::<2>())));
    assert_eq!((filter.preferred(), filter.is_confined()), (&[Zone::of::<4>(), Zone::of::<1>()][..], true));
    assert_eq!((Filter::ANY.preferred(), Filter::ANY.is_confined()), (&[][..], false));

    let balancer: Balancer<RoundRobin, 1, 2, 2> = Balancer::new(RoundRobin, Options::new());
    let [mut one, other] = [1, 2].map(|seed| balancer.selector::<2>(seed).unwrap());
    let class = one.class(filter).unwrap();
    assert_eq!((one.filter(class), one.filter(Class::ANY)), (Ok(filter), Ok(Filter::ANY)));
    assert_eq!(other.filter(class), Err(SelectError::ForeignClass));
    one.free_class(class).unwrap();
    assert_eq!(one.filter(class), Err(SelectError::ForeignClass));

    let key = RoutingKey::from_id(3);
    let tried = [EndpointId::from_key(trilane::id::Key::new(4, 2))];
    let request = Request::ANY.key(key).excluding(&tried);
    assert_eq!((request.get_class(), request.get_key()), (Class::ANY, Some(key)));
    assert_eq!(request.excluded(), tried);
}

#[test]
fn options_are_read_back_in_whole_ticks() {
    let tick = Duration::from_micros(1_024);
    let rate = FailureRate { permille: 300, window: Duration::from_secs(4), at_least: 12 };
    let options = Options::new()
        .failures(9)
        .failure_rate(rate)
        .open_for(Duration::from_micros(1_025))
        .open_at_most(Duration::from_secs(1_024))
        .seed(99)
        .probe_window(Duration::from_micros(1))
        .probes(3)
        .max_ejected(410)
        .panic_below(420)
        .panic_hosts(7)
        .overprovisioning(1_900)
        .spill_from(640)
        .slow_start(Duration::from_micros(3_072))
        .stale_after(Duration::from_micros(4_096))
        .route_unknown(true);
    let read = Options::new()
        .failures(options.get_failures())
        .failure_rate(options.get_failure_rate().unwrap())
        .open_for(options.get_open_for())
        .open_at_most(options.get_open_at_most())
        .seed(options.get_seed())
        .probe_window(options.get_probe_window())
        .probes(options.get_probes())
        .max_ejected(options.get_max_ejected())
        .panic_below(options.get_panic_below())
        .panic_hosts(options.get_panic_hosts())
        .overprovisioning(options.get_overprovisioning())
        .spill_from(options.get_spill_from())
        .slow_start(options.get_slow_start())
        .stale_after(options.get_stale_after())
        .route_unknown(options.routes_unknown());
    assert_eq!(read, options);
    assert_eq!((options.get_open_for(), options.get_probe_window()), (tick + tick, tick));
    assert_eq!(options.get_open_at_most(), Duration::from_secs(1_024));
    assert_eq!((options.get_failures(), options.get_probes(), options.get_seed()), (9, 3, 99));
    assert_eq!(
        (options.get_max_ejected(), options.get_panic_below(), options.get_panic_hosts()),
        (410, 420, 7)
    );
    assert_eq!((options.get_overprovisioning(), options.get_spill_from()), (1_900, 640));
    let balancer: Balancer<RoundRobin, 1, 2> = Balancer::new(RoundRobin, options);
    assert_eq!(balancer.options(), options);
}

#[test]
fn names_are_read_as_they_are_written() {
    for health in Health::ALL {
        assert_eq!(health.to_string().parse(), Ok(health));
    }
    assert_eq!("Healthy".parse::<Health>(), Err(UnknownHealth));
    for health in Health::ALL {
        assert!(UnknownHealth.to_string().contains(health.name()));
    }
    let states = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen, BreakerState::Probing];
    assert_eq!(states.map(|state| state.to_string()).into_iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(format!("[{:>9}]", BreakerState::HalfOpen), "[half-open]");
    assert!(Zone::all().all(|zone| zone.to_string().parse() == Ok(zone)));
    assert!(Tier::all().all(|tier| tier.to_string().parse() == Ok(tier)));
    assert!(Tag::all().all(|tag| tag.to_string().parse() == Ok(tag)));
    assert!(Source::all().all(|source| source.to_string().parse() == Ok(source)));
    let out_of_range = ParseNumberError::OutOfRange(OutOfRange { given: 8, end: 8 });
    assert_eq!("8".parse::<Tier>(), Err(out_of_range));
    for wrong in ["", "-1", "256", "a", "1 "] {
        assert_eq!(wrong.parse::<Zone>(), Err(ParseNumberError::NotANumber));
    }
}

#[test]
fn each_kind_of_error_has_a_name_and_a_count_of_its_own() {
    let errors = [
        SelectError::Empty,
        SelectError::NoTagMatch,
        SelectError::NoZoneMatch,
        SelectError::AllUnhealthy,
        SelectError::AllBreakersOpen { retry_at: Instant::ZERO },
        SelectError::AllAtCapacity,
        SelectError::AllTried,
        SelectError::ForeignClass,
    ];
    let names: Vec<_> = ErrorCounts::default().iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), SelectError::KINDS);
    for error in errors {
        let variant = format!("{error:?}");
        let variant = variant.split(' ').next().unwrap().to_lowercase();
        assert_eq!(names[error.kind()].replace(' ', ""), variant);
    }
}

#[test]
fn a_score_alone_is_a_report() {
    let balancer: Balancer<LeastLoad, 1, 2> = Balancer::new(LeastLoad::new(), Options::new());
    let now = Instant::ZERO;
    let [busy, idle] = [1, 2].map(|number| balancer.add(&Endpoint::new(number), now).unwrap());
    for (id, score) in [(busy, 1_000), (idle, 0), (busy, 731), (idle, 730)] {
        let report = Metrics::from_score(score).unwrap();
        balancer.report(id, report, now).unwrap();
        assert_eq!(balancer.metrics(id), Ok(Some(report)));
        assert_eq!(balancer.stats(id).unwrap().score, Some(score));
    }
    let mut selector = balancer.selector::<1>(1).unwrap();
    for _ in 0..10 {
        assert_eq!(selector.select(&Request::ANY, now).unwrap().number(), Ok(2));
    }
    for score in [1_001, u16::MAX] {
        assert_eq!(Metrics::from_score(score), Err(MetricsError::Score));
    }
}

/// The number of a lease is that of its endpoint until it ends, whatever becomes of the endpoint.
#[test]
fn a_lease_knows_the_number_of_an_endpoint_that_is_gone() {
    let balancer: Balancer<RoundRobin, 1, 2> = Balancer::new(RoundRobin, Options::new());
    let now = Instant::ZERO;
    let mut selector = balancer.selector::<1>(1).unwrap();
    let id = balancer.add(&Endpoint::new(1 << 40 | 5), now).unwrap();
    let lease = selector.select(&Request::ANY, now).unwrap();
    balancer.remove(id, now).unwrap();
    balancer.add(&Endpoint::new(6), now).unwrap();
    assert_eq!(balancer.add(&Endpoint::new(7), now), Err(AddError::Full));
    assert!(balancer.number(id).is_err());
    assert_eq!(lease.number(), Ok(1 << 40 | 5));
}
