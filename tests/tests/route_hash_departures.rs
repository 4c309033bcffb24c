//! Members that go from a hash table and come back: whose keys move, where to, and when.

use trilane::route::{
    Balancer, ConsistentHash, Endpoint, Maglev, Options, Random, Request, Ring, RoutingKey, Selector,
    SizedTable,
};
use trilane::time::Instant;

const NOW: Instant = Instant::ZERO;
const KEYS: u64 = 20_000;

type World<T> = Balancer<ConsistentHash<T>, 4, 32, 2>;
type Chooser<'a, T> = Selector<&'a World<T>, ConsistentHash<T>, 4, 32, 2, 1>;

fn world<T: SizedTable>(table: T, members: u64) -> Box<World<T>> {
    let world = Box::new(World::new(ConsistentHash::new(table), Options::new()));
    for id in 0..members {
        world.add(&Endpoint::new(id), NOW).unwrap();
    }
    assert!(world.finish_build());
    world
}

fn places<T: SizedTable>(world: &World<T>, chooser: &mut Chooser<'_, T>) -> Vec<u64> {
    // Numbers by slots, since `find` takes a while.
    let mut numbers = std::collections::BTreeMap::new();
    (0..1_000).filter_map(|number| Some((world.find(number)?, number))).for_each(|(id, number)| {
        numbers.insert(id, number);
    });
    let request = |key| Request::ANY.key(RoutingKey::from_id(key));
    (0..KEYS).map(|key| numbers[&chooser.select(&request(key), NOW).unwrap().endpoint()]).collect()
}

/// Only keys of `gone` have moved, to all others alike.
fn only_theirs_moved(before: &[u64], after: &[u64], gone: &[u64], others: u64) {
    let mut counts = std::collections::BTreeMap::new();
    let mut moved = 0;
    for (before, after) in before.iter().zip(after) {
        assert!(!gone.contains(after));
        if gone.contains(before) {
            moved += 1;
            *counts.entry(*after).or_insert(0u32) += 1;
        } else {
            assert_eq!(before, after);
        }
    }
    let mean = f64::from(moved) / others as f64;
    let most = counts.values().max().copied().unwrap_or(0);
    // A ring's shares have a deviation of their own.
    assert!(f64::from(most) < 1.5 * mean + 5.0 * mean.sqrt(), "{most} of {mean}");
}

fn departures<T: SizedTable>(table: T) {
    let world = world(table, 60);
    let mut chooser: Chooser<'_, T> = Selector::new(&*world, 1).unwrap();
    let mut other: Chooser<'_, T> = Selector::new(&*world, 2).unwrap();
    let before = places(&world, &mut chooser);
    let gone = [3, 17, 18, 40, 59];
    for (count, id) in gone.iter().enumerate() {
        let last = places(&world, &mut chooser);
        world.remove(world.find(*id).unwrap(), NOW).unwrap();
        let after = places(&world, &mut chooser);
        only_theirs_moved(&last, &after, &gone[..=count], 59 - count as u64);
        assert_eq!(after, places(&world, &mut other), "selectors agree");
    }
    // Nothing is left to build, so nothing moves a second time.
    let during = places(&world, &mut chooser);
    assert!(world.finish_build());
    assert_eq!(during, places(&world, &mut chooser));
    only_theirs_moved(&before, &during, &gone, 55);
    // In another order than they went.
    for id in [40, 3, 59, 17, 18] {
        world.add(&Endpoint::new(id), NOW).unwrap();
    }
    assert_eq!(before, places(&world, &mut chooser));
    assert!(world.finish_build());
    assert_eq!(before, places(&world, &mut chooser));
}

#[test]
fn keys_of_a_ring_s_departed_go_to_all_others_at_once_and_come_back() {
    departures(Ring::<20_480, 4_096>::new());
}

#[test]
fn keys_of_a_maglev_s_departed_go_to_all_others_at_once_and_come_back() {
    departures(Maglev::<16_381, 128>::new());
}

fn switches<T: SizedTable>(table: T, anew: T) {
    // Nearly full: a switch takes no slot.
    let world = world(table, 126);
    let mut chooser: Chooser<'_, T> = Selector::new(&*world, 1).unwrap();
    let before = places(&world, &mut chooser);
    let switch = |id, on| {
        world.update(world.find(id).unwrap(), &Endpoint::new(id).enabled(on), NOW).unwrap();
    };
    let off = [3, 17, 18, 40, 59];
    for (count, id) in off.iter().enumerate() {
        let last = places(&world, &mut chooser);
        switch(*id, false);
        only_theirs_moved(&last, &places(&world, &mut chooser), &off[..=count], 125 - count as u64);
    }
    // Nothing is left to build, so nothing moves a second time.
    let during = places(&world, &mut chooser);
    assert!(world.finish_build());
    assert_eq!(during, places(&world, &mut chooser));
    // One is removed meanwhile, and comes back.
    world.remove(world.find(17).unwrap(), NOW).unwrap();
    assert_eq!(during, places(&world, &mut chooser));
    world.add(&Endpoint::new(17), NOW).unwrap();
    for id in [40, 3, 59, 18] {
        switch(id, true);
    }
    assert_eq!(before, places(&world, &mut chooser));
    assert!(world.finish_build());
    assert_eq!(before, places(&world, &mut chooser));
    // Off, and of another weight; off, and on in the middle of a build; and more than a quarter off.
    switch(3, false);
    world.update(world.find(3).unwrap(), &Endpoint::new(3).weight(5).enabled(false), NOW).unwrap();
    switch(40, false);
    world.update(world.find(59).unwrap(), &Endpoint::new(59).weight(2), NOW).unwrap();
    (0..20).for_each(|_| world.tick(NOW));
    switch(40, true);
    world.update(world.find(3).unwrap(), &Endpoint::new(3).weight(5), NOW).unwrap();
    as_anew(&world, anew);
    (80..120).for_each(|id| switch(id, false));
    assert!(world.finish_build());
    let moved = places(&world, &mut chooser);
    (80..120).for_each(|id| switch(id, true));
    assert!(world.finish_build());
    assert!(moved.iter().all(|id| !(80..120).contains(id)));
}

#[test]
fn keys_of_those_that_are_switched_off_go_to_all_others_and_come_back() {
    switches(Ring::<20_480, 4_096>::new(), Ring::new());
    switches(Maglev::<16_381, 128>::new(), Maglev::new());
}

/// What the members are, a table says that was built for them alone.
fn as_anew<T: SizedTable>(world: &World<T>, table: T) {
    let anew = Box::new(World::new(ConsistentHash::new(table), Options::new()));
    let ids = world.members().map(|id| world.endpoint(id).unwrap());
    ids.for_each(|endpoint| assert!(anew.add(&endpoint, NOW).is_ok()));
    assert!(anew.finish_build() && world.finish_build());
    let mut chooser: Chooser<'_, T> = Selector::new(world, 3).unwrap();
    let mut chooser_anew: Chooser<'_, T> = Selector::new(&*anew, 3).unwrap();
    assert_eq!(places(world, &mut chooser), places(&anew, &mut chooser_anew));
}

#[test]
fn many_departures_clear_the_table() {
    let world = world(Ring::<20_480, 4_096>::new(), 100);
    for id in 0..21 {
        world.remove(world.find(id).unwrap(), NOW).unwrap();
    }
    // 21 of 79 are more than a quarter.
    as_anew(&world, Ring::new());
}

#[test]
fn one_that_comes_back_in_another_slot_or_of_another_weight_has_its_share() {
    let world = world(Ring::<20_480, 4_096>::new(), 20);
    {
        // Its slot is not free while it has a lease.
        let mut chooser: Chooser<'_, _> = Selector::new(&*world, 1).unwrap();
        let lease =
            (0..).map(|key| chooser.select(&Request::ANY.key(RoutingKey::from_id(key)), NOW).unwrap());
        let lease = lease.into_iter().find(|lease| Some(lease.endpoint()) == world.find(7)).unwrap();
        world.remove(world.find(7).unwrap(), NOW).unwrap();
        world.add(&Endpoint::new(7), NOW).unwrap();
        drop(lease);
    }
    as_anew(&world, Ring::new());
    world.remove(world.find(5).unwrap(), NOW).unwrap();
    world.add(&Endpoint::new(5).weight(3), NOW).unwrap();
    as_anew(&world, Ring::new());
}

#[test]
fn another_member_in_the_slot_of_one_that_has_gone_gets_its_own_keys() {
    // No slot is free but those of members that have gone.
    let world = world(Ring::<20_480, 4_096>::new(), 128);
    for id in 0..3 {
        world.remove(world.find(id).unwrap(), NOW).unwrap();
        world.add(&Endpoint::new(500 + id), NOW).unwrap();
    }
    as_anew(&world, Ring::new());
}

#[test]
fn one_that_goes_before_the_table_shows_it_leaves_nothing_there() {
    let world = world(Ring::<20_480, 4_096>::new(), 20);
    let id = world.add(&Endpoint::new(500), NOW).unwrap();
    world.remove(id, NOW).unwrap();
    as_anew(&world, Ring::new());
}

/// Members come faster than a table is built.
fn stream<T: SizedTable>(table: T) {
    let world = world(table, 40);
    let mut chooser: Chooser<'_, T> = Selector::new(&*world, 1).unwrap();
    let mut random = Random::new(4);
    // At most 20 of them at a time, and 40 others: half of the slots are spare.
    let mut newcomers = std::collections::VecDeque::new();
    let mut got = 0;
    for number in 0..300 {
        newcomers.push_back(world.add(&Endpoint::new(100 + number), NOW).unwrap());
        if newcomers.len() > 20 {
            world.remove(newcomers.pop_front().unwrap(), NOW).unwrap();
        }
        for _ in 0..60 {
            let key = RoutingKey::from_id(u64::from(random.next()));
            let id = chooser.select(&Request::ANY.key(key), NOW).unwrap().endpoint();
            got += u32::from(newcomers.contains(&id));
        }
    }
    // Were the table always new, a third of 18,000, but for the first turns: 5,800 or so.
    assert!(got > 2_500, "{got}");
}

#[test]
fn a_steady_stream_of_newcomers_keeps_no_table_from_being_built() {
    stream(Ring::<20_480, 4_096>::new());
    stream(Maglev::<16_381, 128>::new());
}
