//! Asking tasks to stop: the request, the clean-up, the end by force.

use std::num::NonZeroU16;

use trilane::exec::{Attributes, Cancelled, Reason, TaskOptions};
use trilane::time::Duration;
use trilane_tests::{manual, pool, run_out, settle, us};

#[test]
fn an_inner_shield_leaves_the_outer_one_up() {
    let mut runner = manual::<1, 2>();
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            let span = Duration::from_micros(10);
            let inside = cx.shield(async {
                cx.shield(cx.sleep(span)).await.unwrap();
                let between = cx.is_cancelled();
                cx.shield(async {}).await;
                (between, cx.is_cancelled(), cx.sleep(span).await)
            });
            (inside.await, cx.sleep(span).await)
        })
        .unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    run_out(&mut runner);
    assert_eq!(runner.now(), us(20));
    assert_eq!(task.try_join(), Some(Ok(((false, false, Ok(())), Err(Cancelled(Reason::User))))));
}

#[test]
fn a_task_that_has_used_up_its_polls_cleans_up_as_long_as_any_other() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::from_micros(50));
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<4>();
    settle(&mut runner, us(1_000));
    let options = TaskOptions::new().attributes(&KIND).poll_quota(NonZeroU16::new(3).unwrap());
    // Several, so that they take turns in the ready lane.
    let tasks = [0; 3].map(|_| {
        executor
            .spawn_with(options, pool, |cx| async move {
                while !cx.is_cancelled() {
                    cx.yield_now().await;
                }
                cx.shield(cx.sleep(Duration::from_micros(49))).await
            })
            .unwrap()
    });
    run_out(&mut runner);
    assert_eq!(runner.now(), us(1_049));
    for mut task in tasks {
        assert_eq!(task.try_join(), Some(Ok(Ok(()))));
    }
    assert_eq!(executor.counters().cancelled_by_quota, 3);
}
