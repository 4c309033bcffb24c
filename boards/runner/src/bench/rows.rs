//! What bench images print, and how it is put together.
//!
//! An image prints one JSON object a line: `{"image":"trilane"}` first, then rows such as
//! `{"op":"edf","n":4,"mean":97.3,"worst":120}`. Lines that don't begin with `{` are for the reader.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The images whose rows are the board's own; any other is a peer's.
const OWN: &str = "trilane";

/// What one bench image measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Which project, for a peer with its version.
    pub name: String,
    /// The costs, in the order printed.
    pub costs: Vec<Cost>,
}

/// The cost of one operation, in instructions.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The operation.
    pub op: String,
    /// How many of what the operation's cost depends on; 1 where on nothing.
    pub n: u32,
    /// The mean over all iterations.
    pub mean: f64,
    /// The largest single one.
    pub worst: u64,
    /// The longest stretch of one for which interrupts were masked; from another build of the image.
    #[serde(skip)]
    pub masked: Option<u64>,
}

/// The row of an image that was built to measure for how long interrupts are masked.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// The operation.
    pub op: String,
    /// See [`Cost::n`].
    pub n: u32,
    /// See [`Cost::masked`].
    pub masked: u64,
}

/// What a row is of.
pub trait Keyed {
    /// The operation and n.
    fn key(&self) -> (&str, u32);
}

impl Keyed for Cost {
    fn key(&self) -> (&str, u32) {
        (&self.op, self.n)
    }
}

impl Keyed for Stretch {
    fn key(&self) -> (&str, u32) {
        (&self.op, self.n)
    }
}

/// One row of the result. The peer's fields are absent where it lacks the operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The operation.
    pub op: String,
    /// See [`Cost::n`].
    pub n: u32,
    /// See [`Cost::mean`].
    pub mean: f64,
    /// See [`Cost::worst`].
    pub worst: u64,
    /// See [`Cost::masked`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked: Option<u64>,
    /// The peer's name and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The peer's mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_mean: Option<f64>,
    /// The peer's worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_worst: Option<u64>,
    /// The peer's longest stretch with interrupts masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_masked: Option<u64>,
}

/// Takes over what another build of the image has measured.
pub fn add_masked(image: &mut Image, masked: &[Stretch]) -> Result<(), String> {
    for cost in &mut image.costs {
        let same = masked.iter().find(|other| other.key() == cost.key());
        let same = same.ok_or_else(|| {
            format!("built to measure masked interrupts, it has no row {} with n = {}", cost.op, cost.n)
        })?;
        cost.masked = Some(same.masked);
    }
    Ok(())
}

/// Reads what a bench image printed.
pub fn parse(output: &str) -> Result<Image, String> {
    parse_rows(output).map(|(name, costs)| Image { name, costs })
}

/// The image's name and its rows.
pub fn parse_rows<R: DeserializeOwned + Keyed>(output: &str) -> Result<(String, Vec<R>), String> {
    // May hold more about the image, for the reader.
    #[derive(Deserialize)]
    struct Name {
        image: String,
    }
    let mut name = None;
    let mut rows: Vec<R> = Vec::new();
    for line in output.lines().map(str::trim).filter(|line| line.starts_with('{')) {
        if name.is_none() {
            let Name { image } = serde_json::from_str(line).map_err(|error| {
                format!("`{line}` is not {{\"image\":\"NAME\"}}, which must come first: {error}")
            })?;
            name = Some(image);
            continue;
        }
        let row: R = serde_json::from_str(line).map_err(|error| format!("`{line}` is not a row: {error}"))?;
        let (op, n) = row.key();
        if rows.iter().any(|other| other.key() == row.key()) {
            return Err(format!("the row {op} with n = {n} came twice"));
        }
        rows.push(row);
    }
    let name = name.ok_or("it printed no {\"image\":\"NAME\"}")?;
    if rows.is_empty() {
        return Err("it printed no rows".into());
    }
    Ok((name, rows))
}

/// Puts the costs of peers beside the own ones, by operation and n. Of several peers with the same row the
/// first counts; of the board's own images no two may have the same.
pub fn merge(board: &str, images: Vec<Image>) -> Result<Vec<Row>, String> {
    let (own, peers): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|image| image.name == OWN);
    if own.is_empty() {
        return Err(format!("no image calls itself `{OWN}`, one must at least"));
    }
    let own: Vec<Cost> = own.into_iter().flat_map(|image| image.costs).collect();
    let again = |(at, cost): (usize, &Cost)| own[..at].iter().any(|other| other.key() == cost.key());
    if let Some((_, cost)) = own.iter().enumerate().find(|&row| again(row)) {
        return Err(format!("two images have the row {} with n = {}", cost.op, cost.n));
    }
    let row = |cost: &Cost| {
        let same = |other: &&Cost| other.key() == cost.key();
        let theirs = peers.iter().find_map(|peer| Some((peer, peer.costs.iter().find(same)?)));
        Row {
            board: board.to_owned(),
            op: cost.op.clone(),
            n: cost.n,
            mean: cost.mean,
            worst: cost.worst,
            masked: cost.masked,
            peer: theirs.map(|(image, _)| image.name.clone()),
            peer_mean: theirs.map(|(_, cost)| cost.mean),
            peer_worst: theirs.map(|(_, cost)| cost.worst),
            peer_masked: theirs.and_then(|(_, cost)| cost.masked),
        }
    };
    Ok(own.iter().map(row).collect())
}

/// The row as `--json` prints it.
pub fn to_json(row: &Row) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const TRILANE: &str = "hello\n{\"image\":\"trilane\"}\n{\"op\":\"edf\",\"n\":4,\"mean\":97.3,\"worst\":120}\r\n\
                           {\"op\":\"cancel\",\"n\":1,\"mean\":50.0,\"worst\":61}\nbye\n";
    const PEER: &str = "{\"image\":\"embassy-executor 0.10\",\"features\":\"x\"}\n{\"op\":\"edf\",\"n\":8,\"mean\":1,\"worst\":1}\n\
                        {\"op\":\"edf\",\"n\":4,\"mean\":121.0,\"worst\":130}\n";

    pub fn rows() -> Vec<Row> {
        let mut images = [PEER, TRILANE].map(|text| parse(text).expect("is right"));
        for (image, masked) in images.iter_mut().zip([27, 17]) {
            let stretch = |cost: &Cost| Stretch { op: cost.op.clone(), n: cost.n, masked };
            let stretches: Vec<Stretch> = image.costs.iter().map(stretch).collect();
            add_masked(image, &stretches).expect("has the same rows");
        }
        merge("mps2-an385", images.into()).expect("fits")
    }

    #[test]
    fn a_row_has_exactly_the_documented_form() {
        let lines: Vec<String> = rows().iter().map(to_json).collect();
        assert_eq!(
            lines,
            [
                r#"{"board":"mps2-an385","op":"edf","n":4,"mean":97.3,"worst":120,"masked":17,"peer":"embassy-executor 0.10","peer_mean":121.0,"peer_worst":130,"peer_masked":27}"#,
                r#"{"board":"mps2-an385","op":"cancel","n":1,"mean":50.0,"worst":61,"masked":17}"#,
            ]
        );
    }

    #[test]
    fn the_other_build_has_every_row() {
        let mut image = parse(TRILANE).expect("is right");
        let one = "{\"image\":\"trilane\"}\n{\"op\":\"edf\",\"n\":4,\"masked\":17}";
        let (_, stretches) = parse_rows(one).expect("is right");
        let error = add_masked(&mut image, &stretches).expect_err("lacks one");
        assert_eq!(error, "built to measure masked interrupts, it has no row cancel with n = 1");
        assert!(
            parse_rows::<Stretch>(TRILANE).is_err(),
            "an image that is not built for it prints no stretches"
        );
    }

    #[test]
    fn what_is_no_row_is_an_error_that_quotes_it() {
        let complaint = |text: &str| parse(text).expect_err("is wrong");
        assert!(complaint("{\"op\":\"edf\"}").contains("must come first"));
        assert!(
            complaint("{\"image\":\"a\"}\n{\"op\":\"edf\",\"n\":1,\"mean\":2}")
                .contains("missing field `worst`")
        );
        assert_eq!(complaint("{\"image\":\"a\"}\n"), "it printed no rows");
        assert_eq!(complaint("panicked"), "it printed no {\"image\":\"NAME\"}");
        let twice = "{\"image\":\"a\"}\n{\"op\":\"x\",\"n\":1,\"mean\":2,\"worst\":3}\n{\"op\":\"x\",\"n\":1,\"mean\":2,\"worst\":3}";
        assert_eq!(complaint(twice), "the row x with n = 1 came twice");
    }

    #[test]
    fn of_several_peers_the_first_with_the_operation_counts() {
        let [own, peer] = [TRILANE, PEER].map(|text| parse(text).expect("is right"));
        let mut other = peer.clone();
        other.name = "other 1.0".into();
        other.costs.push(Cost { op: "cancel".into(), n: 1, mean: 9.5, worst: 10, masked: None });
        let rows = merge("b", vec![peer, own, other]).expect("fits");
        let peers: Vec<Option<&str>> = rows.iter().map(|row| row.peer.as_deref()).collect();
        assert_eq!(peers, [Some("embassy-executor 0.10"), Some("other 1.0")]);
        assert_eq!(rows[1].peer_mean, Some(9.5));
    }

    #[test]
    fn one_image_at_least_is_an_own_one() {
        let [own, peer] = [TRILANE, PEER].map(|text| parse(text).expect("is right"));
        assert!(merge("b", vec![peer]).is_err());
        assert_eq!(merge("b", vec![own]).expect("fits")[0].peer, None);
    }

    #[test]
    fn the_rows_of_own_images_are_joined_and_none_comes_twice() {
        let own = parse(TRILANE).expect("is right");
        let mut other = own.clone();
        let twice = merge("b", vec![own.clone(), other.clone()]).expect_err("the same rows");
        assert_eq!(twice, "two images have the row edf with n = 4");
        other.costs.iter_mut().for_each(|cost| cost.n += 100);
        let rows = merge("b", vec![own, other]).expect("fits");
        let rows: Vec<(&str, u32)> = rows.iter().map(|row| (row.op.as_str(), row.n)).collect();
        assert_eq!(rows, [("edf", 4), ("cancel", 1), ("edf", 104), ("cancel", 101)]);
    }
}
