//! The panic hook of the process goes on working beside jobs. A file of its own, for the hook is
//! the whole process's.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::panic;
use std::sync::{Arc, Mutex};
use std::thread;

use common::{lock, within};
use stream_core::prelude::*;
use stream_core::{Error, io};

fn failing_job() -> Error {
    let job = Job::new("job", |graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("out", numbers.inspect(|_| panic!("in the job")));
    });
    let job = job
        .source("numbers", io::vec(vec![1_u64]))
        .sink::<u64>("out", io::discard());
    job.run(Mode::Batch).unwrap_err()
}

#[test]
fn panics_outside_jobs_reach_the_hook_of_the_process() {
    within("hook", || {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        panic::set_hook(Box::new(move |info| {
            let message = info.payload().downcast_ref::<&str>().unwrap_or(&"?");
            lock(&hears).push((*message).to_owned());
        }));
        let before = thread::spawn(|| panic!("before")).join();
        let error = failing_job();
        let after = thread::spawn(|| panic!("after")).join();
        assert!(before.is_err() && after.is_err());
        assert!(error.to_string().ends_with(": in the job"), "{error}");
        assert_eq!(*lock(&heard), ["before", "after"]);
    });
}
