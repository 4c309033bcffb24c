//! How long interrupts are masked on core 0. Benches don't start the other core.

trilane_cortex_m::masked!(crate::counter, trilane_cortex_m::unmeasured, || {
    MASKED.start(|| {
        MASKED.begins();
        MASKED.ends();
    });
});
