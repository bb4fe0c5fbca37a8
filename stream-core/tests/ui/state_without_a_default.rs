//! What an operator keeps for a key is saved, and forgotten when it is the default.
//! Errors: 2

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Serialize, Deserialize)]
struct Since(EventTime);

struct Last;

impl KeyedOperator for Last {
    type Key = u8;
    type In = u64;
    type State = Since;
    type Out = u64;

    fn record(&self, _: &u8, _: u64, _: &mut Since, _: &mut Cx<u64>) {}
}

fn main() {}
