//! A select that fails in each way there is.

use trilane::route::{
    Class, Endpoint, Filter, Health, Lease, Options, Request, RoundRobin, SelectError, Tag, Tags, Tier, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::{Router, Routes, chooser};

/// When all of it happens.
pub const NOW: Instant = Instant::from_secs(1);

const OPEN_FOR: Duration = Duration::from_secs(10);

/// A balancer of which a request gets an error, always the same one.
pub struct Failing {
    pub routes: Routes<RoundRobin>,
    filter: Filter,
    class: Option<Class>,
    tried: bool,
    _held: Vec<Lease<&'static Router<RoundRobin>>>,
    pub error: SelectError,
}

impl Failing {
    fn new(endpoints: impl IntoIterator<Item = Endpoint>, filter: Filter, error: SelectError) -> Self {
        let options = Options::new().failures(1).open_for(OPEN_FOR).max_ejected(1_000);
        let routes = Routes::new(RoundRobin, options, endpoints);
        Self { routes, filter, class: None, tried: false, _held: Vec::new(), error }
    }

    /// The error of the next request.
    pub fn select(&mut self) -> SelectError {
        let own = self.routes.selector.class(self.filter).unwrap();
        let class = self.class.unwrap_or(own);
        let tried = if self.tried { self.routes.ids.clone() } else { Vec::new() };
        self.routes.selector.select(&Request::new(class).excluding(&tried), NOW).unwrap_err()
    }
}

/// When the breakers that are open in [`all`] admit a probe: spans are in ticks of 1,024 us, rounded up.
fn retry_at() -> Instant {
    NOW + Duration::from_micros(OPEN_FOR.as_micros().div_ceil(1_024) * 1_024)
}

/// Each way to fail, some twice.
pub fn all() -> Vec<Failing> {
    let tags = Tags::NONE.with(Tag::of::<7>());
    let one = || [Endpoint::new(1)];
    let open = SelectError::AllBreakersOpen { retry_at: retry_at() };
    let mut all = vec![
        Failing::new([], Filter::ANY, SelectError::Empty),
        Failing::new(one(), Filter::ANY.tags(tags), SelectError::NoTagMatch),
        Failing::new(one(), Filter::ANY.tier(Tier::of::<3>()), SelectError::NoTagMatch),
        Failing::new(
            one(),
            Filter::ANY.prefer(Zone::of::<3>()).unwrap().confined(),
            SelectError::NoZoneMatch,
        ),
        Failing::new([Endpoint::new(1).health(Health::Unhealthy)], Filter::ANY, SelectError::AllUnhealthy),
        Failing::new([Endpoint::new(1).weight(0)], Filter::ANY, SelectError::AllUnhealthy),
        Failing::new([Endpoint::new(1).enabled(false)], Filter::ANY, SelectError::AllUnhealthy),
    ];
    let mut broken = Failing::new(one(), Filter::ANY, open);
    broken.routes.beside_a_spare(NOW, |routes| routes.lease_of(0, NOW).fail(Duration::ZERO, NOW));
    all.push(broken);
    let mut full = Failing::new([Endpoint::new(1).cap(1)], Filter::ANY, SelectError::AllAtCapacity);
    full._held.push(full.routes.selector.select(&Request::ANY, NOW).unwrap());
    all.push(full);
    let mut foreign = Failing::new(one(), Filter::ANY, SelectError::ForeignClass);
    let mut other = chooser(foreign.routes.balancer, 3);
    foreign.class = Some(other.class(Filter::ANY.tags(tags)).unwrap());
    all.push(foreign);
    let mut tried = Failing::new(one(), Filter::ANY, SelectError::AllTried);
    tried.tried = true;
    all.push(tried);
    all
}
