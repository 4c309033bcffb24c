//! Configurations: what they say is what a balancer gets, and what is wrong is said.

use trilane::route::{
    Endpoint, FailureRate, Filter, Health, Kind, Options, RoutingKey, Tag, Tags, Tier, Zone,
};
use trilane::time::Duration;
use trilane_std::route::{Config, ConfigError, Names, NamesError, Resolved};

fn resolve(text: &str, names: &mut Names) -> Result<Resolved, ConfigError> {
    toml::from_str::<Config>(text).unwrap_or_else(|error| panic!("{error}")).resolve(names)
}

const ALL: &str = r#"
    strategy = "least_connections"

    [options]
    failures = 4
    failure_rate = { permille = 250, window = "20s", at_least = 30 }
    open_for = "2s"
    open_at_most = "1m 4s"
    seed = 9
    probe_window = "300ms"
    probes = 2
    max_ejected = 300
    panic_below = 400
    panic_hosts = 5
    overprovisioning = 1600
    spill_from = 700
    slow_start = "1h"
    stale_after = "90s"
    route_unknown = true

    [[endpoints]]
    name = "a"
    address = "[::1]:80"
    weight = 0
    tier = 7
    zone = "south"
    tags = ["gpu", "beta"]
    cap = 3
    enabled = false

    [[endpoints]]
    number = 12

    [[endpoints]]
    name = "c"
    number = 18446744073709551615
    zone = "north"
    tags = ["beta"]

    [filters.near]
    tags = ["beta"]
    tier = 2
    prefer = ["north", "east"]
    confined = true

    [filters.all]
"#;

#[test]
fn all_of_it_is_read() {
    let mut names = Names::new();
    let resolved = resolve(&ALL.replace("18446744073709551615", "77"), &mut names).unwrap();
    let rate = FailureRate { permille: 250, window: Duration::from_secs(20), at_least: 30 };
    let options = Options::new()
        .failures(4)
        .failure_rate(rate)
        .open_for(Duration::from_secs(2))
        .open_at_most(Duration::from_secs(64))
        .seed(9)
        .probe_window(Duration::from_millis(300))
        .probes(2)
        .max_ejected(300)
        .panic_below(400)
        .panic_hosts(5)
        .overprovisioning(1_600)
        .spill_from(700)
        .slow_start(Duration::from_secs(3_600))
        .stale_after(Duration::from_secs(90))
        .route_unknown(true);
    assert_eq!((resolved.strategy, resolved.options), (Kind::LeastConnections, options));

    // In the order in which they are met: endpoints first.
    let [south, north, east] = ["south", "north", "east"].map(|zone| names.known_zone(zone).unwrap());
    let [gpu, beta] = ["gpu", "beta"].map(|tag| names.known_tag(tag).unwrap());
    assert_eq!([south, north, east].map(Zone::number), [0, 1, 2]);
    assert_eq!([gpu, beta].map(Tag::number), [0, 1]);
    let a = Endpoint::new(RoutingKey::new(b"a").hash())
        .weight(0)
        .tier(Tier::of::<7>())
        .zone(south)
        .tags(Tags::NONE.with(gpu).with(beta))
        .cap(3)
        .enabled(false);
    let c = Endpoint::new(77).zone(north).tags(Tags::NONE.with(beta));
    let endpoints: Vec<_> = resolved.endpoints.iter().map(|named| named.endpoint).collect();
    assert_eq!(endpoints, [a, Endpoint::new(12).health(Health::Healthy), c]);
    assert_eq!(resolved.endpoints.iter().map(|named| &*named.name).collect::<Vec<_>>(), ["a", "12", "c"]);
    assert_eq!(resolved.endpoints[0].address.as_deref(), Some("[::1]:80"));
    let near = Filter::ANY.tags(Tags::NONE.with(beta)).tier(Tier::of::<2>());
    let near = near.prefer(north).unwrap().prefer(east).unwrap().confined();
    assert_eq!(resolved.filters.len(), 2);
    assert_eq!((resolved.filters["near"], resolved.filters["all"]), (near, Filter::ANY));
}

#[test]
fn the_same_in_json() {
    let text = ALL.replace("18446744073709551615", "77");
    let value: serde_json::Value = toml::from_str(&text).unwrap();
    let json: Config = serde_json::from_str(&value.to_string()).unwrap();
    assert_eq!(json, toml::from_str(&text).unwrap());
    // Where numbers are 64 bits.
    let json: Config = serde_json::from_str(r#"{"endpoints":[{"number":18446744073709551615}]}"#).unwrap();
    let resolved = json.resolve(&mut Names::new()).unwrap();
    assert_eq!(resolved.endpoints[0].endpoint, Endpoint::new(u64::MAX));
    assert_eq!((resolved.strategy, resolved.options), (Kind::RoundRobin, Options::new()));
}

#[test]
fn what_a_format_cannot_take_names_the_place_and_what_to_write() {
    let text = |line: &str| format!("endpoints = []\n{line}\n");
    for (line, said) in [
        ("strategy = \"round robbin\"", "\"round robin\" \"weighted round robin\""),
        ("colour = 3", "unknown field `colour`"),
        ("[options]\nfailure = 3", "unknown field `failure`"),
        (
            "[options]\nopen_for = \"3 weeks\"",
            "\"3 weeks\" is no span of time: write whole numbers with units",
        ),
        ("[options]\nopen_for = 3", "expected a string"),
        ("[options]\npanic_below = 1001", "1001 is no share: write 0 to 1000 permille"),
        ("[options]\nfailure_rate = { permille = 1, window = \"1s\" }", "missing field `at_least`"),
        ("[options]\nprobes = 256", "invalid value: integer `256`"),
        ("[filters.a]\nzone = \"x\"", "unknown field `zone`"),
    ] {
        let error = toml::from_str::<Config>(&text(line)).unwrap_err().to_string();
        assert!(error.contains(said), "{line}: {error}");
        assert!(error.contains("line "), "{line}: {error}");
    }
    let endpoint = "[[endpoints]]\nname = \"a\"\nweigth = 3";
    assert!(toml::from_str::<Config>(endpoint).unwrap_err().to_string().contains("unknown field `weigth`"));
    assert!(toml::from_str::<Config>("").unwrap_err().to_string().contains("missing field `endpoints`"));
}

#[test]
fn what_makes_no_sense_is_an_error_and_names_stay_as_they_were() {
    let name = String::from;
    let a_and = |rest: &str| format!("[[endpoints]]\nname = \"a\"\nzone = \"new\"\n{rest}");
    for (text, expected) in [
        (a_and("[[endpoints]]\nweight = 1"), ConfigError::Nameless(1)),
        (a_and("[[endpoints]]\nname = \"a\"\nnumber = 4"), ConfigError::SameName(name("a"))),
        (
            a_and("[[endpoints]]\nname = \"b\"\nnumber = 4\n[[endpoints]]\nname = \"c\"\nnumber = 4"),
            ConfigError::SameNumber(name("b"), name("c")),
        ),
        (a_and("cap = 0"), ConfigError::ZeroCap(name("a"))),
        (a_and("tier = 8"), ConfigError::Tier(name("a"), Tier::new(8).unwrap_err())),
        (format!("zones = [\"x\"]\n{}", a_and("")), ConfigError::UnknownZone(name("a"), name("new"))),
        (
            format!("tags = [\"x\"]\n{}", a_and("tags = [\"y\"]")),
            ConfigError::UnknownTag(name("a"), name("y")),
        ),
        (
            a_and("[filters.f]\nprefer = [\"1\", \"2\", \"3\", \"4\", \"5\"]"),
            ConfigError::TooManyZones(name("f")),
        ),
        (a_and("[filters.f]\ntier = 9"), ConfigError::Tier(name("f"), Tier::new(9).unwrap_err())),
        (
            format!(
                "zones = [\"1\"]\n{}",
                a_and("").replace("zone = \"new\"", "") + "[filters.f]\nprefer = [\"2\"]"
            ),
            ConfigError::UnknownZone(name("f"), name("2")),
        ),
        (
            a_and("[options]\nprobe_window = \"0s\""),
            ConfigError::Options(Options::new().probe_window(Duration::ZERO).check().unwrap_err()),
        ),
    ] {
        let mut names = Names::new();
        names.zone("old").unwrap();
        let before = names.clone();
        let error = resolve(&text, &mut names).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert_eq!(names, before, "{text}");
        assert!(error.to_string().len() > 20);
    }
}

#[test]
fn names_keep_their_numbers_from_one_configuration_to_the_next() {
    let endpoints = |zones: &[&str]| {
        let endpoint = |(number, zone)| format!("[[endpoints]]\nnumber = {number}\nzone = \"{zone}\"\n");
        zones.iter().enumerate().map(endpoint).collect::<String>()
    };
    let mut names = Names::new();
    resolve(&endpoints(&["a", "b"]), &mut names).unwrap();
    let resolved = resolve(&endpoints(&["c", "b"]), &mut names).unwrap();
    let zones = resolved.endpoints.iter().map(|named| named.endpoint.get_zone().number());
    assert_eq!(zones.collect::<Vec<_>>(), [2, 1]);
    assert_eq!(names.zone_name(Zone::of::<0>()), Some("a"));
    assert_eq!(names.zone_name(Zone::of::<3>()), None);

    // A list gives the order.
    let mut listed = Names::new();
    let text = format!("zones = [\"b\", \"a\"]\ntags = [\"t\"]\n{}", endpoints(&["a", "b"]));
    resolve(&text, &mut listed).unwrap();
    assert_eq!(
        (listed.known_zone("b"), listed.known_tag("t")),
        (Some(Zone::of::<0>()), Some(Tag::of::<0>()))
    );

    // Sixteen and no more, of which these three are some.
    let many: Vec<_> = (0..13).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    resolve(&endpoints(&many), &mut names).unwrap();
    let before = names.clone();
    let error = resolve(&endpoints(&["12", "a", "one more"]), &mut names).unwrap_err();
    assert_eq!(error, ConfigError::Names(NamesError::TooManyZones("one more".into())));
    assert_eq!(names, before);
    for number in 0..32 {
        names.tag(&number.to_string()).unwrap();
    }
    assert_eq!(names.tag("x"), Err(NamesError::TooManyTags("x".into())));
    assert_eq!(names.tag("31"), Ok(Tag::of::<31>()));
    assert_eq!(names.tag_name(Tag::of::<31>()), Some("31"));
}
