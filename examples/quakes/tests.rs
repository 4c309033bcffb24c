use quake_table::EVENTS;

use super::*;

const CELL: Cell = Cell { lat: 1, lon: 0 };
const OTHER: Cell = Cell { lat: 2, lon: 0 };

fn quake(t_ms: u32, cell: Cell) -> Event {
    Event { t_ms, mag: Magnitude::from_hundredths(100), cell, net: 0, kind: Kind::Earthquake }
}

/// For each of these earthquakes in one cell: whether it completes a swarm.
fn swarms(times: &[u32]) -> Vec<bool> {
    let mut detector = Detector::<1>::new();
    times.iter().map(|&t_ms| detector.observe(&quake(t_ms, CELL)).unwrap().is_some()).collect()
}

#[test]
fn five_earthquakes_within_an_hour_are_a_swarm() {
    assert_eq!(swarms(&[0, 1, 2, 3, WINDOW_MS]), [false, false, false, false, true]);
    assert_eq!(swarms(&[0, 1, 2, 3, WINDOW_MS + 1]), [false; 5]);
}

#[test]
fn a_cell_alerts_again_only_after_a_pause() {
    let end = 2 * WINDOW_MS;
    assert!(!swarms(&[0, 0, 0, 0, WINDOW_MS, end, end, end, end, end])[5..].contains(&true));
    assert_eq!(
        swarms(&[0, 0, 0, 0, WINDOW_MS, end, end, end, end, end + 1])[5..],
        [false, false, false, false, true]
    );
}

#[test]
fn what_is_not_an_earthquake_counts_for_no_swarm() {
    let mut detector = Detector::<1>::new();
    for _ in 0..SWARM {
        let blast = Event { kind: Kind::Quarry, ..quake(0, CELL) };
        assert_eq!(detector.observe(&blast), Ok(None));
    }
}

#[test]
fn a_cell_is_forgotten_once_it_can_not_matter() {
    let mut detector = Detector::<1>::new();
    assert_eq!(detector.observe(&quake(0, CELL)), Ok(None));
    assert_eq!(detector.observe(&quake(WINDOW_MS, OTHER)), Err(DetectorError::Full { cell: OTHER }));
    assert_eq!(detector.observe(&quake(WINDOW_MS + 1, OTHER)), Ok(None));
}

#[test]
fn an_event_out_of_order_is_refused() {
    let mut detector = Detector::<1>::new();
    assert_eq!(detector.observe(&quake(7, CELL)), Ok(None));
    assert_eq!(detector.observe(&quake(6, CELL)), Err(DetectorError::OutOfOrder { latest_ms: 7 }));
    assert_eq!(detector.observe(&quake(7, CELL)), Ok(None));
}

/// The rule as one would say it: looks back over all events.
fn oracle(index: usize, alerts: &[Swarm]) -> Option<Swarm> {
    let Event { t_ms, cell, .. } = EVENTS[index];
    let recent = |then: u32| t_ms - then <= WINDOW_MS;
    let quakes = EVENTS[..=index].iter().filter(|event| event.kind == Kind::Earthquake && event.cell == cell);
    let swarm =
        EVENTS[index].kind == Kind::Earthquake && quakes.filter(|event| recent(event.t_ms)).count() >= SWARM;
    let alerted = alerts.iter().any(|alert| alert.cell == cell && recent(alert.t_ms));
    (swarm && !alerted).then_some(Swarm { t_ms, cell })
}

#[test]
fn a_week_gives_the_swarms_that_looking_back_over_all_of_it_gives() {
    let mut detector = Detector::<16>::new();
    let mut alerts = Vec::new();
    for (index, event) in EVENTS.iter().enumerate() {
        let swarm = detector.observe(event).unwrap();
        assert_eq!(swarm, oracle(index, &alerts), "event {index}");
        alerts.extend(swarm);
    }
    assert_eq!(alerts.len(), 18);
}
