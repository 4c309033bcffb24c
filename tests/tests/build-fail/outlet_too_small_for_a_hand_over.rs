//~ ERROR a hand-over fits

use trilane::group::Outlet;

fn main() {
    let _ = Outlet::<3, 8, 91>::new();
}
