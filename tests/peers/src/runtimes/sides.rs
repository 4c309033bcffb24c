//! The runtimes, and what each of them does for a row.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::TcpStream;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{Cx, TaskOptions};
use trilane_std::net;
use trilane_std::runtime::{Handle, Runtime};

use super::{Op, Taken, run_op};
use crate::OWN;
use crate::allocator::bytes_of;

/// The most tasks of a row, and some more.
const CAPACITY: usize = 1 << 17;
/// After all that is measured.
const LATE: Duration = Duration::from_secs(100_000);

/// A runtime.
pub trait Tasks: Copy + Send + Sync + 'static {
    /// How the names of its threads begin.
    fn threads(self) -> &'static [&'static str];

    /// `body` is given what the task uses.
    fn spawn<B, F>(self, body: B) -> impl Future<Output = F::Output> + Send
    where
        B: FnOnce(Self) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// A task that goes before others, where there is such a thing.
    fn spawn_urgent<F>(self, future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn(|_| future)
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send;

    fn sleep(self, span: Duration) -> impl Future<Output = ()> + Send;

    fn socket(self, stream: TcpStream) -> io::Result<impl Socket>;

    /// The bytes for a task that it has before there is one.
    fn bytes_before(self) -> f64 {
        0.0
    }
}

/// A connection with a runtime's ways to wait.
pub trait Socket: Send + 'static {
    fn read(&mut self, bytes: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

#[derive(Clone, Copy)]
struct Own {
    handle: Handle,
    /// In a task.
    cx: Option<Cx>,
    bytes: f64,
}

impl Tasks for Own {
    fn threads(self) -> &'static [&'static str] {
        &["own-"]
    }

    fn spawn<B, F>(self, body: B) -> impl Future<Output = F::Output> + Send
    where
        B: FnOnce(Self) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Ok(task) = self.handle.spawn(|cx| body(Self { cx: Some(cx), ..self })) else {
            unreachable!("there is room")
        };
        let task = task.into_future();
        async move { task.await.expect("it ends by itself") }
    }

    fn spawn_urgent<F>(self, future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let late = self.handle.now() + trilane::time::Duration::from_secs(LATE.as_secs());
        let task = self.handle.spawn_with(TaskOptions::new().deadline(late), |_| future);
        let task = task.expect("there is room").into_future();
        async move { task.await.expect("it ends by itself") }
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        trilane::exec::yield_now()
    }

    fn sleep(self, span: Duration) -> impl Future<Output = ()> + Send {
        let sleep = self.cx.expect("a task").sleep(trilane::time::Duration::from_secs(span.as_secs()));
        async move { sleep.await.expect("nobody stops the task") }
    }

    fn socket(self, stream: TcpStream) -> io::Result<impl Socket> {
        net::TcpStream::try_from(stream)
    }

    fn bytes_before(self) -> f64 {
        self.bytes
    }
}

impl Socket for net::TcpStream {
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Self::read(self, bytes).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Self::write_all(self, bytes).await
    }
}

#[derive(Clone, Copy)]
struct Tokio {
    runtime: &'static tokio::runtime::Runtime,
    threads: &'static [&'static str],
}

impl Tasks for Tokio {
    fn threads(self) -> &'static [&'static str] {
        self.threads
    }

    fn spawn<B, F>(self, body: B) -> impl Future<Output = F::Output> + Send
    where
        B: FnOnce(Self) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = self.runtime.spawn(body(self));
        async move { task.await.expect("it ends by itself") }
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(self, span: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(span)
    }

    fn socket(self, stream: TcpStream) -> io::Result<impl Socket> {
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)
    }
}

impl Socket for tokio::net::TcpStream {
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        tokio::io::AsyncReadExt::read(self, bytes).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(self, bytes).await
    }
}

type Executor = async_executor::Executor<'static>;

#[derive(Clone, Copy)]
struct Smol(&'static Executor);

impl Tasks for Smol {
    fn threads(self) -> &'static [&'static str] {
        // The second is a thread that waits for events when the others don't.
        &["smol", "async-io"]
    }

    fn spawn<B, F>(self, body: B) -> impl Future<Output = F::Output> + Send
    where
        B: FnOnce(Self) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(body(self))
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        let mut yielded = false;
        poll_fn(move |cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    async fn sleep(self, span: Duration) {
        async_io::Timer::at(Instant::now() + span).await;
    }

    fn socket(self, stream: TcpStream) -> io::Result<impl Socket> {
        async_io::Async::new(stream)
    }
}

impl Socket for async_io::Async<TcpStream> {
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        futures::AsyncReadExt::read(self, bytes).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        futures::AsyncWriteExt::write_all(self, bytes).await
    }
}

/// A runtime that is running, and its name.
pub type Side = (&'static str, Box<dyn Fn(Op, u64) -> Taken>);

/// The runtimes of so many workers, trilane's first; those that differ wait for sockets only if they are told
/// to. They run on for as long as the program.
pub fn sides(workers: usize, sockets: bool) -> Vec<Side> {
    fn side(who: &'static str, tasks: impl Tasks) -> Side {
        (who, Box::new(move |op, operations| run_op(tasks, op, operations)))
    }
    let tokio = |mut builder: tokio::runtime::Builder, threads: &'static [&'static str]| {
        builder.worker_threads(workers).thread_name(threads[0]).enable_time();
        if sockets {
            builder.enable_io();
        }
        let runtime = Box::leak(Box::new(builder.build().expect("the system gives threads")));
        Tokio { runtime, threads }
    };
    let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.into()).spawn(run).expect("the system gives threads")
    };
    let builder = Runtime::builder().workers(workers).capacity(CAPACITY).name("own");
    let (runtime, bytes) = bytes_of(|| builder.build().expect("the system gives threads"));
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    let own = Own { handle: runtime.handle(), cx: None, bytes: bytes as f64 / runtime.capacity() as f64 };
    let executor: &'static Executor = Box::leak(Box::new(Executor::new()));
    for _ in 0..workers {
        start("smol", Box::new(|| async_io::block_on(executor.run(pending::<()>()))));
    }
    let mut sides = vec![
        side(OWN, own),
        side("tokio", tokio(tokio::runtime::Builder::new_multi_thread(), &["tokio-mt"])),
        side("async-executor", Smol(executor)),
    ];
    if workers == 1 {
        let current = tokio(tokio::runtime::Builder::new_current_thread(), &["tokio-ct"]);
        start("tokio-ct", Box::new(move || current.runtime.block_on(pending::<()>())));
        sides.push(side("tokio, current thread", current));
    }
    sides
}
