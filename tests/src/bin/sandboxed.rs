//! Runs a program under what a unit forbids: `sandboxed UNIT-FILE DROP-IN-TEXT PROGRAM ARGUMENT…`.

use std::{error::Error, fs, os::unix::process::CommandExt as _, process::Command};

use tests::sandbox::Sandbox;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let (Some(unit), Some(drop_in), Some(program)) = (words.next(), words.next(), words.next()) else {
        return Err("usage: sandboxed UNIT-FILE DROP-IN-TEXT PROGRAM ARGUMENT…".into());
    };
    let text = format!("{}\n{}", fs::read_to_string(&unit)?, drop_in.display());
    Sandbox::of(&text).enter()?;
    Err(Command::new(program).args(words).exec().into())
}
