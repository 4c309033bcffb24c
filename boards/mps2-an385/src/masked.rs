//! How long interrupts are masked, and the critical section that measures it.

trilane_cortex_m::masked_section!(crate::counter);
