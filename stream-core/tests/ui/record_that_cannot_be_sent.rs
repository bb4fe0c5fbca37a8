//! From `key_by` on, records can be sent and stored.
//! Errors: 1

use stream_core::prelude::*;

pub struct Handle {
    user: u64,
}

#[pipeline]
fn counted(handles: Stream<Handle>) -> Table<u64, u64> {
    handles.key_by(|handle| handle.user).count()
}

fn main() {}
