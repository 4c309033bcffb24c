//! What happens, phase by phase.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration as Real;

use trilane::route::RoutingKey;

use super::backend::{Backend, USUAL_MILLIS};
use super::gateway::{Gateway, Row};

/// How long each phase is.
const PHASE: Real = Real::from_millis(600);

pub struct Script<'a> {
    pub gateway: &'a Gateway,
    /// Where the configuration is.
    pub path: PathBuf,
    /// The names of those that have begun.
    pub phases: Vec<&'static str>,
}

impl Script<'_> {
    /// Tries that begin from now on belong to the next phase.
    fn begin(&mut self, name: &'static str) {
        self.phases.push(name);
        self.gateway.rows.lock().expect("nobody panics with it").push(Row::default());
        self.gateway.phase.store(self.phases.len(), SeqCst);
    }

    /// A phase that lasts a while.
    fn phase(&mut self, name: &'static str) {
        self.begin(name);
        thread::sleep(PHASE);
    }

    /// Writes a configuration, in one piece, and waits until the gateway has taken or refused it.
    fn configure(&self, backends: &[(&Backend, u16)], rest: &str) -> io::Result<()> {
        let mut text = "strategy = \"power of two\"\n".to_string();
        text += "[options]\nfailures = 3\nopen_for = \"200ms\"\nprobe_window = \"1s\"\n";
        text += rest;
        for (Backend { name, address, .. }, weight) in backends {
            text +=
                &format!("[[endpoints]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}\n");
        }
        let seen =
            || self.gateway.reloads.load(SeqCst) + self.gateway.refused.lock().expect("no panic").len();
        let before = seen();
        let new = self.path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &self.path)?;
        wait_until("the gateway has read its file", || seen() > before)
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> io::Result<()> {
    for _ in 0..1_000 {
        if done() {
            return Ok(());
        }
        thread::sleep(Real::from_millis(5));
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("waited too long until {what}")))
}

/// Five backends, and a sixth that comes later.
pub fn play(script: &mut Script<'_>, [a, b, c, d, e, f]: &mut [Backend; 6]) -> io::Result<()> {
    script.configure(&[(a, 1), (b, 1), (c, 1), (d, 1), (e, 1)], "")?;
    script.phase("calm");

    b.delay.store(20 * USUAL_MILLIS, SeqCst);
    script.phase("b is slow");
    b.delay.store(USUAL_MILLIS, SeqCst);

    let latest = [(&*a, 4), (&*b, 1), (&*c, 1), (&*d, 1), (&*f, 1)];
    script.configure(&latest, "")?;
    script.phase("a weighs 4, f for e");
    // A mistake in the file changes nothing.
    script.configure(&latest, "colour = \"blue\"\n")?;
    e.kill();

    c.kill();
    script.phase("c is dead");

    script.begin("c starts again");
    c.restart()?;
    let gateway = script.gateway;
    let id = gateway.fleet.find(RoutingKey::new(b"c").hash()).expect("c is a member");
    wait_until("c serves again", || gateway.fleet.stats(id).is_ok_and(|stats| stats.routable))?;
    script.phase("c is back");
    Ok(())
}
