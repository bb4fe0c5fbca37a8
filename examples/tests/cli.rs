//! Every command of docs/CLI.md, run as it stands there.

#[test]
#[cfg(unix)]
fn every_command_on_the_page_about_the_command_line_prints_what_it_says() {
    // A command writes there; builds may lie elsewhere.
    std::fs::create_dir_all("../target").expect("a folder for what the page writes");
    for kept in ["../target/state", "../target/state-open"] {
        let _ = std::fs::remove_dir_all(kept); // of an earlier run, if there was one
    }
    trycmd::TestCases::new()
        .case("../docs/CLI.md")
        .env("NO_COLOR", "1")
        .run();
}
