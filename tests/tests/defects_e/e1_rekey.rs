//! E1: changing a queued task's deadline or priority broke the order; a high-priority task might never run.

use std::sync::Arc;

use trilane::exec::{Executor, Manual, TaskId, TaskOptions};
use trilane::sched::Priority;
use trilane_tests::{Log, leak, pool, settle, us};

/// A change that the first task makes while the others are queued.
enum Change {
    Deadline(usize, Option<u64>),
    Priority(usize, u8),
}
use Change::{Deadline, Priority as Level};

/// The order of the tasks 1 to `keys.len()`, which have these deadlines and priorities until task 0, which
/// runs first, changes them.
fn order(keys: &[(Option<u64>, u8)], changes: Vec<Change>) -> Vec<usize> {
    let executor = leak(Executor::<_, 1, 16>::new(Manual::new()));
    let pool = pool::<16>();
    let mut runner = executor.start().unwrap();
    let log: &Log<usize> = leak(Log::new());
    let ids: Arc<Log<TaskId>> = Arc::default();
    let known = ids.clone();
    let first = TaskOptions::new().deadline(us(0)).priority(Priority::HIGHEST);
    let first = executor.spawn_with(first, pool, |cx| async move {
        let mut ids = known.take();
        ids.insert(0, cx.id());
        for change in changes {
            match change {
                Deadline(task, deadline) => executor.set_deadline(ids[task], deadline.map(us)).unwrap(),
                Level(task, level) => {
                    executor.set_priority(ids[task], Priority::new(level).unwrap()).unwrap()
                }
            }
        }
    });
    for (number, &(deadline, priority)) in (1..).zip(keys) {
        let mut options = TaskOptions::new().priority(Priority::new(priority).unwrap());
        if let Some(deadline) = deadline {
            options = options.deadline(us(deadline));
        }
        let task = executor.spawn_with(options, pool, |_| async move { log.push(number) }).unwrap();
        ids.push(task.id());
    }
    settle(&mut runner, us(0));
    assert!(first.unwrap().is_finished());
    log.take()
}

#[test]
fn an_earlier_deadline_moves_a_queued_task_forward() {
    assert_eq!(order(&[(Some(10), 0), (Some(20), 0), (Some(30), 0)], vec![Deadline(3, Some(5))]), [3, 1, 2]);
}

#[test]
fn a_later_deadline_moves_a_queued_task_back() {
    assert_eq!(order(&[(Some(10), 0), (Some(20), 0), (Some(30), 0)], vec![Deadline(1, Some(25))]), [2, 1, 3]);
}

#[test]
fn a_deadline_moves_a_queued_task_to_the_timed_lane() {
    assert_eq!(order(&[(Some(10), 0), (None, 31), (None, 0)], vec![Deadline(3, Some(5))]), [3, 1, 2]);
}

#[test]
fn losing_its_deadline_moves_a_queued_task_to_the_ready_lane() {
    assert_eq!(order(&[(Some(10), 0), (Some(20), 0), (None, 0)], vec![Deadline(1, None)]), [2, 3, 1]);
}

#[test]
fn a_change_that_changes_nothing_keeps_a_queued_task_in_its_place() {
    let keys = [(None, 0), (None, 0), (Some(10), 0), (Some(10), 0)];
    assert_eq!(order(&keys, vec![]), [3, 4, 1, 2]);
    let nothing = vec![Deadline(1, None), Level(1, 0), Deadline(3, Some(10)), Level(3, 0)];
    assert_eq!(order(&keys, nothing), [3, 4, 1, 2]);
}

#[test]
fn a_higher_priority_moves_a_queued_task_forward_in_the_ready_lane() {
    assert_eq!(order(&[(None, 1), (None, 1), (None, 1)], vec![Level(3, 2)]), [3, 1, 2]);
}

#[test]
fn a_lower_priority_moves_a_queued_task_back_in_the_ready_lane() {
    assert_eq!(order(&[(None, 1), (None, 1), (None, 0)], vec![Level(1, 0)]), [2, 3, 1]);
}

#[test]
fn priority_decides_among_equal_deadlines_and_can_change() {
    assert_eq!(
        order(&[(Some(10), 1), (Some(10), 1), (Some(10), 1)], vec![Level(3, 2), Level(1, 0)]),
        [3, 2, 1]
    );
}

#[test]
fn many_changes_leave_the_order_of_the_last_ones() {
    let mut changes = Vec::new();
    for round in 0..50 {
        for task in 1..=8 {
            changes.push(Deadline(task, Some((task as u64 * 7 + round * 3) % 11)));
            changes.push(Level(task, ((task as u64 + round) % 4) as u8));
        }
    }
    changes.extend((1..=8).map(|task| Deadline(task, Some(100 - task as u64))));
    assert_eq!(order(&[(None, 0); 8], changes), [8, 7, 6, 5, 4, 3, 2, 1]);
}
