//! Schemas: a shape's text, read again, along which values are read without their type.
//!
//! A value is written as the JSON that `serde_json` makes of it. So bytes are arrays of numbers,
//! numbers of 128 bits are numbers, and floats that are no number are `null`. The differences:
//!
//! * A map whose keys JSON has no texts for is an array of pairs.
//! * A type that has another form for people than for the codec is told in that of the codec: an event
//!   time within a value is its microseconds.
//! * What a shape does not say: a variant around `()` is told as one without a value, one around a
//!   tuple of one as one around its part, and an array of no elements as `null`.
//!
//! Names are taken as they stand in the text. One that holds its brackets or commas (by
//! `#[serde(rename = "a, b")]`) cannot be told from them.

use serde::Serialize;

use crate::codec::Reader;
use crate::error::Problem;

/// How deep a shape may be nested.
const SHAPE_DEPTH: usize = 128;
/// How deep a value may be nested.
const VALUE_DEPTH: usize = 512;
/// How much is told of a shape that cannot be read, in characters.
const EXCERPT_CHARS: usize = 40;

/// What a type is made of. A type that contains itself is a circle of numbers.
#[derive(Debug)]
pub(crate) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
}

/// The number of a node.
type NodeId = usize;

/// Reads a plain value, and writes it as JSON.
type Transcode = fn(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), Problem>;

#[derive(Debug)]
enum Node {
    /// No value of it was seen when the shape was traced.
    Unknown,
    Unit,
    /// A value that is a text in JSON, or can be told as one where it is a key.
    Plain(Transcode),
    Bytes,
    Option(NodeId),
    Seq(NodeId),
    Map(NodeId, NodeId),
    Tuple(Vec<NodeId>),
    /// By name, as JSON.
    Fields(Vec<(String, NodeId)>),
    /// By name, as JSON, with what stands behind it.
    Enum(Vec<(String, Option<NodeId>)>),
}

/// The plain values by their names in shapes.
const PLAIN: [(&str, Transcode); 15] = [
    ("bool", plain::<bool>),
    ("u8", plain::<u8>),
    ("u16", plain::<u16>),
    ("u32", plain::<u32>),
    ("u64", plain::<u64>),
    ("u128", plain::<u128>),
    ("i8", plain::<i8>),
    ("i16", plain::<i16>),
    ("i32", plain::<i32>),
    ("i64", plain::<i64>),
    ("i128", plain::<i128>),
    ("f32", plain::<f32>),
    ("f64", plain::<f64>),
    ("char", plain::<char>),
    ("String", |reader, out| json(reader.next::<&str>()?, out)),
];

fn plain<T>(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem>
where
    T: for<'a> bincode::BorrowDecode<'a, ()> + Serialize,
{
    json(&reader.next::<T>()?, out)
}

/// Writes a value as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Problem> {
    let unwritable = |error| Problem::new("it cannot be written as JSON").because(error);
    serde_json::to_writer(out, value).map_err(unwritable)
}

impl Schema {
    /// Reads the text of a shape.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let mut parser = Parser {
            left: text,
            nodes: Vec::new(),
            within: Vec::new(),
        };
        match parser.node() {
            Some(root) if parser.left.is_empty() => Ok(Schema {
                nodes: parser.nodes,
                root,
            }),
            _ => {
                let at = text.len() - parser.left.len();
                let excerpt: String = parser.left.chars().take(EXCERPT_CHARS).collect();
                Err(Problem::new("the shape of a type cannot be read")
                    .detail(format!("at byte {at}, before `{excerpt}`")))
            }
        }
    }

    /// Reads a value, and writes it as JSON.
    pub(crate) fn transcode(
        &self,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        self.value(self.root, reader, out, 0)
    }

    fn value(
        &self,
        node: NodeId,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Problem> {
        if depth > VALUE_DEPTH {
            return Err(unreadable(format!(
                "a value is nested more than {VALUE_DEPTH} deep"
            )));
        }
        let depth = depth + 1;
        match &self.nodes[node] {
            Node::Unknown => Err(unreadable(
                "its shape does not say what a part of it looks like".to_owned(),
            )),
            Node::Unit => json(&(), out),
            Node::Plain(transcode) => transcode(reader, out),
            Node::Bytes => json(reader.next::<&[u8]>()?, out),
            Node::Option(inner) => match reader.next::<u8>()? {
                0 => json(&(), out),
                1 => self.value(*inner, reader, out, depth),
                tag => Err(unreadable(format!("an option has the tag {tag}"))),
            },
            Node::Seq(inner) => {
                let length: u64 = reader.next()?;
                list("[]", 0..length, out, |_, out| {
                    self.value(*inner, reader, out, depth)
                })
            }
            Node::Map(key, value) => {
                let length: u64 = reader.next()?;
                let has_names = self.is_name(*key);
                let brackets = if has_names { "{}" } else { "[]" };
                list(brackets, 0..length, out, |_, out| {
                    if !has_names {
                        return list("[]", [key, value], out, |part, out| {
                            self.value(*part, reader, out, depth)
                        });
                    }
                    self.name(*key, reader, out, depth)?;
                    out.push(b':');
                    self.value(*value, reader, out, depth)
                })
            }
            Node::Tuple(parts) => list("[]", parts, out, |part, out| {
                self.value(*part, reader, out, depth)
            }),
            Node::Fields(fields) => list("{}", fields, out, |(name, field), out| {
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                self.value(*field, reader, out, depth)
            }),
            Node::Enum(variants) => {
                let number: u32 = reader.next()?;
                let variant = variants.get(number as usize);
                let (name, inner) = variant.ok_or_else(|| {
                    unreadable(format!("there is variant {number} of {}", variants.len()))
                })?;
                let Some(inner) = inner else {
                    out.extend_from_slice(name.as_bytes());
                    return Ok(());
                };
                list("{}", [(name, inner)], out, |(name, inner), out| {
                    out.extend_from_slice(name.as_bytes());
                    out.push(b':');
                    self.value(*inner, reader, out, depth)
                })
            }
        }
    }

    /// Whether values can be names in an object.
    fn is_name(&self, node: NodeId) -> bool {
        match &self.nodes[node] {
            Node::Plain(_) => true,
            Node::Enum(variants) => variants.iter().all(|(_, inner)| inner.is_none()),
            _ => false,
        }
    }

    /// Reads a value, and writes it as a text.
    fn name(
        &self,
        node: NodeId,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Problem> {
        let mut name = Vec::new();
        self.value(node, reader, &mut name, depth)?;
        let is_text = name.first() == Some(&b'"');
        let quote: &[u8] = if is_text { b"" } else { b"\"" };
        out.extend([quote, &name, quote].concat());
        Ok(())
    }
}

/// Writes elements between two brackets.
fn list<T>(
    brackets: &str,
    elements: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (open, close) = brackets.split_at(1);
    out.extend_from_slice(open.as_bytes());
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(element, out)?;
    }
    out.extend_from_slice(close.as_bytes());
    Ok(())
}

fn unreadable(detail: String) -> Problem {
    Problem::new("state cannot be read").detail(detail)
}

/// Reads the text of a shape, as `form` writes it. Nothing comes of a text that it does not write.
struct Parser<'t> {
    left: &'t str,
    nodes: Vec<Node>,
    /// The node that began each bracket that is open.
    within: Vec<NodeId>,
}

impl<'t> Parser<'t> {
    fn take(&mut self, text: &str) -> bool {
        let left = self.left.strip_prefix(text);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    fn node(&mut self) -> Option<NodeId> {
        if self.take("^") {
            let digits = self.left.find(|c: char| !c.is_ascii_digit());
            let (number, left) = self.left.split_at(digits.unwrap_or(self.left.len()));
            self.left = left;
            let outermost = self.within.len().checked_sub(number.parse().ok()?)?;
            return self.within.get(outermost).copied();
        }
        let id = self.nodes.len();
        self.nodes.push(Node::Unknown);
        self.nodes[id] = self.new_node(id)?;
        Some(id)
    }

    fn new_node(&mut self, id: NodeId) -> Option<Node> {
        if self.take("?") {
            return Some(Node::Unknown);
        }
        if self.take("bytes") {
            return Some(Node::Bytes);
        }
        if self.take("()") {
            return Some(Node::Unit);
        }
        if self.take("Option<") {
            let [inner] = self.nodes_to(id, ">")?.try_into().ok()?;
            return Some(Node::Option(inner));
        }
        if self.take("[") {
            let [inner] = self.nodes_to(id, "]")?.try_into().ok()?;
            return Some(Node::Seq(inner));
        }
        if self.take("map<") {
            let [key, value] = self.nodes_to(id, ">")?.try_into().ok()?;
            return Some(Node::Map(key, value));
        }
        if self.take("(") {
            return Some(Node::Tuple(self.nodes_to(id, ")")?));
        }
        if self.take("{") {
            return Some(Node::Fields(self.list_to(id, "}", Self::field)?));
        }
        if self.take("enum {") {
            let variant = |parser: &mut Self| parser.variant(id);
            return Some(Node::Enum(self.list_to(id, "}", variant)?));
        }
        let plain = PLAIN.iter().find(|(name, _)| self.take(name));
        plain.map(|(_, transcode)| Node::Plain(*transcode))
    }

    fn nodes_to(&mut self, id: NodeId, close: &str) -> Option<Vec<NodeId>> {
        self.list_to(id, close, Self::node)
    }

    /// The elements up to a bracket that closes; `id` is the node that opened it.
    fn list_to<T>(
        &mut self,
        id: NodeId,
        close: &str,
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut elements = Vec::new();
        if self.take(close) {
            return Some(elements);
        }
        if self.within.len() >= SHAPE_DEPTH {
            return None;
        }
        self.within.push(id);
        loop {
            elements.push(element(self)?);
            if self.take(close) {
                break;
            }
            if !self.take(", ") {
                return None;
            }
        }
        self.within.pop();
        Some(elements)
    }

    fn field(&mut self) -> Option<(String, NodeId)> {
        let name = self.name_to(self.left.find(": ")?)?;
        self.take(": ");
        Some((name, self.node()?))
    }

    fn variant(&mut self, id: NodeId) -> Option<(String, Option<NodeId>)> {
        let ends = ["(", " {", ", ", "}"].into_iter();
        let end = ends.filter_map(|end| self.left.find(end)).min()?;
        let name = self.name_to(end)?;
        if self.take(" ") {
            return Some((name, Some(self.node()?)));
        }
        if !self.take("(") {
            return Some((name, None));
        }
        let parts = self.nodes_to(id, ")")?;
        let inner = match parts[..] {
            [inner] => inner,
            _ => {
                self.nodes.push(Node::Tuple(parts));
                self.nodes.len() - 1
            }
        };
        Some((name, Some(inner)))
    }

    /// A name as JSON.
    fn name_to(&mut self, end: usize) -> Option<String> {
        let (name, left) = self.left.split_at_checked(end)?;
        self.left = left;
        serde_json::to_string(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::fmt::Debug;
    use std::net::IpAddr;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use fastrand::Rng;
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::*;
    use crate::codec;
    use crate::shape::{Shape, shape_of};
    use crate::time::Gap;

    fn parsed<T: DeserializeOwned>() -> Schema {
        match shape_of::<T>() {
            Shape::Traced(text) => Schema::parse(&text).unwrap(),
            Shape::ByName(name) => panic!("{name} has no shape"),
        }
    }

    fn read<T: Serialize + DeserializeOwned>(value: &T) -> Result<String, Problem> {
        let bytes = codec::encode(value)?;
        let mut reader = Reader::new(&bytes)?;
        let mut out = Vec::new();
        parsed::<T>().transcode(&mut reader, &mut out)?;
        reader.end()?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Random values read by their shape are what `serde_json` makes of them.
    fn check<T: Serialize + DeserializeOwned + Debug>(make: impl Fn(&mut Rng) -> T) {
        for seed in 0..200 {
            let value = make(&mut Rng::with_seed(seed));
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(read(&value).unwrap(), json, "{value:?}");
        }
    }

    fn many<T, C: FromIterator<T>>(random: &mut Rng, make: impl Fn(&mut Rng) -> T) -> C {
        let many = random.usize(0..6);
        (0..many).map(|_| make(random)).collect()
    }

    fn text(random: &mut Rng) -> String {
        many(random, |random| match random.u8(0..3) {
            0 => *random.choice(&['"', '\\', '\n', '\0', 'ü', '𝄞']).unwrap(),
            _ => random.char(..),
        })
    }

    /// A number of any length.
    fn number(random: &mut Rng) -> u128 {
        random.u128(..) >> random.u32(0..128)
    }

    fn maybe<T>(random: &mut Rng, make: impl Fn(&mut Rng) -> T) -> Option<T> {
        random.bool().then(|| make(random))
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Newtype(i64);

    #[derive(Debug, Serialize, Deserialize)]
    struct Unit;

    #[derive(Debug, Serialize, Deserialize)]
    struct Both(u8, Option<Newtype>);

    #[derive(Debug, Serialize, Deserialize)]
    struct Empty {}

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Record {
        first_name: String,
        #[serde(rename = "the \"age\" (in years)")]
        age: Option<u8>,
        #[serde(skip)]
        _skipped: u8,
        r#type: Vec<Both>,
    }

    #[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    enum Colour {
        DarkRed,
        #[serde(rename = "light blue")]
        LightBlue,
    }

    #[derive(Debug, Serialize, Deserialize)]
    enum Deed {
        Stand,
        Say(String),
        Move(i8, i8),
        #[serde(rename = "give away")]
        Give {
            to: u64,
            what: Box<Deed>,
        },
        None(),
        Record(Record),
    }

    fn record(random: &mut Rng) -> Record {
        Record {
            first_name: text(random),
            age: maybe(random, |random| random.u8(..)),
            _skipped: 0,
            r#type: many(random, both),
        }
    }

    fn both(random: &mut Rng) -> Both {
        Both(
            random.u8(..),
            maybe(random, |random| Newtype(random.i64(..))),
        )
    }

    fn colour(random: &mut Rng) -> Colour {
        match random.bool() {
            true => Colour::DarkRed,
            false => Colour::LightBlue,
        }
    }

    fn deed(random: &mut Rng) -> Deed {
        match random.u8(0..6) {
            0 => Deed::Stand,
            1 => Deed::Say(text(random)),
            2 => Deed::Move(random.i8(..), random.i8(..)),
            3 => Deed::Give {
                to: number(random) as u64,
                what: Box::new(deed(random)),
            },
            4 => Deed::None(),
            _ => Deed::Record(record(random)),
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    enum Formula {
        Sum(Box<Formula>, Box<Formula>),
        Less(Box<Formula>),
        Many(Vec<Formula>),
        Named { terms: BTreeMap<String, Formula> },
        Number(f64),
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Tree {
        value: u8,
        children: Vec<Tree>,
        next: Option<Box<Tree>>,
        formula: Formula,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Nest(Vec<Nest>);

    fn formula(random: &mut Rng, depth: u8) -> Formula {
        let inner = |random: &mut Rng| formula(random, depth - 1);
        match random.u8(0..5) {
            _ if depth == 0 => Formula::Number(random.f64()),
            0 => Formula::Sum(Box::new(inner(random)), Box::new(inner(random))),
            1 => Formula::Less(Box::new(inner(random))),
            2 => Formula::Many(many(random, inner)),
            3 => Formula::Named {
                terms: many(random, |random| (text(random), inner(random))),
            },
            _ => Formula::Number(f64::from_bits(random.u64(..))),
        }
    }

    fn tree(random: &mut Rng, depth: u8) -> Tree {
        let is_deeper = depth > 0;
        let inner = |random: &mut Rng| tree(random, depth.saturating_sub(2));
        Tree {
            value: random.u8(..),
            children: match is_deeper {
                true => many(random, inner),
                false => Vec::new(),
            },
            next: (is_deeper && random.bool()).then(|| Box::new(inner(random))),
            formula: formula(random, depth),
        }
    }

    fn nest(random: &mut Rng, depth: u8) -> Nest {
        match depth {
            0 => Nest(Vec::new()),
            _ => Nest(many(random, |random| nest(random, depth - 1))),
        }
    }

    /// Bytes, and no sequence of numbers.
    #[derive(Debug)]
    struct Bytes(Vec<u8>);

    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Bytes;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }

                fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                    Ok(Bytes(bytes))
                }
            }
            deserializer.deserialize_byte_buf(Visitor)
        }
    }

    #[test]
    fn plain_values_and_collections_are_read() {
        check(|random| {
            let n = number(random);
            (
                (n as u8, n as u16, n as u32, n as u64, n),
                (n as i8, n as i16, n as i32, n as i64, n as i128),
                (n.is_multiple_of(2), random.char(..), text(random), ()),
            )
        });
        check(|random| {
            (
                f32::from_bits(random.u32(..)),
                f64::from_bits(random.u64(..)),
            )
        });
        check(|random| [f64::NAN, f64::INFINITY, 0.1, -0.0, random.f64()]);
        check(|random| Bytes(many(random, |random| random.u8(..))));
        check(|random| many::<_, Vec<_>>(random, |random| maybe(random, text)));
        check(|random| Some(maybe(random, |random| random.i32(..))));
        check(|random| (random.u8(1..), [random.i8(..); 3], [[random.bool()]; 2]));
        check(|random| NonZeroU32::new(random.u32(1..)));
        check(|random| Duration::from_nanos(number(random) as u64));
        check(|random| maybe(random, |random| random.u8(..)).ok_or_else(|| text(random)));
        check(|random| Gap::micros(number(random) as u64));
    }

    #[test]
    fn maps_are_read() {
        check(|random| many::<_, BTreeMap<_, _>>(random, |random| (text(random), both(random))));
        check(|random| {
            many::<_, HashMap<_, _>>(random, |random| (number(random) as i64, random.bool()))
        });
        check(|random| many::<_, BTreeMap<_, _>>(random, |random| (random.char(..), ())));
        check(|random| many::<_, BTreeMap<_, _>>(random, |random| (number(random), text(random))));
        check(|random| many::<_, BTreeMap<_, _>>(random, |random| (colour(random), 1_u8)));
        check(|random| many::<_, BTreeSet<_>>(random, colour));
        let by_pair = BTreeMap::from([((1_u8, 'a'), true), ((2, 'b'), false)]);
        assert_eq!(
            read(&by_pair).unwrap(),
            r#"[[[1,"a"],true],[[2,"b"],false]]"#
        );
    }

    #[test]
    fn structs_and_enums_are_read() {
        check(|_| (Unit, Empty {}, Newtype(3)));
        check(both);
        check(record);
        check(colour);
        check(deed);
        check(|random| many::<_, BTreeMap<_, _>>(random, |random| (text(random), deed(random))));
    }

    #[test]
    fn types_that_contain_themselves_are_read() {
        check(|random| formula(random, 4));
        check(|random| tree(random, 4));
        check(|random| (random.u8(..), nest(random, 4)));
    }

    #[test]
    fn what_has_another_form_for_people_is_told_as_it_is_kept() {
        let at = crate::time::EventTime::secs(7);
        assert_eq!(read(&Some(at)).unwrap(), "7000000");
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(read(&address).unwrap(), r#"{"V4":[127,0,0,1]}"#);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for text in [
            "", "u63", "[u8", "(u8,u8)", "^1", "[^2]", "{u8}", "enum {A", "u8 ", "map<u8>",
        ] {
            let told = Schema::parse(text).unwrap_err();
            assert_eq!(told.what(), "the shape of a type cannot be read", "{text}");
        }
        assert!(Schema::parse(&"[".repeat(60_000)).is_err());
        let read = |text: &str, bytes: &[u8]| {
            let mut reader = Reader::new(bytes).unwrap();
            let read = Schema::parse(text)
                .unwrap()
                .transcode(&mut reader, &mut Vec::new());
            read.and_then(|()| reader.end()).unwrap_err().to_string()
        };
        for (text, bytes, told) in [
            ("enum {A, B}", &[1, 2][..], "there is variant 2 of 2"),
            ("Option<u8>", &[1, 2], "an option has the tag 2"),
            ("u8", &[1, 2, 3], "1 bytes are left over"),
            ("?", &[1], "its shape does not say"),
            ("[^1]", &[1; 600], "nested more than 512 deep"),
            (
                "String",
                &[1, 253, 0, 0, 0, 0, 0, 0, 0, 1],
                "cannot be read",
            ),
            ("bool", &[1, 2], "cannot be read"),
        ] {
            let problem = read(text, bytes);
            assert!(problem.contains(told), "{text}: {problem}");
        }
    }
}
