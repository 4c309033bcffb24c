//! What `board::irq` is on every chip.

/// Gives a board's `irq` module its functions over `$soft`, a static `SoftIrq` of the architecture's crate.
/// The handlers and `trigger_after` are the board's own.
#[macro_export]
macro_rules! software_irq {
    ($soft:ident) => {
        /// Makes `handler` what the interrupt runs, in place of any other.
        pub fn bind(handler: fn()) {
            $soft.bind(handler);
        }

        /// Pends the interrupt. In thread mode, unless interrupts are masked, the handler has run when this
        /// returns.
        #[inline]
        pub fn trigger() {
            $soft.trigger();
        }

        /// The handler of the pended interrupt.
        #[inline]
        pub(crate) fn on_trigger() {
            $soft.on_interrupt();
        }
    };
}
