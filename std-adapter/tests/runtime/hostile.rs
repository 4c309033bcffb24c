//! Wakers that panic or call back in, on each path by which a runtime wakes or drops one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    PanicsWhenWoken,
    PanicsWhenDropped,
    ComesBack,
}

/// A waker's worst.
struct Hostile {
    how: How,
    handle: Handle,
    woken: Arc<AtomicU32>,
}

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, SeqCst);
        match self.how {
            How::PanicsWhenWoken => panic!("woken"),
            How::PanicsWhenDropped => {}
            How::ComesBack => self.take_every_lock(),
        }
    }
}

impl Hostile {
    fn take_every_lock(&self) {
        let region = self.handle.open_region(RegionOptions::new()).unwrap();
        let task = self.handle.spawn(async |cx: Cx| cx.sleep(Span::from_millis(1)).await).unwrap();
        let other = self.handle.spawn_in(&region, TaskOptions::new(), async |_| ()).unwrap();
        let _ = task.cancel();
        assert!(self.handle.tasks().count() >= 1);
        drop((region, task, other));
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if self.how == How::PanicsWhenDropped {
            panic!("dropped");
        }
    }
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;
type Trigger = Box<dyn FnOnce() + Send>;

/// A task that ends when the second is called.
fn gated(runtime: &Runtime) -> (trilane::exec::JoinHandle<()>, Trigger) {
    let gate = Arc::new(Mutex::new((false, None::<Waker>)));
    let open = gate.clone();
    let task = async move |_| {
        std::future::poll_fn(|cx| {
            let mut gate = gate.lock().unwrap();
            gate.1 = Some(cx.waker().clone());
            if gate.0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    };
    let trigger = move || {
        let waker = {
            let mut gate = open.lock().unwrap();
            gate.0 = true;
            gate.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    };
    (runtime.spawn(task).unwrap(), Box::new(trigger))
}

fn context(runtime: &Runtime) -> Cx {
    runtime.block_on(runtime.spawn(async |cx: Cx| cx).unwrap()).unwrap()
}

fn join(runtime: &Runtime) -> (Wait, Trigger) {
    let (task, trigger) = gated(runtime);
    (Box::pin(async move { task.await.unwrap() }), trigger)
}

fn sleep(runtime: &Runtime) -> (Wait, Trigger) {
    let cx = context(runtime);
    (Box::pin(async move { cx.sleep(Span::from_millis(2)).await.unwrap() }), Box::new(|| ()))
}

fn close(runtime: &Runtime) -> (Wait, Trigger) {
    let mut region = runtime.open_region(RegionOptions::new()).unwrap();
    let slow = async |cx: Cx| cx.shield(async move { cx.sleep(Span::from_millis(2)).await }).await;
    drop(runtime.spawn_in(&region, TaskOptions::new(), slow).unwrap());
    (Box::pin(async move { region.close().await.unwrap() }), Box::new(|| ()))
}

fn join_all(runtime: &Runtime) -> (Wait, Trigger) {
    let mut region = runtime.open_region(RegionOptions::new()).unwrap();
    let slow = async |cx: Cx| cx.sleep(Span::from_millis(2)).await;
    drop(runtime.spawn_in(&region, TaskOptions::new(), slow).unwrap());
    (Box::pin(async move { region.join_all().await.unwrap() }), Box::new(|| ()))
}

#[cfg(unix)]
fn readable(runtime: &Runtime) -> (Wait, Trigger) {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    let (ours, mut other) = UnixStream::pair().unwrap();
    let ours = runtime.block_on(async move { trilane_std::net::Async::new(ours).unwrap() });
    let wait = Box::pin(async move { ours.readable().await.unwrap() });
    (wait, Box::new(move || other.write_all(b"x").unwrap()))
}

fn survives(workers: usize, how: How, path: fn(&Runtime) -> (Wait, Trigger)) {
    let runtime = Runtime::builder().workers(workers).name("hostile").build().unwrap();
    let (mut wait, trigger) = path(&runtime);
    let woken = Arc::new(AtomicU32::new(0));
    let waker = Waker::from(Arc::new(Hostile { how, handle: runtime.handle(), woken: woken.clone() }));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // The runtime's is the last.
    drop(waker);
    // It may be this thread that wakes.
    let _ = catch_unwind(AssertUnwindSafe(trigger));
    let began = Instant::now();
    while woken.load(SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody was woken");
        thread::sleep(Duration::from_micros(100));
    }
    // What was waited for comes, and everybody works on.
    runtime.block_on(wait);
    let others: Vec<_> = (0..50)
        .map(|_| runtime.spawn(async |cx: Cx| cx.sleep(Span::from_millis(1)).await).unwrap())
        .collect();
    for other in others {
        assert_eq!(runtime.block_on(other), Ok(Ok(())));
    }
    runtime.shut_down(Duration::from_secs(20)).unwrap();
}

#[test]
fn no_waker_harms_whoever_it_waits_for() {
    type Path = fn(&Runtime) -> (Wait, Trigger);
    let mut paths: Vec<(&str, Path)> =
        vec![("join", join), ("sleep", sleep), ("close", close), ("join_all", join_all)];
    #[cfg(unix)]
    paths.push(("readable", readable));
    for (name, path) in paths {
        for how in [How::PanicsWhenWoken, How::PanicsWhenDropped, How::ComesBack] {
            for workers in [1, 2] {
                eprintln!("{name}, {how:?}, {workers} workers");
                survives(workers, how, path);
            }
        }
    }
}
