//! A runtime on the calling thread, whose futures need not be `Send`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{
    Attributes, Cx, JoinError, Reason, RegionOptions, SpawnErrorKind, TaskOptions, yield_now,
};
use trilane::time::Duration as Span;
use trilane_std::runtime::{JoinSet, Local, LocalHandle, Runtime, block_on};

use crate::runtime;

fn local() -> Local {
    Runtime::builder().build_local().unwrap()
}

#[test]
fn futures_that_stay_on_the_thread_share_what_does() {
    let local = local();
    let seen = Rc::new(RefCell::new(Vec::new()));
    local.block_on(async {
        let mut set = JoinSet::new();
        for number in 0..500u32 {
            let seen = seen.clone();
            let task = move |_| async move {
                yield_now().await;
                seen.borrow_mut().push(number);
                Rc::new(number)
            };
            set.push(local.spawn_local(task).unwrap());
        }
        let mut sum = 0;
        while let Some(done) = set.join_next().await {
            sum += *done.unwrap();
        }
        assert_eq!(sum, (0..500).sum());
    });
    assert_eq!(seen.borrow().len(), 500);
}

#[test]
fn a_task_spawns_others_by_a_handle_or_finds_one() {
    let local = local();
    assert!(LocalHandle::current().is_none());
    let handle = local.local_handle();
    let depth = Rc::new(Cell::new(0));
    async fn nest(depth: Rc<Cell<u32>>) {
        depth.set(depth.get() + 1);
        if depth.get() < 10 {
            let handle = LocalHandle::current().expect("this is a local task");
            handle.spawn_local(move |_| Box::pin(nest(depth))).unwrap().await.unwrap();
        }
    }
    let nested = depth.clone();
    local.block_on(async {
        let task = handle.spawn_local(move |_| async move {
            handle.spawn_local(move |_| nest(nested)).unwrap().await.unwrap();
        });
        task.unwrap().await.unwrap();
        assert!(LocalHandle::current().is_some());
    });
    assert_eq!(depth.get(), 10);
    let runtime = runtime(1, "not-local");
    assert!(block_on(runtime.spawn(|_| async { LocalHandle::current().is_none() }).unwrap()).unwrap());
}

#[test]
fn tasks_are_stopped_one_by_one_by_regions_and_by_force() {
    static SHORT: Attributes = Attributes::named("short").cleanup_time(Span::from_millis(5));
    let local = local();
    let mine = Rc::new(Cell::new(0));
    local.block_on(async {
        let wait = |cx: Cx| {
            let mine = mine.clone();
            async move {
                let reason = cx.cancelled().await.0;
                mine.set(mine.get() + 1);
                reason
            }
        };
        let polite = local.spawn_local(wait).unwrap();
        polite.cancel().unwrap();
        assert_eq!(polite.await, Ok(Reason::User));
        let held = mine.clone();
        let stubborn = local.spawn_local_with(TaskOptions::new().attributes(&SHORT), |_| async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let stubborn = stubborn.unwrap();
        stubborn.cancel().unwrap();
        assert_eq!(stubborn.await, Err(JoinError::Cancelled(Reason::User)));
        let mut region = local.open_region(RegionOptions::new()).unwrap();
        let tasks = [(); 3].map(|()| local.spawn_local_in(&region, TaskOptions::new(), wait).unwrap());
        region.close().await.unwrap();
        assert!(tasks.iter().all(|task| task.is_finished()));
        let late = local.spawn_local_in(&region, TaskOptions::new(), |_| async {}).unwrap_err();
        assert_eq!(late.kind, SpawnErrorKind::RegionClosed);
        let (mut region, held) = (local.open_region(RegionOptions::new()).unwrap(), mine.clone());
        let handle = local.local_handle();
        let member = local.spawn_local_in(&region, TaskOptions::new(), move |cx| async move {
            let child = move |own: Cx| async move {
                own.cancelled().await;
                drop(held);
            };
            handle.spawn_local_beside(cx, TaskOptions::new(), child).unwrap()
        });
        let child = member.unwrap().await.unwrap();
        assert!(!child.is_finished());
        region.close().await.unwrap();
        assert!(child.is_finished());
    });
    assert_eq!((mine.get(), Rc::strong_count(&mine)), (4, 1));
}

#[test]
fn a_panic_is_the_local_tasks_own_and_that_of_the_main_future_passes() {
    let local = local();
    let bad = local.spawn_local(|_| async { panic!("on purpose") }).unwrap();
    let good = local.spawn_local(|_| async { Rc::new(7) }).unwrap();
    assert_eq!(local.block_on(bad), Err::<(), _>(JoinError::Panicked));
    let main = std::panic::AssertUnwindSafe(|| local.block_on(async { panic!("on purpose, too") }));
    std::panic::catch_unwind(main).unwrap_err();
    assert_eq!(*local.block_on(good).unwrap(), 7);
}

#[test]
fn what_is_left_when_it_is_dropped_is_asked_to_stop_on_its_thread() {
    struct Watch(Rc<Cell<u32>>, thread::ThreadId);
    impl Drop for Watch {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.1);
            self.0.set(self.0.get() + 1);
        }
    }
    let (local, ended) = (local(), Rc::new(Cell::new(0)));
    let watch = || Watch(ended.clone(), thread::current().id());
    let asked = Rc::new(Cell::new(None));
    let (polite, said) = (watch(), asked.clone());
    drop(local.spawn_local(|cx| async move {
        said.set(Some(cx.cancelled().await.0));
        drop(polite);
    }));
    let stubborn = watch();
    drop(local.spawn_local(|_| async move {
        std::future::pending::<()>().await;
        drop(stubborn);
    }));
    local.block_on(yield_now());
    // One that was never polled.
    let new = watch();
    drop(local.spawn_local(|_| async move { drop(new) }));
    let handle = local.local_handle();
    let held = local.spawn_local(|_| async { Rc::new(7) }).unwrap();
    drop(local);
    assert_eq!((ended.get(), asked.get()), (3, Some(Reason::Shutdown)));
    assert_eq!(handle.spawn_local(|_| async {}).unwrap_err().kind, SpawnErrorKind::ShutDown);
    assert_eq!(*block_on(held).unwrap(), 7);
}

#[test]
fn other_threads_wake_and_spawn_and_each_side_awaits_the_other() {
    let (local, runtime) = (local(), runtime(2, "beside"));
    let handle = local.handle();
    let (told, tell) = mpsc::channel();
    let elsewhere = thread::spawn(move || {
        for number in 0..200u32 {
            thread::sleep(Duration::from_micros(50));
            told.send(handle.spawn(move |_| async move { number }).unwrap()).unwrap();
        }
    });
    let sum = local.block_on(async {
        let mine = Rc::new(Cell::new(0));
        let add = mine.clone();
        // A local task awaits tasks of the runtime, which await tasks of this thread.
        let both = local.spawn_local(move |_| async move {
            let here = LocalHandle::current().unwrap().spawn(|_| async { 1 }).unwrap();
            let there = runtime.spawn(move |_| async move { here.await.unwrap() + 1 }).unwrap();
            add.set(there.await.unwrap());
        });
        both.unwrap().await.unwrap();
        assert_eq!(mine.get(), 2);
        // Tasks come from elsewhere.
        let mut sum = 0;
        for _ in 0..200 {
            let task = runtime.spawn_blocking({
                let next = tell.recv().unwrap();
                move || next
            });
            sum += task.await.unwrap().await.unwrap();
        }
        sum
    });
    elsewhere.join().unwrap();
    assert_eq!(sum, (0..200).sum());
}

#[test]
fn to_block_inside_of_it_is_refused() {
    let local = Rc::new(local());
    let inner = local.clone();
    let nested = local.spawn_local(move |_| async move { inner.block_on(async {}) }).unwrap();
    assert_eq!(local.block_on(nested), Err(JoinError::Panicked));
    let plain = local.spawn_local(|_| async { block_on(async {}) }).unwrap();
    assert_eq!(local.block_on(plain), Err(JoinError::Panicked));
    // By a handle nobody would poll its tasks.
    let handle = local.handle();
    assert!(thread::spawn(move || handle.block_on(async {})).join().is_err());
    // In a worker of a runtime.
    let there = runtime(1, "local-inside");
    let task = there.spawn(|_| async { Runtime::builder().build_local().unwrap().block_on(async {}) });
    assert_eq!(block_on(task.unwrap()), Err(JoinError::Panicked));
    // To drop one there is not: what was outside is as before.
    let task = there.spawn(|_| async {
        {
            let local = Runtime::builder().build_local().unwrap();
            drop(local.spawn_local(|cx| async move { cx.cancelled().await }));
        }
        there.spawn(|_| async { 7 }).unwrap().await
    });
    assert_eq!(block_on(task.unwrap()), Ok(Ok(7)));
}

#[test]
fn time_passes_between_two_calls_and_in_one() {
    let local = local();
    let sleeper = local.spawn_local(|cx| async move { cx.sleep(Span::from_millis(20)).await }).unwrap();
    local.block_on(yield_now());
    let began = Instant::now();
    local.block_on(sleeper).unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(15));
    // A main future that always goes on leaves tasks their turn.
    let task = local.spawn_local(|cx| async move { cx.sleep(Span::from_millis(2)).await }).unwrap();
    local.block_on(async {
        while !task.is_finished() {
            yield_now().await;
        }
    });
}

#[cfg(unix)]
#[test]
fn its_thread_waits_for_sockets() {
    use trilane_std::net::{TcpListener, TcpStream};
    let local = local();
    for _ in 0..2 {
        local.block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let served = Rc::new(Cell::new(0));
            let count = served.clone();
            let server = local.spawn_local(move |_| async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 16];
                while let read @ 1.. = stream.read(&mut bytes).await.unwrap() {
                    count.set(count.get() + read);
                    stream.write_all(&bytes[..read]).await.unwrap();
                }
            });
            let stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..100 {
                stream.write_all(b"hello").await.unwrap();
                assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 5);
            }
            drop(stream);
            server.unwrap().await.unwrap();
            assert_eq!(served.get(), 500);
        });
    }
    // Events come while the main future never waits.
    local.block_on(async {
        let (near, far) = trilane_std::net::unix::UnixStream::pair().unwrap();
        let reads = local.spawn_local(move |_| async move { far.read(&mut [0; 16]).await.unwrap() }).unwrap();
        yield_now().await;
        thread::spawn(move || block_on(async move { near.write_all(b"x").await.unwrap() }));
        while !reads.is_finished() {
            yield_now().await;
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_wakes_it_while_all_wait() {
    let local = local();
    let before = crate::kernel::switches();
    let sleeps = local.spawn_local(|cx| async move { cx.sleep(Span::from_millis(500)).await }).unwrap();
    local.block_on(sleeps).unwrap().unwrap();
    assert!(crate::kernel::switches() - before <= 2);
}

#[test]
fn it_has_as_much_room_as_it_was_built_with() {
    let local = Runtime::builder().capacity(3_000).slot_bytes(0).workers(7).build_local().unwrap();
    assert_eq!(local.capacity(), 3_072);
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    let tasks: Vec<_> = (0..3_072).map(|_| local.spawn_local(wait).unwrap()).collect();
    assert_eq!(local.spawn_local(wait).unwrap_err().kind, SpawnErrorKind::ExecutorFull);
    tasks.iter().for_each(|task| task.cancel().unwrap());
    local.block_on(async {
        for task in tasks {
            assert_eq!(task.await, Ok(Reason::User));
        }
    });
}
