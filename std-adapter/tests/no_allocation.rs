//! What allocates nothing after its start, counted on the thread that does it.

use std::rc::Rc;

use trilane::exec::yield_now;
use trilane_std::runtime::{JoinSet, Runtime};
use trilane_tests::counting::{Counting, allocations_so_far};

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_local_task_in_its_slot_and_a_place_in_a_set_that_was_used_before_take_no_allocation() {
    let local = Runtime::builder().build_local().unwrap();
    let shared = Rc::new(7);
    local.block_on(async {
        let mut set = JoinSet::new();
        let mut round = async |spawns: usize| {
            for _ in 0..spawns {
                let shared = shared.clone();
                let task = local.spawn_local(move |_| async move {
                    yield_now().await;
                    *shared
                });
                set.push(task.unwrap());
            }
            let mut sum = 0;
            while let Some(done) = set.join_next().await {
                sum += done.unwrap();
            }
            assert_eq!(sum, 7 * spawns);
        };
        round(100).await;
        let before = allocations_so_far();
        for spawns in [1, 100, 50, 100] {
            round(spawns).await;
        }
        assert_eq!(allocations_so_far() - before, 0);
    });
    // That it counts.
    let before = allocations_so_far();
    drop(Box::new(7));
    assert_ne!(allocations_so_far(), before);
}
