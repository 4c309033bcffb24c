//~ BUILDS
// What the other cases do, done right: each of their errors comes from what their names say.
use std::rc::Rc;

use trilane::exec::{Cx, Executor, Handler, Manual, TaskPool};
use trilane::route::{Balancer, DetachedLeases, RoundRobin};
use trilane::sched::Priority;
use trilane::time::Instant;

#[repr(align(8))]
struct Wide(#[allow(dead_code)] u8);

static EXECUTOR: Executor<Manual, 32, 32> = Executor::new(Manual::new());
static BOUND: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<256, 1> = TaskPool::new();
static EXACT: TaskPool<64, 1> = TaskPool::new();

type Leases = DetachedLeases<&'static Balancer<RoundRobin, 1>, 32, 1>;

fn spawn(cx: Cx) {
    let _ = cx.spawn(&POOL, |cx| async move { cx.yield_now().await });
}

fn bind(line: &mut Option<Handler>, handler: Handler) {
    *line = Some(handler);
}

fn main() {
    let mut line = None;
    bind(&mut line, BOUND.start_in_handler().unwrap());
    let mut runner = EXECUTOR.start().unwrap();
    let spawner = runner.spawner();
    let wide = Wide(1);
    let kept = [1u8; 128];
    let _ = EXECUTOR.spawn(&POOL, |cx| async move {
        cx.yield_now().await;
        drop((wide, kept));
    });
    let _ = EXECUTOR.spawn(&EXACT, |_| std::future::poll_fn(|_| std::task::Poll::Ready([0u8; 64])));
    let _ = EXECUTOR.spawn(&EXACT, |_| std::future::poll_fn(|_| std::task::Poll::Ready(Wide(1))));
    let mut local = spawner.spawn_local(&EXACT, |_| async { Rc::new(1i32) });
    drop(local.as_mut().map(|task| task.try_join()));
    std::thread::spawn(|| drop(EXECUTOR.spawn(&POOL, |_| async { spawn })));
    let _: (Leases, Priority) = (Leases::new(), Priority::of::<31>());
    runner.poll_pending(Instant::ZERO);
}
