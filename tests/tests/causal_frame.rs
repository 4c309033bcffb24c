//! Frames: what is written is read, in one slice and in pieces, and what is no frame is an error.

use proptest::prelude::*;
use trilane::causal::{
    Bloom, Chain, Event, Frame, FrameError, FrameReader, FrameWriter, Frames, Head, LinkHash, Origin,
    SealError, Sequence,
};

/// What the readers of these tests have room for: payloads of up to 64 bytes.
const ROOM: usize = Frame::OVERHEAD + 64;

/// The frames of a chain with these payloads, one behind the other.
fn stream(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut chain = Chain::new(Origin::new(7));
    let mut stream = Vec::new();
    for payload in payloads {
        let mut buffer = vec![0; Frame::OVERHEAD + payload.len()];
        let mut writer = FrameWriter::new(&mut buffer).unwrap();
        writer.payload().copy_from_slice(payload);
        stream.extend_from_slice(writer.seal(payload.len(), &mut chain, Bloom::EMPTY).unwrap());
    }
    stream
}

/// Oracle: the bodies of the frames at the front, how many bytes they take, and why there are no more.
fn bodies(mut bytes: &[u8], limit: usize) -> (Vec<Vec<u8>>, usize, Option<FrameError>) {
    let (mut found, mut taken) = (vec![], 0);
    while !bytes.is_empty() {
        if bytes.len() < 4 {
            return (found, taken, Some(FrameError::Truncated { missing: 4 - bytes.len() }));
        }
        let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        if length < 32 {
            return (found, taken, Some(FrameError::TooShort { length }));
        }
        if length > limit {
            return (found, taken, Some(FrameError::TooLong { length, limit }));
        }
        if bytes.len() < 4 + length {
            return (found, taken, Some(FrameError::Truncated { missing: 4 + length - bytes.len() }));
        }
        found.push(bytes[4..4 + length].to_vec());
        taken += 4 + length;
        bytes = &bytes[4 + length..];
    }
    (found, taken, None)
}

/// All that a reader gives of a stream in these pieces, and how the stream ended for it.
fn read_pieces<'a>(
    reader: &mut FrameReader<ROOM>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut found = vec![];
    for mut piece in pieces {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(frame)) => found.push(frame.event().bytes().to_vec()),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(piece.is_empty(), "a reader that wants more has taken all");
    }
    (found, reader.finish().err())
}

#[test]
fn a_frame_is_length_link_and_payload_and_its_hash_is_the_chains() {
    let mut chain = Chain::new(Origin::new(0xabcd));
    let before = chain;
    let mut buffer = [0xee; 64];
    let mut writer = FrameWriter::new(&mut buffer).unwrap();
    assert_eq!(writer.payload().len(), 28);
    writer.payload()[..5].copy_from_slice(b"hello");
    let bytes = writer.seal(5, &mut chain, Bloom::from_bits(3)).unwrap();
    assert_eq!((bytes.len(), &bytes[..4], &bytes[36..]), (41, &[37, 0, 0, 0][..], &b"hello"[..]));

    let (frame, rest) = Frame::split(bytes).unwrap();
    assert_eq!((frame.bytes(), rest), (bytes, &[][..]));
    let event = frame.event();
    assert_eq!(event.bytes(), &bytes[4..]);
    assert_eq!(before.validate(&event.link()), Ok(()));
    assert_eq!((event.link().horizon, event.link().sequence), (Bloom::from_bits(3), Sequence::new(1)));
    assert_eq!(chain.head().next_parent, event.hash());
}

#[test]
fn a_frame_without_payload_is_the_shortest() {
    let mut chain = Chain::new(Origin::new(7));
    let mut buffer = [0; Frame::OVERHEAD];
    let bytes = FrameWriter::new(&mut buffer).unwrap().seal(0, &mut chain, Bloom::EMPTY).unwrap();
    assert_eq!(bytes[..4], [32, 0, 0, 0]);
    assert_eq!(Frame::split(bytes).unwrap().0.event().payload(), b"");
}

#[test]
fn what_does_not_fit_the_buffer_is_not_appended_and_the_size_needed_is_said() {
    let mut short = [0; Frame::OVERHEAD - 1];
    let needed = Frame::OVERHEAD;
    assert_eq!(FrameWriter::new(&mut short).unwrap_err(), SealError::NoRoom { needed });
    let mut chain = Chain::new(Origin::new(7));
    let before = chain;
    let mut seal = |length| {
        let mut buffer = [0; 40];
        FrameWriter::new(&mut buffer).unwrap().seal(length, &mut chain, Bloom::EMPTY).unwrap_err()
    };
    assert_eq!(seal(5), SealError::NoRoom { needed: 41 });
    assert_eq!(seal(u32::MAX as usize - 32), SealError::NoRoom { needed: u32::MAX as usize + 4 });
    assert_eq!(seal(u32::MAX as usize - 31), SealError::TooLong);
    assert_eq!(seal(usize::MAX), SealError::TooLong);
    assert_eq!(chain, before);
}

#[test]
fn at_the_last_sequence_a_frame_is_refused_and_its_payload_is_still_there() {
    let head = Head { sequence: Sequence::MAX, next_parent: LinkHash::new(1) };
    let mut chain = Chain::resume(Origin::new(7), head);
    let mut buffer = [0; 40];
    let mut writer = FrameWriter::new(&mut buffer).unwrap();
    writer.payload().copy_from_slice(b"last");
    assert_eq!(writer.seal(4, &mut chain, Bloom::EMPTY), Err(SealError::SequenceOverflow));
    assert_eq!((chain.head(), &buffer[36..]), (head, &b"last"[..]));
}

#[test]
fn each_wrong_length_is_an_error_of_its_own() {
    let good = stream(&[b"0123".to_vec()]);
    let with_length = |length: u32| [&length.to_le_bytes()[..], &good[4..]].concat();
    let split = |bytes: &[u8]| Frame::split(bytes).map(|(frame, _)| frame.event().payload().len());
    assert_eq!(split(&good), Ok(4));
    for length in [0, 1, 31] {
        let error = FrameError::TooShort { length: length as usize };
        assert_eq!(split(&with_length(length)), Err(error));
        assert_eq!(FrameReader::<ROOM>::new().read(&mut &with_length(length)[..]), Err(error));
    }
    assert_eq!(split(&with_length(37)), Err(FrameError::Truncated { missing: 1 }));
    let all = u32::MAX as usize;
    assert_eq!(split(&with_length(u32::MAX)), Err(FrameError::Truncated { missing: all - 36 }));
    for length in [97, all] {
        let error = FrameError::TooLong { length, limit: 96 };
        assert_eq!(FrameReader::<ROOM>::new().read(&mut &with_length(length as u32)[..]), Err(error));
    }
    for end in 0..good.len() {
        let missing = if end < 4 { 4 - end } else { good.len() - end };
        assert_eq!(split(&good[..end]), Err(FrameError::Truncated { missing }));
    }
}

#[test]
fn a_frame_too_long_for_the_reader_is_refused_where_it_lies_whole_in_a_piece_as_well() {
    let long = stream(&[vec![0; 65]]);
    let error = FrameError::TooLong { length: 97, limit: 96 };
    assert_eq!(FrameReader::<ROOM>::new().read(&mut &long[..]), Err(error));
}

#[test]
fn after_an_error_the_reader_takes_nothing_until_it_is_reset() {
    let mut reader: FrameReader<ROOM> = FrameReader::new();
    let bad = [31, 0, 0, 0, 9, 9];
    let mut input = &bad[..];
    let error = FrameError::TooShort { length: 31 };
    assert_eq!(reader.read(&mut input), Err(error));
    assert_eq!(input, [9, 9]);
    let good = stream(&[b"0123".to_vec()]);
    let mut input = &good[..];
    assert_eq!(reader.read(&mut input), Err(error));
    assert_eq!((input.len(), reader.finish()), (good.len(), Err(error)));
    reader.reset();
    assert_eq!(reader.read(&mut input).unwrap().unwrap().event().payload(), b"0123");
    assert_eq!(reader.finish(), Ok(()));
}

proptest! {
    /// Streams of frames, some of them with bytes changed, cut short, and cut in pieces.
    #[test]
    fn slices_and_pieces_give_the_same_frames_as_the_oracle(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        end in proptest::option::of(any::<prop::sample::Index>()),
        cuts in proptest::collection::vec(1_usize..50, 1..8),
    ) {
        let mut bytes = stream(&payloads);
        if !bytes.is_empty() {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
        }

        let (found, taken, error) = bodies(&bytes, usize::MAX);
        let mut frames = Frames::new(&bytes);
        let read: Vec<_> = frames.by_ref().map(|frame| frame.map(|frame| frame.event().bytes().to_vec())).collect();
        let all: Vec<_> = found.into_iter().map(Ok).chain(error.map(Err)).collect();
        prop_assert_eq!(read, all);
        prop_assert_eq!(frames.rest().len(), bytes.len() - taken);

        let (found, _, error) = bodies(&bytes, ROOM - 4);
        let mut rest = &bytes[..];
        let pieces = cuts.iter().cycle().map_while(|cut| {
            let (piece, behind) = rest.split_at_checked(*cut).unwrap_or((rest, &[]));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        });
        let in_pieces = read_pieces(&mut FrameReader::new(), pieces);
        prop_assert_eq!(&in_pieces, &(found, error));
        prop_assert_eq!(read_pieces(&mut FrameReader::new(), [&bytes[..]].into_iter()), in_pieces);
    }

    /// Whatever bytes come, nothing panics, and all that is given is an event.
    #[test]
    fn random_bytes_are_frames_or_errors(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(0), 1 => 32..64_u8, 1 => any::<u8>()], 0..400),
    ) {
        let (found, ..) = bodies(&bytes, ROOM - 4);
        let (given, _) = read_pieces(&mut FrameReader::new(), bytes.chunks(3));
        prop_assert!(given.iter().all(|body| Event::new(body).is_ok()));
        prop_assert_eq!(given, found);
    }
}
