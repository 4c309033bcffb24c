//! The example of a gateway: whatever its script does, each request is answered, by whom it should be.

#[path = "../examples/gateway_pool/main.rs"]
#[allow(dead_code, reason = "`main` is the example's")]
mod gateway_pool;

use gateway_pool::Row;

#[test]
fn nothing_is_lost_while_backends_are_slow_die_and_change() {
    let mut story = Vec::new();
    let summary = gateway_pool::run(&mut story).unwrap();
    let story = String::from_utf8(story).unwrap();
    println!("{story}");
    let phase = |name| &summary.phases.iter().find(|(phase, _)| *phase == name).unwrap().1;
    let of = |row: &Row, name: &str| row.answered.get(name).copied().unwrap_or(0);

    assert_eq!((summary.lost, summary.answered), (0, summary.sent), "{story}");
    let answered: u64 = summary.phases.iter().flat_map(|(_, row)| row.answered.values()).sum();
    assert_eq!(answered, summary.answered);
    assert!(story.ends_with("lost 0\n") && summary.sent > 100, "{story}");
    assert_eq!(summary.in_flight, 0, "leases are out");

    // All five have their part, and the sixth isn't asked.
    let calm = phase("calm");
    assert!(["a", "b", "c", "d", "e"].iter().all(|name| of(calm, name) > 0) && of(calm, "f") == 0, "{story}");
    // The others don't wait for the slow one.
    let slow = phase("b is slow");
    assert!(2 * of(slow, "b") < ["a", "c", "d", "e"].map(|name| of(slow, name)).into_iter().min().unwrap());
    // From the moment of the reload on, nothing goes to the one that is gone.
    let reloaded = phase("a weighs 4, f for e");
    assert_eq!(of(reloaded, "e"), 0, "{story}");
    assert!(of(reloaded, "f") > 0, "{story}");
    assert!(["b", "c", "d", "f"].iter().all(|name| of(reloaded, name) < of(reloaded, "a")), "{story}");
    // A file with a mistake changes nothing.
    assert_eq!((summary.reloads, summary.refused.len()), (2, 1));
    assert!(summary.refused[0].contains("unknown field `colour`"), "{:?}", summary.refused);
    // A try that began before it started again may be answered after that: one a worker at most.
    let dead = phase("c is dead");
    assert!(of(dead, "c") <= 8 && of(dead, "d") > 8, "{story}");
    assert!(dead.failed + reloaded.failed > 0, "it wasn't killed: {story}");
    assert!(summary.health_changes >= 2, "its death went unnoticed: {story}");
    assert!(of(phase("c is back"), "c") > 0, "{story}");
}
