//! Delays for drivers.

use super::memory::cx::Cx;
use crate::time::Duration;

/// Delays for `embedded-hal-async` drivers; made by [`Cx::delay`]. Waits at least as long as asked, in whole
/// microseconds.
///
/// # Cancellation
///
/// The trait has no way to say that a delay was cut short, and a driver relies on its length: so it waits its
/// time out when the task is asked to stop, unless the clean-up time is over before.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    cx: Cx,
}

impl Delay {
    async fn wait(self, span: Duration) {
        // There is no error: it isn't cancelled.
        let _ = self.cx.sleep(span).uncancelled().await;
    }
}

impl embedded_hal_async::delay::DelayNs for Delay {
    async fn delay_ns(&mut self, ns: u32) {
        self.wait(Duration::from_nanos_ceil(ns.into())).await;
    }

    async fn delay_us(&mut self, us: u32) {
        self.wait(Duration::from_micros(us.into())).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        self.wait(Duration::from_millis(ms.into())).await;
    }
}

impl Cx {
    /// An `embedded-hal-async` delay for drivers.
    pub fn delay(&self) -> Delay {
        Delay { cx: *self }
    }
}
