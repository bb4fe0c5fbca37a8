//! Pipelines on real data. Each module is one idea; the programs in `src/bin` run them.

pub mod airports;
pub mod alarm;
pub mod daily;
pub mod earthquakes;
pub mod funnel;
pub mod sensors;
pub mod sessions;
pub mod visits;
pub mod word_count;

/// The files in `examples/data`, wherever the program is started from.
pub fn data(path: &str) -> String {
    format!("{}/data/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;

#[doc = include_str!("../../docs/GUIDE.md")]
#[cfg(doctest)]
pub struct Guide;

#[doc = include_str!("../../docs/EXTENDING.md")]
#[cfg(doctest)]
pub struct Extending;

#[doc = include_str!("../../docs/OPERATORS.md")]
#[cfg(doctest)]
pub struct Operators;
