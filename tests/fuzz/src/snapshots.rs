//! The readers of snapshots: whatever the bytes, an error or a snapshot, and one of version 3 that is written
//! again is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trilane::causal::{Horizon, Link, Origin, OriginMap, Snapshot, SnapshotV2, SnapshotWriter};
use xxhash_rust::xxh3::xxh3_64;

fn read_version_2(data: &[u8]) {
    // The origin is the one in its link, so that this one comparison doesn't end every try.
    let link = data.get(45..).and_then(|link| link.first_chunk::<{ Link::LEN }>());
    let origin = link.map_or(Origin::new(0), |link| Link::from_bytes(link).origin);
    if let Ok(snapshot) = SnapshotV2::read(data, origin) {
        let envelope = snapshot.envelope.map_or(0, |envelope| envelope.len());
        assert_eq!(94 + snapshot.state.len() + snapshot.bindings.len() + envelope, data.len());
        assert_eq!(snapshot.link.origin, origin);
    }
}

fn read_version_3(data: &[u8]) {
    let Ok(snapshot) = Snapshot::read(data) else { return };
    let (mut filter, mut horizon) = (OriginMap::<_, 64>::new(), Horizon::<64>::new());
    if snapshot.filter().len() > 64 || snapshot.horizon().len() > 64 {
        return;
    }
    for (origin, head) in snapshot.filter() {
        filter.insert(origin, head).unwrap();
    }
    for (origin, sequence) in snapshot.horizon() {
        horizon.observe(origin, sequence).unwrap();
    }
    let mut buffer = vec![0; data.len()];
    let mut writer = SnapshotWriter::new(&snapshot.progress, &filter, &horizon, &mut buffer).unwrap();
    writer.state().copy_from_slice(snapshot.state);
    assert_eq!(writer.seal(snapshot.state.len()).unwrap(), data);
}

fuzz_target!(|data: &[u8]| {
    read_version_2(data);
    read_version_3(data);
    // And with magic, version, length and hash that are right.
    let mut whole = [b"CDS1\x03\0\0\0\0\0\0\0", data].concat();
    let length = whole.len() as u32 + 8;
    whole[8..12].copy_from_slice(&length.to_le_bytes());
    let hash = xxh3_64(&whole);
    whole.extend(hash.to_le_bytes());
    read_version_3(&whole);
    read_version_2(&[b"CDS1\x02", data].concat());
});
