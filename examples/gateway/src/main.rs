//! Readings of sensors in, alerts out: a host application on trilane's runtime and router.
//!
//! ```text
//!  standard input, or                         analysts, each with             one writer
//!  a task a connection      Pool::accept      sensors of its own
//!  -------------------      ------------      -------------------             ----------
//!    bytes -> lines -----> key -> lease -----> [queue] -> high, calm? -----> [queue] -> standard output
//! ```
//!
//! All queues are bounded: when one is full, whoever fills it waits, at the end the sender of the readings.
//! On SIGINT or SIGTERM nothing more is read; what was accepted is handled and written, then it reports.
//! `cargo run -p gateway -- --help` says the rest.

/// Options of a task with this name, as `/tasks` shows it.
macro_rules! named {
    ($name:literal) => {
        trilane::exec::TaskOptions::new().attributes(const { &trilane::exec::Attributes::named($name) })
    };
}

mod args;
mod counts;
mod lines;
mod pool;
mod sources;
mod status;

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixStream as Pipe;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_channel::{Receiver, bounded};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use trilane::exec::{AbortHandle, TaskOptions};
use trilane_std::net::unix::UnixStream;
use trilane_std::runtime::{Handle, Runtime, RuntimeMetrics};

use args::Args;
use counts::Counts;
use pool::Pool;

/// So many complaints are written; after that they are only counted.
const COMPLAINTS: u64 = 20;
/// Alerts that wait to be written, at most.
const ALERTS: usize = 256;

/// What all tasks share.
pub struct World {
    handle: Handle,
    pool: Pool,
    counts: Counts,
    complaints: Counter,
    registry: Registry,
}

impl World {
    /// Tells the user that something isn't as it should be.
    fn complain(&self, what: fmt::Arguments<'_>) {
        match self.complaints.inc() + 1 {
            ..=COMPLAINTS => eprintln!("gateway: {what}"),
            number if number == COMPLAINTS + 1 => eprintln!("gateway: further complaints are only counted"),
            _ => {}
        }
    }
}

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("gateway: {error}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether all went well.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let mut builder = Runtime::builder().capacity(4_096).name("gateway");
    if let Some(workers) = args.workers {
        builder = builder.workers(workers);
    }
    let runtime = builder.build()?;
    let went_well = runtime.block_on(serve(runtime.handle(), args))?;
    // Whoever still looks at the status has this long.
    let _ = runtime.shut_down(Duration::from_secs(1));
    Ok(went_well)
}

async fn serve(handle: Handle, args: &Args) -> Result<bool, Box<dyn Error>> {
    let began = Instant::now();
    // First what may fail.
    let listener = args.listen.map(sources::listen).transpose()?;
    let status = args.http.map(sources::listen).transpose()?;
    let signals = hear_signals()?;
    for (what, listener) in [("readings", &listener), ("status", &status)] {
        if let Some(listener) = listener {
            eprintln!("gateway: {what} at {}", listener.local_addr()?);
        }
    }

    let mut registry = Registry::default();
    registry.register_collector(Box::new(RuntimeMetrics::new(handle)));
    let counts = Counts::default();
    counts.register(&mut registry);
    let (alerts, to_write) = bounded(ALERTS);
    let (pool, analysts) = Pool::new(handle, args.analysts, args.limit, counts.clone(), &alerts)?;
    drop(alerts);
    registry.register_collector(Box::new(pool.metrics()));
    let world =
        Arc::new(World { handle, pool, counts: counts.clone(), complaints: Counter::default(), registry });
    let its_world = world.clone();
    let options = TaskOptions::new().attributes(&sources::SOURCE);
    let source = match listener {
        Some(listener) => handle.spawn_with(options, move |cx| sources::accept(cx, its_world, listener))?,
        None => handle.spawn_with(options, move |cx| sources::read_stdin(cx, its_world))?,
    };
    let (stop, its_world) = (source.abort_handle(), world.clone());
    let writer = handle.spawn_with(named!("writer"), move |_| write(its_world, to_write, stop))?;
    let stop = source.abort_handle();
    handle.spawn_with(named!("signals"), move |_| async move {
        if signals.read(&mut [0]).await.is_ok() {
            eprintln!("gateway: stopping; what was accepted is handled first");
            ask_to_stop(stop);
        }
    })?;
    if let Some(listener) = status {
        let its_world = world.clone();
        handle.spawn_with(named!("status"), move |cx| status::serve(cx, its_world, listener))?;
    }
    let progress = if io::stderr().is_terminal() {
        let its_world = world.clone();
        Some(handle.spawn_with(named!("progress"), move |cx| status::show_progress(cx, its_world))?)
    } else {
        None
    };

    // Each part ends when that before it has ended.
    if let Err(error) = source.await {
        world.complain(format_args!("not all that was read could be handed over: {error}"));
    }
    world.pool.close();
    for analyst in analysts {
        analyst.await?;
    }
    let is_written = writer.await?;
    if let Some(progress) = progress {
        let _ = progress.cancel();
        let _ = progress.await;
    }

    let [accepted, handled, found, written, malformed, overlong] = [
        &counts.accepted,
        &counts.handled,
        &counts.alerts,
        &counts.written,
        &counts.malformed,
        &counts.overlong,
    ]
    .map(|count: &Counter| count.get());
    let seconds = began.elapsed().as_secs_f64();
    eprintln!(
        "gateway: accepted {accepted}, handled {handled}, alerts {found}, written {written}; skipped: malformed \
         {malformed}, overlong {overlong}; {:.0} readings/s for {seconds:.1} s",
        accepted as f64 / seconds
    );
    Ok(is_written && accepted == handled && found == written)
}

/// What can be read when the program is asked to stop. The second time it ends at once.
fn hear_signals() -> Result<UnixStream, Box<dyn Error>> {
    let (ours, theirs) = Pipe::pair()?;
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, is_second.clone())?;
        flag::register(signal, is_second.clone())?;
        pipe::register(signal, theirs.try_clone()?)?;
    }
    Ok(ours.try_into()?)
}

/// `None`: it has ended.
fn ask_to_stop(task: Option<AbortHandle>) {
    if let Some(task) = task {
        let _ = task.cancel();
    }
}

/// Writes alerts until there will be no more. When that can't be done, has the source stop, and lets the
/// others end. Returns whether all were written.
async fn write(world: Arc<World>, alerts: Receiver<String>, stop: Option<AbortHandle>) -> bool {
    let mut is_written = true;
    while let Ok(mut text) = alerts.recv().await {
        let mut number = 1;
        while let Ok(more) = alerts.try_recv() {
            text += &more;
            number += 1;
        }
        if !is_written {
            continue;
        }
        // It may be a pipe that nobody reads from.
        let put = move || {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        match world.handle.spawn_blocking(put).await {
            Ok(Ok(())) => {
                world.counts.written.inc_by(number);
            }
            failed => {
                is_written = false;
                let why = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "the writer has panicked".into(),
                };
                world.complain(format_args!("standard output: {why}; stopping"));
                ask_to_stop(stop);
            }
        }
    }
    is_written
}
