//! Checks every link of a recorded run, and shares no code with what wrote it: the wire layout and the rule
//! of parents are written down here once more.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

/// What a run had in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// How many events.
    pub events: usize,
    /// How many origins.
    pub origins: usize,
    /// How many origins went on where another's chain was cut.
    pub hand_overs: usize,
}

/// Checks the frames of `recorded`, one behind the other: each origin's sequences are 1, 2, 3 and so on, and
/// each parent is the hash of the event before. The first event of an origin has the genesis link as its
/// parent, or the latest event of another origin; that of the first event of all may be the genesis link of
/// the origin that the second word of its payload names, whose chain was cut before its first event.
pub fn check_run(recorded: &[u8]) -> Result<Run, String> {
    // Of each origin, the last sequence and the hash of the event that has it.
    let mut heads: HashMap<u64, (u64, u64)> = HashMap::new();
    let (mut run, mut at) = (Run::default(), 0);
    while at < recorded.len() {
        let fail = |what: String| format!("event {}, at byte {at}: {what}", run.events);
        let prefix = recorded.get(at..at + 4).ok_or_else(|| fail("no length".into()))?;
        let length = u32::from_le_bytes(prefix.try_into().unwrap()) as usize;
        let body = recorded.get(at + 4..at + 4 + length).ok_or_else(|| fail("cut short".into()))?;
        if length < 32 {
            return Err(fail(format!("length {length}")));
        }
        let word = |n: usize| u64::from_le_bytes(body[8 * n..8 * n + 8].try_into().unwrap());
        let (origin, sequence, parent) = (word(0), word(2), word(3));
        let genesis = |origin: u64| xxh3_64(&[&origin.to_le_bytes()[..], &[0; 24]].concat());
        let (last, expected) = *heads.entry(origin).or_insert((0, genesis(origin)));
        if sequence != last + 1 {
            return Err(fail(format!("sequence {sequence} of {origin:#x} after {last}")));
        }
        let is_hand_over = sequence == 1 && parent != expected;
        let follows = |(other, (_, hash)): (&u64, &(u64, u64))| *other != origin && *hash == parent;
        let is_of_empty_chain = run.events == 0 && length >= 48 && parent == genesis(word(5));
        if is_hand_over && !is_of_empty_chain && !heads.iter().any(follows)
            || !is_hand_over && parent != expected
        {
            return Err(fail(format!(
                "parent {parent:#x} of {origin:#x}, {sequence}; expected {expected:#x}"
            )));
        }
        heads.insert(origin, (sequence, xxh3_64(body)));
        run.events += 1;
        run.hand_overs += usize::from(is_hand_over);
        at += 4 + length;
    }
    run.origins = heads.len();
    Ok(run)
}
