//~ ERROR a priority is 0 to 31
fn main() {
    let _ = trilane::sched::Priority::of::<32>();
}
