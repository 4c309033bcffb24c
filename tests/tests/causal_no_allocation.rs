//! Nothing about causal events allocates.

use std::hint::black_box;

use trilane::causal::{
    Chain, Frame, FrameReader, FrameWriter, Frames, Head, Horizon, Ordinal, Origin, OriginMap, Position,
    Progress, RecordRing, Snapshot, SnapshotWriter,
};
use trilane_tests::counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn emitting_reading_verifying_keeping_and_snapshots_do_not_allocate() {
    let mut buffer = [0; 512];
    let allocated = allocations(|| {
        let mut chain = Chain::new(Origin::new(7));
        let mut filter: OriginMap<Head, 4> = OriginMap::new();
        let mut seen: Horizon<4> = Horizon::new();
        let mut log: RecordRing<Position, 256, 8> = RecordRing::new(Position::default());
        let mut reader: FrameReader<64> = FrameReader::new();
        for index in 0..20 {
            let mut room = log.reserve(1, 48).unwrap();
            let writer = FrameWriter::new(room.bytes()).unwrap();
            let length = writer.seal(12, &mut chain, seen.bloom()).unwrap().len();
            room.commit(Position { term: 1, index }, length).unwrap();

            let record = log.get(index).unwrap();
            for mut piece in record.bytes.chunks(13) {
                if let Some(frame) = reader.read(&mut piece).unwrap() {
                    let (event, origin) = (frame.event(), frame.event().link().origin);
                    let head = filter.get(origin).copied().unwrap_or_else(|| Head::genesis(origin));
                    head.verify(origin, event).unwrap();
                }
            }
            let frame = Frames::new(record.bytes).next().unwrap().unwrap();
            let head = filter.get(chain.origin()).copied().unwrap_or_else(|| Head::genesis(chain.origin()));
            filter.insert(chain.origin(), head.verify(chain.origin(), frame.event()).unwrap()).unwrap();
            seen.observe(chain.origin(), chain.head().sequence).unwrap();
            if index > 3 {
                log.evict_through(index - 3);
            }
        }
        let output = Ordinal { index: 19, output: 0 };
        let progress = Progress { term: 1, applied: Position { term: 1, index: 19 }, output, chain };
        let writer = SnapshotWriter::new(&progress, &filter, &seen, &mut buffer).unwrap();
        let snapshot = Snapshot::read(writer.seal(100).unwrap()).unwrap();
        assert_eq!(snapshot.progress.chain, chain);
        let mut restored: Horizon<4> = Horizon::new();
        for (origin, sequence) in snapshot.horizon() {
            restored.observe(origin, sequence).unwrap();
        }
        assert_eq!(restored, seen);
        black_box((Frame::split(&[1]).unwrap_err(), Snapshot::read(&[1]).unwrap_err()));
    });
    assert_eq!(allocated, 0);
}
