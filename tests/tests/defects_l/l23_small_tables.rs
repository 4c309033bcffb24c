//! L23: a table for 32 endpoints left out half of those of a balancer of two banks of 16, whose slots are
//! numbered up to 47. Here it is the number of endpoints that counts; one that is too small doesn't compile.

use trilane::route::{
    Balancer, ConsistentHash, Endpoint, Maglev, Options, Request, RoutingKey, Selector, SizedTable,
};
use trilane::time::Instant;
use trilane_tests::leak;

type Table = Maglev<1_021, 32>;
type Two = Balancer<ConsistentHash<Table>, 2, 16, 1>;

#[test]
fn l23_all_of_two_small_banks_get_keys() {
    let balancer: &'static Two = leak(Balancer::new(ConsistentHash::new(Table::new()), Options::new()));
    (0..32).for_each(|id| _ = balancer.add(&Endpoint::new(id), Instant::ZERO).unwrap());
    assert!(balancer.finish_build());
    let mut selector: Selector<_, _, 2, 16, 1, 1> = Selector::new(balancer, 1).unwrap();
    for key in 0..20_000 {
        drop(selector.select(&Request::ANY.key(RoutingKey::from_id(key)), Instant::ZERO).unwrap());
    }
    for id in balancer.members() {
        let selected = balancer.stats(id).unwrap().selected;
        assert!((500..750).contains(&selected), "{selected} of {id:?}");
    }
    assert_eq!(Table::ENDPOINTS, 32);
}
