//! The readers of frames: a slice and a stream in pieces give the same, whatever the bytes, and what they
//! give is what was there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trilane::causal::{FrameError, FrameReader, Frames};

/// What the reader of pieces has room for.
const ROOM: usize = 100;

// The first byte says how long the pieces are.
fuzz_target!(|data: &[u8]| {
    let Some((piece, bytes)) = data.split_first() else { return };
    let mut reader: FrameReader<ROOM> = FrameReader::new();
    let mut frames = Frames::new(bytes);
    let mut taken = 0;
    for mut piece in bytes.chunks(1 + usize::from(*piece)) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(frame)) => {
                    let expected = frames.next().expect("a frame of the slice").expect("is whole");
                    assert_eq!(frame, expected);
                    assert_eq!(frame.bytes(), &bytes[taken..taken + frame.bytes().len()]);
                    assert_eq!(frame.bytes()[4..], *frame.event().bytes());
                    taken += frame.bytes().len();
                }
                Ok(None) => break,
                Err(FrameError::TooLong { length, limit }) => {
                    assert!(length > limit && limit == ROOM - 4);
                    return;
                }
                Err(error) => {
                    assert_eq!(frames.next(), Some(Err(error)));
                    assert_eq!((frames.next(), frames.rest()), (None, &bytes[taken..]));
                    return;
                }
            }
        }
        assert!(piece.is_empty());
    }
    match frames.next() {
        None => assert_eq!((reader.finish(), taken), (Ok(()), bytes.len())),
        Some(frame) => assert_eq!(frame.unwrap_err(), reader.finish().unwrap_err()),
    }
});
