//! stub
use std::error::Error;
#[derive(clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_options: &Options) -> Result<(), Box<dyn Error>> {
    Ok(())
}
