//! What keeps events is all zeros at first, so a static of it takes no flash.

use std::sync::Mutex;

use trilane::causal::{FrameReader, Head, Horizon, OriginMap, Position, RecordRing};
use trilane_tests::statics::assert_statics;

static ZEROS_LOG: Mutex<RecordRing<Position, 256, 8>> =
    Mutex::new(RecordRing::new(Position { term: 0, index: 0 }));
static ZEROS_READER: Mutex<FrameReader<256>> = Mutex::new(FrameReader::new());
static ZEROS_HORIZON: Mutex<Horizon<8>> = Mutex::new(Horizon::new());
static ZEROS_FILTER: Mutex<OriginMap<Head, 8>> = Mutex::new(OriginMap::new());

#[test]
fn logs_readers_horizons_and_filters_take_no_flash() {
    assert!(ZEROS_LOG.lock().unwrap().is_empty());
    assert_eq!(ZEROS_READER.lock().unwrap().finish(), Ok(()));
    assert!(ZEROS_HORIZON.lock().unwrap().is_empty());
    assert!(ZEROS_FILTER.lock().unwrap().is_empty());
    assert_statics("causal_no_flash", "ZEROS_", true, 4);
}
