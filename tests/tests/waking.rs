//! What a wake does: it makes its task runnable, once, and is never lost.

use std::task::Poll;

use trilane::exec::{Manual, Pass, Runner, TaskPool};
use trilane_tests::future::Bell;
use trilane_tests::{leak, manual, pool, settle, us};

#[test]
fn a_spawned_task_is_polled_without_a_wake() {
    let mut runner = manual::<1, 1>();
    let bell: &Bell = leak(Bell::new());
    drop(runner.executor().spawn(pool::<1>(), |_| bell.forever()));
    assert_eq!(bell.polls(), 0, "it was polled by the spawn");
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: 1, more: false });
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: 0, more: false });
}

#[test]
fn wakes_before_a_poll_collapse_into_it() {
    let mut runner = manual::<1, 1>();
    let bell: &Bell = leak(Bell::new());
    drop(runner.executor().spawn(pool::<1>(), |_| bell.forever()));
    settle(&mut runner, us(0));
    (0..10).for_each(|_| bell.ring());
    assert_eq!(settle(&mut runner, us(0)), 1);
    assert_eq!(runner.executor().counters().coalesced, 9);
}

#[test]
fn a_wake_during_a_poll_gives_one_more_poll() {
    for wakes in 1..4 {
        let mut runner = manual::<1, 2>();
        let bell: &Bell = leak(Bell::new());
        drop(runner.executor().spawn(pool::<1>(), |_| {
            std::future::poll_fn(move |cx| {
                bell.note(cx);
                if bell.polls() == 1 {
                    (0..wakes).for_each(|_| cx.waker().wake_by_ref());
                }
                Poll::<()>::Pending
            })
        }));
        assert_eq!(settle(&mut runner, us(0)), 2);
        assert_eq!(bell.polls(), 2);
    }
}

#[test]
fn a_wake_of_a_queued_task_collapses_into_its_poll() {
    let mut runner = manual::<1, 3>();
    let executor = runner.executor();
    let bells: &[Bell; 2] = leak([Bell::new(), Bell::new()]);
    let pool = pool::<2>();
    drop(executor.spawn(pool, |_| async {
        bells[0].until(2).await;
        bells[1].ring();
        bells[1].ring();
    }));
    drop(executor.spawn(pool, |_| bells[1].forever()));
    settle(&mut runner, us(0));
    bells.iter().for_each(Bell::ring);
    assert_eq!(settle(&mut runner, us(0)), 2);
    assert_eq!(bells[1].polls(), 2);
}

#[test]
fn a_wake_by_a_task_that_was_just_polled_reaches_one_that_was_polled_before_it() {
    let mut runner = manual::<3, 2>();
    let executor = runner.executor();
    let bell: &Bell = leak(Bell::new());
    let pool = pool::<2>();
    drop(executor.spawn(pool, |_| bell.forever()));
    drop(executor.spawn(pool, |_| async { bell.ring() }));
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: 3, more: false });
    assert_eq!(bell.polls(), 2);
}

#[test]
fn all_wakers_of_a_task_are_the_same() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let bells: &[Bell; 2] = leak([Bell::new(), Bell::new()]);
    for bell in bells {
        drop(executor.spawn(pool, |_| bell.forever()));
    }
    settle(&mut runner, us(0));
    let kept = bells[0].waker();
    bells[0].ring();
    settle(&mut runner, us(0));
    assert!(kept.will_wake(&bells[0].waker()));
    assert!(kept.will_wake(&kept.clone()));
    assert!(!kept.will_wake(&bells[1].waker()));
}

#[test]
fn a_wake_between_passes_is_seen_by_the_next() {
    let mut runner = manual::<2, 32>();
    let executor = runner.executor();
    let pool = pool::<64>();
    let bells: &[Bell; 64] = leak([const { Bell::new() }; 64]);
    for bell in bells {
        drop(executor.spawn(pool, |_| bell.forever()));
    }
    settle(&mut runner, us(0));
    for bell in bells {
        assert!(!runner.is_runnable());
        bell.ring();
        assert!(runner.is_runnable());
        assert_eq!(runner.poll_pending(us(0)), Pass { polls: 1, more: false });
    }
    bells.iter().for_each(Bell::ring);
    assert_eq!(settle(&mut runner, us(0)), 64);
    assert!(bells.iter().all(|bell| bell.polls() == 3));
}

#[test]
fn a_pass_that_ends_at_its_bound_says_that_there_is_more() {
    // Under Miri the fewest that are as many as the bound, which is never below 128.
    const BANKS: usize = if cfg!(miri) { 4 } else { 32 };
    const TASKS: usize = 32 * BANKS;
    const BOUND: u32 = Runner::<Manual, BANKS, 32>::POLLS_PER_PASS;
    let mut runner = manual::<BANKS, 32>();
    assert_eq!(BOUND as usize, TASKS);
    let pool: &TaskPool<16, TASKS> = leak(TaskPool::new());
    for _ in 0..BOUND {
        drop(runner.executor().spawn(pool, |cx| cx.yield_now()));
    }
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: BOUND, more: true });
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: BOUND, more: false });
    assert_eq!(runner.executor().counters().completions, BOUND);
}
