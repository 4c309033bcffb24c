//~ ERROR a group has a member

use trilane::group::Ingress;

fn main() {
    let _ = Ingress::<0, 1024, 8, 2>::new();
}
