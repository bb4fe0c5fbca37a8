//! What is read here is what the `csv` crate reads, over random rows and many types of records.

use std::collections::BTreeMap;
use std::fmt::Debug;

use csv::ByteRecord;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::Header;
use crate::io::files::row::Row;

/// Fields of which at least one is right for each type, and some are right for none.
const VALUES: [&str; 36] = [
    "",
    "0",
    "7",
    "-7",
    "+7",
    "007",
    "255",
    "256",
    "-128",
    "-129",
    "0x1F",
    "0x",
    "0xG",
    "-0x1",
    "65536",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "340282366920938463463374607431768211455",
    "1.5",
    "-.5e3",
    "1e999",
    "NaN",
    "inf",
    "true",
    "false",
    "True",
    "x",
    "ß",
    "日本",
    "Red",
    "green",
    " 7",
    "a b",
    "7,5",
];

/// Names of columns; a struct may have all of them, in this order, and some have others.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "é"];

#[derive(Debug, Deserialize)]
enum Color {
    Red,
    #[serde(alias = "green")]
    Green,
    Other(#[allow(dead_code)] u8),
    Struct {
        #[allow(dead_code)]
        a: u8,
    },
    Tuple(#[allow(dead_code)] u8, #[allow(dead_code)] u8),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Untagged {
    Flag(bool),
    Small(u8),
    Number(i64),
    Real(f64),
    Text(String),
}

/// Tells which of a visitor's methods was called.
#[derive(Debug)]
#[allow(dead_code)]
struct Any(String);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        macro_rules! visits {
            ($($method:ident $type:ty),*) => {$(
                fn $method<E>(self, value: $type) -> Result<Any, E> {
                    Ok(Any(format!("{} {value:?}", stringify!($method))))
                }
            )*};
        }
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Any;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }
            visits!(
                visit_bool bool, visit_u64 u64, visit_i64 i64, visit_u128 u128, visit_i128 i128,
                visit_f64 f64, visit_str &str, visit_bytes &[u8]
            );
        }
        from.deserialize_any(Visitor)
    }
}

macro_rules! structs {
    ($($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $field:ident: $type:ty),* })*) => {$(
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        $(#[$outer])*
        struct $name { $($(#[$inner])* $field: $type),* }
    )*};
}

fn five() -> Option<i32> {
    Some(5)
}

structs! {
    One { a: String }
    Strings { a: String, b: String }
    Numbers { a: u8, b: i64, c: f64 }
    Mixed { a: Option<u32>, b: bool, c: char, d: f32 }
    Swapped { b: String, a: Option<String> }
    Pair { a: (String, u8), b: Option<u8> }
    DefaultBehind { a: (String, u8), #[serde(default = "five")] b: Option<i32> }
    Units { a: (), b: String, c: Option<()> }
    Lists { a: Vec<String>, b: Option<String> }
    Enums { a: Color, b: Option<Color> }
    Anything { a: Any, b: Any, c: Untagged }
    Ignoring { a: serde::de::IgnoredAny, b: i128, c: u128 }
    Bytes { a: Wide, b: Wide }
    Nested { a: One, b: String }
    NestedBehind { a: String, b: Strings }
    NestedMap { a: String, b: BTreeMap<String, String> }
    Aliased { #[serde(alias = "b")] a: String, c: String }
    Skipping { a: String, #[serde(skip)] b: u8, c: String }
    SkippingBehind { a: String, b: String, #[serde(skip)] c: u8 }
    Renamed { #[serde(rename = "b")] a: String, #[serde(rename = "é")] b: String }
    #[serde(rename_all = "UPPERCASE")] Upper { a: String }
    #[serde(default)] #[derive(Default)] Defaulted { a: String, b: Option<u8>, c: f64 }
    #[serde(deny_unknown_fields)] Strict { a: String, b: Option<u8> }
    Flat { a: String, #[serde(flatten)] rest: BTreeMap<String, String> }
    FlatStruct { a: String, #[serde(flatten)] rest: Numbers2 }
    Numbers2 { b: u8, c: Option<f64> }
    FlatAny { #[serde(flatten)] rest: BTreeMap<String, Untagged> }
    With { #[serde(deserialize_with = "trimmed")] a: u8, b: Option<i32> }
}

fn trimmed<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let text = String::deserialize(from)?;
    text.trim().parse().map_err(serde::de::Error::custom)
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Wrapped(Strings);

#[derive(Debug, Deserialize)]
#[serde(transparent)]
#[allow(dead_code)]
struct Transparent {
    inner: Numbers,
}

#[derive(Debug, Deserialize)]
struct Nothing;

#[derive(Debug, Deserialize)]
struct NoField {}

/// Takes a field as bytes, be they UTF-8 or not.
#[derive(Debug)]
#[allow(dead_code)]
struct Wide(Vec<u8>);

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Wide;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wide, E> {
                Ok(Wide(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Visitor)
    }
}

/// A header, and rows under it.
struct Table {
    header: Option<ByteRecord>,
    rows: Vec<ByteRecord>,
}

fn tables() -> impl Iterator<Item = Table> {
    (0..150).map(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let width = random.usize(1..=4);
        let mut names = NAMES.to_vec();
        if random.bool() {
            random.shuffle(&mut names);
        }
        let header = random.u8(..4) > 0;
        // In some tables most rows can be read: all values of a column are alike.
        let columns: Vec<usize> = (0..width).map(|_| random.usize(..VALUES.len())).collect();
        let row = |random: &mut fastrand::Rng| -> ByteRecord {
            let value = |column: &usize| match random.bool() {
                true => VALUES[*column],
                false => VALUES[random.usize(..VALUES.len())],
            };
            columns.iter().map(value).collect()
        };
        let rows = (0..20).map(|_| row(&mut random)).collect();
        let header = header.then(|| names.iter().take(width).collect());
        Table { header, rows }
    })
}

/// How often rows of a type were taken by both, refused by both, and refused here only.
#[derive(Debug, Default)]
struct Seen {
    taken: u32,
    wrong: u32,
    refused: u32,
}

/// Reads the rows as a `T` by both.
fn compare<T: DeserializeOwned + Debug>() -> Seen {
    let (mut seen, mut row) = (Seen::default(), Row::new(b','));
    for table in tables() {
        let header = table.header.clone().map(Header::new);
        for fields in &table.rows {
            let theirs = fields.deserialize::<T>(table.header.as_ref());
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_byte_record(fields).unwrap();
            let written = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            assert_eq!(row.take(written.as_bytes()), written.len());
            let ours = T::deserialize(&mut row.fields(&written, header.as_ref()).unwrap());
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    seen.taken += 1;
                    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{fields:?}");
                }
                (Ok(ours), Err(error)) => panic!("{fields:?} is {ours:?}, and for csv {error}"),
                (Err(_), Err(_)) => seen.wrong += 1,
                // Whether those are numbers is told where the row is read again.
                (Err(_), Ok(theirs)) if is_endless(theirs) => seen.wrong += 1,
                (Err(_), Ok(_)) => seen.refused += 1,
            }
        }
    }
    seen
}

fn is_endless(record: &impl Debug) -> bool {
    let text = format!("{record:?}");
    text.contains("NaN") || text.contains("inf")
}

macro_rules! compare {
    ($($type:ty),* $(,)?) => {
        [$((stringify!($type), compare::<$type>())),*]
    };
}

#[test]
fn nothing_is_taken_that_csv_refuses_nor_differently() {
    let seen = compare![
        One, Strings, Numbers, Mixed, Swapped, Pair, DefaultBehind, Units, Lists, Enums, Anything,
        Ignoring, Bytes, Nested, NestedBehind, NestedMap, Aliased, Skipping, SkippingBehind,
        Renamed, Upper, Defaulted, Strict, Flat, FlatStruct, FlatAny, With, Wrapped, Transparent,
        Nothing, NoField, String, u8, f64, Any, Untagged, Color, Option<u8>, (), (String, u8),
        (u64, i64, f64), (Option<i32>, Option<String>), (u8, Strings), Vec<String>, Vec<Any>,
        BTreeMap<String, String>, BTreeMap<char, f32>, BTreeMap<String, Option<i16>>, [String; 2],
    ];
    // Where the `csv` crate would take a row after all, only time is lost; but few types lose any.
    for (name, seen) in &seen {
        let may_refuse = [
            "Nested",
            "NestedBehind",
            "NestedMap",
            "DefaultBehind",
            "Pair",
            "Lists",
            "FlatStruct", // text that is a number without end, in a field that nobody reads
        ];
        let may_refuse = may_refuse.contains(name);
        assert!(seen.refused == 0 || may_refuse, "{name}: {seen:?}");
    }
    let (taken, wrong) = seen.iter().fold((0, 0), |(taken, wrong), (_, seen)| {
        (taken + seen.taken, wrong + seen.wrong)
    });
    assert!(
        taken > 10_000 && wrong > 10_000,
        "{taken} taken, {wrong} wrong"
    );
}

#[test]
fn rows_with_quotes_and_without_are_those_of_csv() {
    for seed in 0..1000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let marks = random.choice([&b"ab,\n"[..], b"ab,\r\n", b"ab,\"\n", b"a,\"\r\n\xFF"]);
        let marks = marks.unwrap_or_default();
        let length = random.usize(..150);
        let bytes: Vec<u8> = (0..length)
            .map(|_| marks[random.usize(..marks.len())])
            .collect();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(&bytes[..]);
        let theirs: Vec<ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
        let (mut ours, mut row, mut start) = (Vec::new(), Row::new(b','), 0);
        loop {
            let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
            start += bytes[start..]
                .iter()
                .take_while(|byte| is_line_end(byte))
                .count();
            if start == length {
                break;
            }
            let end = start + row.take(&bytes[start..]);
            ours.push(row.copy(&bytes[start..end]));
            start = end;
        }
        assert_eq!(
            ours,
            theirs,
            "seed {seed}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn a_delimiter_within_a_character_is_left_to_csv() {
    let mut row = Row::new(0xA9);
    let text = "é\n"; // C3 A9
    row.take(text.as_bytes());
    let mut fields = row.fields(text, None).expect("the row is UTF-8");
    assert!(String::deserialize(&mut fields).is_err());
}
