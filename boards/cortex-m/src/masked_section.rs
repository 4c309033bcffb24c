//! The critical section of a chip's only core, in builds that measure how long interrupts are masked.

/// Runs `f` with interrupts masked, and doesn't measure for how long.
#[inline]
pub fn unmeasured<R>(f: impl FnOnce() -> R) -> R {
    cortex_m::interrupt::free(|_| f())
}

/// Defines, in a module of the board, what measures that on the counter in the module `$counter`, and a
/// critical section that calls it. It masks interrupts, as `cortex-m`'s with the feature
/// `critical-section-single-core` does.
#[macro_export]
macro_rules! masked_section {
    ($counter:path) => {
        $crate::masked!($counter, $crate::unmeasured, || {
            // Unmeasured, an inner one is MRS, CPSID, MSR and ISB.
            MASKED.start(|| critical_section::with(|_| ()));
            MASKED.start_inner(|| critical_section::with(|_| critical_section::with(|_| ())), 4);
        });

        struct Section;
        critical_section::set_impl!(Section);

        // Out of line, so that each takes as long as those by which the cost of measuring is measured; and
        // where each atomic operation is a section, they are too many for the flash.
        //
        // SAFETY: interrupts are masked from `acquire` to `release`, and there is one core.
        unsafe impl critical_section::Impl for Section {
            #[inline(never)]
            unsafe fn acquire() -> critical_section::RawRestoreState {
                let were_enabled = cortex_m::register::primask::read().is_active();
                cortex_m::interrupt::disable();
                if were_enabled {
                    MASKED.begins();
                }
                were_enabled
            }

            #[inline(never)]
            unsafe fn release(were_enabled: critical_section::RawRestoreState) {
                if were_enabled {
                    MASKED.ends();
                    // SAFETY: they were enabled before the section, which ends here.
                    unsafe { cortex_m::interrupt::enable() };
                } else {
                    MASKED.inner_ends();
                }
            }
        }
    };
}
