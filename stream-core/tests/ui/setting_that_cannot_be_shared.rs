//! Every worker has its own copy of a setting.
//! Errors: 1

use stream_core::prelude::*;

use std::rc::Rc;

#[pipeline]
fn tagged(lines: Stream<String>, tag: Rc<str>) -> Stream<String> {
    lines.map(|line| format!("{tag}{line}"))
}

fn main() {}
