//! What the table holds, counted from the catalogue by other means.

use quake_table::{Cell, EVENTS, Event, Kind, Magnitude, NETWORKS};

#[test]
fn no_row_and_no_network_is_lost() {
    assert_eq!(EVENTS.len(), 1_707);
    assert_eq!(NETWORKS, ["ak", "ci", "hv", "mb", "nc", "nm", "nn", "pr", "se", "us", "uu", "uw"]);
    let per_network = NETWORKS.map(|code| EVENTS.iter().filter(|event| event.network() == code).count());
    assert_eq!(per_network, [297, 386, 46, 28, 370, 5, 260, 62, 1, 168, 33, 51]);
}

#[test]
fn kinds_are_kept() {
    let count = |kind| EVENTS.iter().filter(|event| event.kind == kind).count();
    assert_eq!([Kind::Earthquake, Kind::Explosion, Kind::Quarry].map(count), [1_679, 15, 13]);
}

#[test]
fn the_first_and_the_last_row_are_right() {
    let first = Event {
        t_ms: 0,
        mag: Magnitude::from_hundredths(31),
        cell: Cell { lat: 46, lon: -123 },
        net: 11,
        kind: Kind::Earthquake,
    };
    let last = Event {
        t_ms: 603_374_190,
        mag: Magnitude::from_hundredths(200),
        cell: Cell { lat: 34, lon: -119 },
        net: 1,
        kind: Kind::Earthquake,
    };
    assert_eq!(EVENTS[0], first);
    assert_eq!(EVENTS[EVENTS.len() - 1], last);
    assert_eq!((first.network(), last.network()), ("uw", "ci"));
}

#[test]
fn time_ascends_and_positions_are_on_the_globe() {
    assert!(EVENTS.is_sorted_by(|a, b| a.t_ms < b.t_ms));
    assert!(EVENTS.iter().all(|e| (-90..=90).contains(&e.cell.lat) && (-180..=180).contains(&e.cell.lon)));
}

#[test]
fn an_event_takes_twelve_bytes() {
    assert_eq!(size_of::<Event>(), 12);
}

#[test]
fn an_unknown_network_has_a_placeholder() {
    assert_eq!(Event { net: 12, ..EVENTS[0] }.network(), "?");
}
