//! Messages as a product: what the compiler says of each mistake that the rules know.
//!
//! `tests/ui` has one file a rule, with the message beside it. `TRYBUILD=overwrite` writes the
//! messages anew; read each as the one who gets it.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;
use std::path::Path;

#[test]
fn mistakes_are_told_as_written_down() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// Each message points at what the user wrote, says nothing of our own parts, and comes alone: a
/// file says in its second line how many errors its mistakes make.
#[test]
fn messages_keep_to_what_the_user_wrote() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let cases = files.filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut count = 0;
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let said = fs::read_to_string(case.with_extension("stderr")).unwrap();
        let code = fs::read_to_string(&case).unwrap();
        let expected = code
            .lines()
            .find_map(|line| line.strip_prefix("//! Errors: "));
        let blocks: Vec<_> = said.split("\n\n").filter(|block| is_error(block)).collect();
        assert_eq!(Some(blocks.len().to_string().as_str()), expected, "{name}");
        assert!(!said.contains("__private"), "{name} shows our own parts");
        for block in blocks {
            let place = block
                .lines()
                .find(|line| line.trim_start().starts_with("--> "))
                .unwrap();
            assert!(
                place.contains(&format!("tests/ui/{name}:")),
                "{name}: {place}"
            );
            let line = place.split(':').nth(1).unwrap().parse::<usize>().unwrap();
            let pointed_at = code.lines().nth(line - 1).unwrap();
            assert_ne!(pointed_at, "#[pipeline]", "{name} blames the attribute");
        }
        count += 1;
    }
    assert!(count >= 40, "only {count} cases were found");
}

fn is_error(block: &str) -> bool {
    block.starts_with("error")
}

/// The page of errors explains every message.
#[test]
fn each_message_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/ERRORS.md")).unwrap();
    for entry in fs::read_dir(root.join("tests/ui")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "stderr") {
            continue;
        }
        let said = fs::read_to_string(&path).unwrap();
        for block in said.split("\n\n").filter(|block| is_error(block)) {
            let line = block.lines().next().unwrap();
            let (_, message) = line.split_once(": ").unwrap();
            assert!(page.contains(message), "{}: {message}", path.display());
        }
    }
}
