extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;

const HEADER: &str = "t_ms,net,mag,lat,lon,depth_km,kind";
const GOOD: &str = "616010,mb,1.35,44.8182,-112.5183,-2.15,earthquake";

/// The message for a file whose third line is `line`.
fn refusal(line: &str) -> String {
    let text = format!("{HEADER}\n{GOOD}\n{line}\n");
    message(text.as_bytes())
}

fn message(bytes: &[u8]) -> String {
    let rows: Result<Vec<Row>, BadRow> = rows(bytes).and_then(Iterator::collect);
    rows.expect_err("the file breaks a rule").to_string()
}

fn good(line: &str) -> Row<'_> {
    row(line, None).expect("the row keeps all rules")
}

#[test]
fn a_good_row_is_kept_exactly() {
    let expected = Row {
        t_ms: 616_010,
        net: "mb",
        mag: Magnitude::from_hundredths(135),
        cell: Cell { lat: 44, lon: -113 },
        kind: Kind::Earthquake,
    };
    assert_eq!(good(GOOD), expected);
}

#[test]
fn a_magnitude_with_one_or_no_decimal_is_padded() {
    for (text, hundredths, printed) in [
        ("4.7", 470, "4.70"),
        ("4", 400, "4.00"),
        ("0.31", 31, "0.31"),
        ("-0.5", -50, "-0.50"),
        ("-0.05", -5, "-0.05"),
        ("-0.00", 0, "0.00"),
        ("-1", -100, "-1.00"),
        ("10.00", 1000, "10.00"),
    ] {
        let line = format!("0,us,{text},0,0,0,quarry");
        assert_eq!(good(&line).mag.hundredths(), hundredths, "{text}");
        assert_eq!(good(&line).mag.to_string(), printed, "{text}");
    }
}

#[test]
fn a_cell_is_the_floor_of_the_degrees() {
    for (text, cell) in
        [("-0.5", -1), ("-1", -1), ("-1.0001", -2), ("0", 0), ("-0.0", 0), ("0.9999999", 0), ("90", 90)]
    {
        let line = format!("0,us,1,{text},{text},0,explosion");
        assert_eq!(good(&line).cell, Cell { lat: cell, lon: cell }, "{text}");
    }
}

#[test]
fn lines_may_end_as_on_windows() {
    let text = format!("{HEADER}\r\n{GOOD}\r\n");
    assert_eq!(rows(text.as_bytes()).unwrap().count(), 1);
}

#[test]
fn a_header_with_another_column_is_refused() {
    assert_eq!(
        message(b"t_ms,net,size,lat,lon,depth_km,kind\n"),
        r#"1: mag: "size" is not the name of this column in the header"#
    );
    assert_eq!(message(b"t_ms,net\n"), r#"1: mag: "t_ms,net" ends before this column"#);
    let longer = format!("{HEADER},place\n{GOOD},here\n");
    assert_eq!(message(longer.as_bytes()), r#"1: kind: "place" follows the last column"#);
}

#[test]
fn a_file_without_header_or_rows_is_refused() {
    assert_eq!(message(b""), r#"1: t_ms: "" ends before this column"#);
    assert_eq!(message(HEADER.as_bytes()), format!(r#"1: t_ms: "{HEADER}" is followed by no row"#));
}

#[test]
fn a_row_with_a_missing_column_is_refused() {
    assert_eq!(
        refusal("616020,mb,1.35,44.8182,-112.5183,earthquake"),
        r#"3: kind: "616020,mb,1.35,44.8182,-112.5183,earthquake" ends before this column"#
    );
    assert_eq!(refusal(""), r#"3: t_ms: "" ends before this column"#);
}

#[test]
fn a_row_with_a_surplus_column_is_refused() {
    assert_eq!(refusal(&format!("{GOOD},7,8")), r#"3: kind: "7,8" follows the last column"#);
}

#[test]
fn what_is_not_a_number_is_refused_in_every_number_column() {
    for bad in ["", "-", ".", "4.", ".5", "+4", "4x", "1e3", " 4", "4 ", "--4", "4.5.6", "0x10", "NaN", "٤"]
    {
        for (line, column) in [
            (format!("{bad},mb,1.35,44.8,-112.5,2,earthquake"), "t_ms"),
            (format!("616020,mb,{bad},44.8,-112.5,2,earthquake"), "mag"),
            (format!("616020,mb,1.35,{bad},-112.5,2,earthquake"), "lat"),
            (format!("616020,mb,1.35,44.8,{bad},2,earthquake"), "lon"),
            (format!("616020,mb,1.35,44.8,-112.5,{bad},earthquake"), "depth_km"),
        ] {
            assert_eq!(refusal(&line), format!("3: {column}: {bad:?} is not a decimal number"));
        }
    }
}

#[test]
fn more_decimals_than_are_kept_are_refused() {
    assert_eq!(
        refusal("616020.5,mb,1,44,-112,2,earthquake"),
        r#"3: t_ms: "616020.5" has more than 0 decimals"#
    );
    assert_eq!(
        refusal("616020,mb,1.355,44,-112,2,earthquake"),
        r#"3: mag: "1.355" has more than 2 decimals"#
    );
    assert_eq!(
        refusal("616020,mb,1.35,44.12345678,-112,2,earthquake"),
        r#"3: lat: "44.12345678" has more than 7 decimals"#
    );
}

#[test]
fn a_number_outside_its_limits_is_refused() {
    let huge = "9".repeat(30);
    for (bad, column, limits) in [
        ("-1", "t_ms", "0 and 4294967295"),
        ("4294967296", "t_ms", "0 and 4294967295"),
        (&huge, "t_ms", "0 and 4294967295"),
        ("10.01", "mag", "-1 and 10"),
        ("-1.01", "mag", "-1 and 10"),
        ("90.0000001", "lat", "-90 and 90"),
        ("-90.5", "lat", "-90 and 90"),
        ("180.1", "lon", "-180 and 180"),
        ("-181", "lon", "-180 and 180"),
        ("1000.001", "depth_km", "-10 and 1000"),
        ("-11", "depth_km", "-10 and 1000"),
    ] {
        let place = COLUMNS.iter().position(|name| *name == column).unwrap();
        let mut fields = ["616020", "mb", "1.35", "44.8", "-112.5", "2", "earthquake"];
        fields[place] = bad;
        assert_eq!(refusal(&fields.join(",")), format!("3: {column}: {bad:?} is not within {limits}"));
    }
}

#[test]
fn a_time_that_does_not_ascend_is_refused() {
    for bad in ["616010", "616009", "0"] {
        assert_eq!(
            refusal(&format!("{bad},mb,1.35,44.8182,-112.5183,2,earthquake")),
            format!("3: t_ms: {bad:?} is not later than 616010 in the row before")
        );
    }
}

#[test]
fn an_odd_network_code_is_refused() {
    for bad in ["", "US", "u s", "ü", "ninechars"] {
        assert_eq!(
            refusal(&format!("616020,{bad},1.35,44.8182,-112.5183,2,earthquake")),
            format!("3: net: {bad:?} is not a network code (one to eight lower-case letters or digits)")
        );
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    for bad in ["", "Earthquake", "earthquake ", "ice quake"] {
        assert_eq!(
            refusal(&format!("616020,mb,1.35,44.8182,-112.5183,2,{bad}")),
            format!("3: kind: {bad:?} is not a known kind (earthquake, explosion, quarry)")
        );
    }
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let mut bytes = format!("{HEADER}\n{GOOD}\n616020,m").into_bytes();
    bytes.extend_from_slice(b"\xff,1.35,44.8182,-112.5183,2,earthquake\n");
    assert_eq!(message(&bytes), r#"3: net: "616020,m" is followed by bytes that are not UTF-8"#);
}

#[test]
fn rows_end_after_the_first_bad_one() {
    let text = format!("{HEADER}\nbad\n{GOOD}\n");
    let mut rows = rows(text.as_bytes()).unwrap();
    assert!(rows.next().unwrap().is_err());
    assert_eq!(rows.next(), None);
}
