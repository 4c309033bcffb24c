//~ ERROR a unit of weight has 1 to 1,023 points
use trilane::route::Ring;

static RING: Ring<64, 16, 0> = Ring::new();

fn main() {
    let _ = &RING;
}
