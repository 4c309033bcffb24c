//! A router's configuration, as it stands in a file.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use trilane::route::{
    Endpoint, FailureRate, Filter, Kind, MAX_FILTER_ZONES, Options, OptionsError, OutOfRange, RoutingKey,
    Tags, Tier,
};
use trilane::time::Duration;

use super::names::{Names, NamesError};
use super::span;

/// Strategy, options, endpoints and filters of a balancer: what a file says, in any format that serde knows.
///
/// Only the endpoints are needed. What a file doesn't say is as in [`Options::new`] and [`Endpoint::new`];
/// what it says and isn't known is an error. Spans of time are strings with units: `"250ms"`, `"1m 30s"`;
/// units are `us`, `ms`, `s`, `m`, `h` and `d`, and a number without one is an error. Shares are numbers in
/// permille.
///
/// Zones and tags are names. The first that is met gets number 0, and so on: see [`Names`]. A configuration
/// that lists its `zones` (or `tags`) gives their order, and then every other name is an error.
///
/// [`resolve`](Self::resolve) makes of it what a balancer takes.
///
/// # Examples
///
/// ```
/// use trilane::route::{Kind, Tier};
/// use trilane::time::Duration;
/// use trilane_std::route::{Config, Names};
///
/// let text = r#"
///     strategy = "power of two"
///     zones = ["here", "there"]
///
///     [options]
///     failures = 3
///     open_for = "500ms"
///
///     [[endpoints]]
///     name = "a"
///     address = "10.0.0.1:80"
///     weight = 3
///     zone = "here"
///     tags = ["gpu"]
///
///     [[endpoints]]
///     name = "b"
///     number = 17
///     zone = "there"
///     tier = 1
///     cap = 100
///
///     [filters.near]
///     prefer = ["here"]
///     tags = ["gpu"]
/// "#;
/// let config: Config = toml::from_str(text)?;
/// let resolved = config.resolve(&mut Names::new())?;
/// assert_eq!(resolved.strategy, Kind::PowerOfTwo);
/// assert_eq!(resolved.options.get_failures(), 3);
/// assert_eq!(resolved.endpoints[0].address.as_deref(), Some("10.0.0.1:80"));
/// assert_eq!(resolved.endpoints[1].endpoint.get_tier(), Tier::of::<1>());
/// assert_eq!(resolved.filters["near"].preferred().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A strategy's [name](Kind::name), words apart or joined by `-` or `_`; round robin if there is none.
    #[serde(default = "round_robin", deserialize_with = "strategy")]
    pub strategy: Kind,
    /// How the balancer treats its endpoints.
    #[serde(default)]
    pub options: OptionsConfig,
    /// The names of zones, in the order of their numbers.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    /// The names of tags, in the order of their numbers.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// The endpoints.
    pub endpoints: Vec<EndpointConfig>,
    /// Filters by name.
    #[serde(default)]
    pub filters: BTreeMap<String, FilterConfig>,
}

/// The fields of [`Options`], each of which may be left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each field is named after the function of `Options` that sets it")]
pub struct OptionsConfig {
    pub failures: Option<u16>,
    pub failure_rate: Option<FailureRateConfig>,
    #[serde(deserialize_with = "span::option")]
    pub open_for: Option<Duration>,
    #[serde(deserialize_with = "span::option")]
    pub open_at_most: Option<Duration>,
    pub seed: Option<u32>,
    #[serde(deserialize_with = "span::option")]
    pub probe_window: Option<Duration>,
    pub probes: Option<u8>,
    #[serde(deserialize_with = "optional_share")]
    pub max_ejected: Option<u16>,
    #[serde(deserialize_with = "optional_share")]
    pub panic_below: Option<u16>,
    pub panic_hosts: Option<u16>,
    pub overprovisioning: Option<u16>,
    #[serde(deserialize_with = "optional_share")]
    pub spill_from: Option<u16>,
    #[serde(deserialize_with = "span::option")]
    pub slow_start: Option<Duration>,
    #[serde(deserialize_with = "span::option")]
    pub stale_after: Option<Duration>,
    pub route_unknown: Option<bool>,
}

/// The fields of [`FailureRate`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is named after the one of `FailureRate`")]
pub struct FailureRateConfig {
    #[serde(deserialize_with = "share")]
    pub permille: u16,
    #[serde(deserialize_with = "span::deserialize")]
    pub window: Duration,
    pub at_least: u16,
}

/// An endpoint: a name or a number, and whatever differs from [`Endpoint::new`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointConfig {
    /// What people call it. Without a number, its number is the [`RoutingKey`] of the name, XXH3-64.
    pub name: Option<String>,
    /// The balancer's number for it.
    pub number: Option<u64>,
    /// How the program reaches it; not looked at.
    pub address: Option<String>,
    /// Its weight; 0 drains it.
    pub weight: Option<u16>,
    /// Its tier, 0 to 7.
    pub tier: Option<u8>,
    /// The name of its zone. Without one it is in zone 0, the first that has a name.
    pub zone: Option<String>,
    /// The names of its tags.
    pub tags: Vec<String>,
    /// The most leases at a time, at least 1.
    pub cap: Option<u32>,
    /// Whether it may get anything.
    pub enabled: Option<bool>,
}

/// A filter: whatever differs from [`Filter::ANY`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// The names of the tags that an endpoint must have, all of them.
    pub tags: Vec<String>,
    /// The only tier, 0 to 7.
    pub tier: Option<u8>,
    /// The names of the zones to prefer, in order.
    pub prefer: Vec<String>,
    /// Whether only those zones may serve.
    pub confined: bool,
}

fn round_robin() -> Kind {
    Kind::RoundRobin
}

fn strategy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    String::deserialize(deserializer)?.replace(['-', '_'], " ").parse().map_err(D::Error::custom)
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        permille @ 0..=1_000 => Ok(permille),
        more => Err(D::Error::custom(format_args!("{more} is no share: write 0 to 1000 permille"))),
    }
}

fn optional_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    share(deserializer).map(Some)
}

/// What a balancer takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// For [`AnyStrategy`](trilane::route::AnyStrategy).
    pub strategy: Kind,
    /// For [`Balancer::new`](trilane::route::Balancer::new) or
    /// [`configure`](trilane::route::Balancer::configure); they have been checked.
    pub options: Options,
    /// For [`Directory::sync`](super::Directory::sync), in the order of the configuration.
    pub endpoints: Vec<NamedEndpoint>,
    /// For [`Selector::class`](trilane::route::Selector::class).
    pub filters: BTreeMap<String, Filter>,
}

/// An endpoint and what the program calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEndpoint {
    /// Its name, or its number as a text.
    pub name: String,
    /// Its address, if the configuration has one.
    pub address: Option<String>,
    /// What a balancer takes.
    pub endpoint: Endpoint,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The endpoint at this place, counted from 0, has neither a name nor a number.
    Nameless(usize),
    /// Two endpoints have this name.
    SameName(String),
    /// Two endpoints have the same number: the names of both.
    SameNumber(String, String),
    /// The endpoint of this name has a cap of 0.
    ZeroCap(String),
    /// The endpoint or filter of this name is in a tier that doesn't exist.
    Tier(String, OutOfRange),
    /// The endpoint or filter of the first name is in a zone that isn't listed.
    UnknownZone(String, String),
    /// The endpoint or filter of the first name has a tag that isn't listed.
    UnknownTag(String, String),
    /// The filter of this name prefers too many zones.
    TooManyZones(String),
    /// There are too many names.
    Names(NamesError),
    /// A balancer can't go by the options.
    Options(OptionsError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nameless(at) => {
                write!(f, "endpoint {} has neither a name nor a number: give it one", at + 1)
            }
            Self::SameName(name) => write!(f, "two endpoints are called \"{name}\": rename one"),
            Self::SameNumber(one, other) => {
                write!(f, "the endpoints \"{one}\" and \"{other}\" have the same number: give one another")
            }
            Self::ZeroCap(name) => {
                write!(
                    f,
                    "the endpoint \"{name}\" has a cap of 0, which admits nothing: use weight 0 to drain"
                )
            }
            Self::Tier(name, error) => write!(f, "the tier of \"{name}\": {error}"),
            Self::UnknownZone(name, zone) => {
                write!(f, "\"{name}\" is in the zone \"{zone}\", which `zones` doesn't list: add it there")
            }
            Self::UnknownTag(name, tag) => {
                write!(f, "\"{name}\" has the tag \"{tag}\", which `tags` doesn't list: add it there")
            }
            Self::TooManyZones(name) => write!(
                f,
                "the filter \"{name}\" prefers more than {MAX_FILTER_ZONES} zones: leave some to \"any\""
            ),
            Self::Names(error) => error.fmt(f),
            Self::Options(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<NamesError> for ConfigError {
    fn from(error: NamesError) -> Self {
        Self::Names(error)
    }
}

impl Config {
    /// Makes of the configuration what a balancer takes; new names get their numbers in `names`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] says what is wrong, and of whom; `names` is what it was then.
    pub fn resolve(&self, names: &mut Names) -> Result<Resolved, ConfigError> {
        let mut known = names.clone();
        for zone in self.zones.iter().flatten() {
            known.zone(zone)?;
        }
        for tag in self.tags.iter().flatten() {
            known.tag(tag)?;
        }
        let options = self.options.resolve()?;
        let mut endpoints: Vec<NamedEndpoint> = Vec::with_capacity(self.endpoints.len());
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let endpoint = self.endpoint(at, endpoint, &mut known)?;
            for other in &endpoints {
                if other.name == endpoint.name {
                    return Err(ConfigError::SameName(endpoint.name));
                }
                if other.endpoint.number() == endpoint.endpoint.number() {
                    return Err(ConfigError::SameNumber(other.name.clone(), endpoint.name));
                }
            }
            endpoints.push(endpoint);
        }
        let filters = self.filters.iter().map(|(name, filter)| {
            Ok::<_, ConfigError>((name.clone(), self.filter(name, filter, &mut known)?))
        });
        let filters = filters.collect::<Result<_, _>>()?;
        *names = known;
        Ok(Resolved { strategy: self.strategy, options, endpoints, filters })
    }

    fn endpoint(
        &self,
        at: usize,
        config: &EndpointConfig,
        names: &mut Names,
    ) -> Result<NamedEndpoint, ConfigError> {
        let (name, number) = match (&config.name, config.number) {
            (Some(name), number) => {
                (name.clone(), number.unwrap_or_else(|| RoutingKey::new(name.as_bytes()).hash()))
            }
            (None, Some(number)) => (number.to_string(), number),
            (None, None) => return Err(ConfigError::Nameless(at)),
        };
        let mut endpoint = Endpoint::new(number).tags(self.tags(&name, &config.tags, names)?);
        if let Some(weight) = config.weight {
            endpoint = endpoint.weight(weight);
        }
        if let Some(tier) = config.tier {
            endpoint = endpoint.tier(tier_of(&name, tier)?);
        }
        if let Some(zone) = &config.zone {
            self.check_zone(&name, zone)?;
            endpoint = endpoint.zone(names.zone(zone)?);
        }
        match config.cap {
            Some(0) => return Err(ConfigError::ZeroCap(name)),
            Some(cap) => endpoint = endpoint.cap(cap),
            None => {}
        }
        if let Some(enabled) = config.enabled {
            endpoint = endpoint.enabled(enabled);
        }
        Ok(NamedEndpoint { name, address: config.address.clone(), endpoint })
    }

    fn filter(&self, name: &str, config: &FilterConfig, names: &mut Names) -> Result<Filter, ConfigError> {
        let mut filter = Filter::ANY.tags(self.tags(name, &config.tags, names)?);
        if let Some(tier) = config.tier {
            filter = filter.tier(tier_of(name, tier)?);
        }
        for zone in &config.prefer {
            self.check_zone(name, zone)?;
            let zone = names.zone(zone)?;
            filter = filter.prefer(zone).map_err(|_| ConfigError::TooManyZones(name.into()))?;
        }
        Ok(if config.confined { filter.confined() } else { filter })
    }

    /// `zones`, if there is such a list, has all of them.
    fn check_zone(&self, name: &str, zone: &String) -> Result<(), ConfigError> {
        let unknown = self.zones.as_ref().is_some_and(|listed| !listed.contains(zone));
        if unknown { Err(ConfigError::UnknownZone(name.into(), zone.clone())) } else { Ok(()) }
    }

    fn tags(&self, name: &str, tags: &[String], names: &mut Names) -> Result<Tags, ConfigError> {
        let mut all = Tags::NONE;
        for tag in tags {
            if self.tags.as_ref().is_some_and(|listed| !listed.contains(tag)) {
                return Err(ConfigError::UnknownTag(name.into(), tag.clone()));
            }
            all = all.with(names.tag(tag)?);
        }
        Ok(all)
    }
}

fn tier_of(name: &str, tier: u8) -> Result<Tier, ConfigError> {
    Tier::new(tier).map_err(|error| ConfigError::Tier(name.into(), error))
}

impl OptionsConfig {
    fn resolve(&self) -> Result<Options, ConfigError> {
        let rate = self.failure_rate.as_ref().map(|rate| {
            let &FailureRateConfig { permille, window, at_least } = rate;
            FailureRate { permille, window, at_least }
        });
        let mut options = Options::new();
        macro_rules! set {
            ($($name:ident: $value:expr,)*) => {
                $(if let Some(value) = $value { options = options.$name(value); })*
            };
        }
        set! {
            failures: self.failures,
            failure_rate: rate,
            open_for: self.open_for,
            open_at_most: self.open_at_most,
            seed: self.seed,
            probe_window: self.probe_window,
            probes: self.probes,
            max_ejected: self.max_ejected,
            panic_below: self.panic_below,
            panic_hosts: self.panic_hosts,
            overprovisioning: self.overprovisioning,
            spill_from: self.spill_from,
            slow_start: self.slow_start,
            stale_after: self.stale_after,
            route_unknown: self.route_unknown,
        }
        options.check().map_err(ConfigError::Options)
    }
}
