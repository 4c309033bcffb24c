//! How long interrupts are masked on hart 0. Benches don't start the other hart.

trilane_chip::masked!(crate::counter, riscv::interrupt::free, || {
    MASKED.start(|| {
        MASKED.begins();
        MASKED.ends();
    });
});
