//~ ERROR future cannot be sent between threads safely
use std::rc::Rc;

use trilane::exec::{Cx, TaskPool};

static POOL: TaskPool<64, 1> = TaskPool::new();

fn spawn(cx: Cx) {
    let kept = Rc::new(1i32);
    let _ = cx.spawn(&POOL, |cx| async move {
        cx.yield_now().await;
        drop(kept);
    });
}

fn main() {
    let _: fn(Cx) = spawn;
}
