//! Prints the canonical form of one compose file: `config -f FILE [-p NAME] [--format json|yaml]`. `agentctl config` does more.

use std::{env, path::PathBuf, process::ExitCode};

use specs::{LoadRequest, Text, canonical, disk::Disk, load};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
fn main() -> ExitCode {
    let mut request = LoadRequest {
        working_directory: env::current_dir().unwrap_or_default(),
        environment: env::vars().map(|(key, value)| (key, Text::plain(value))).collect(),
        ..LoadRequest::default()
    };
    let mut arguments = env::args().skip(1);
    let mut format = String::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-f" | "--file" => request.files.extend(arguments.next().map(PathBuf::from)),
            "-p" | "--project-name" => request.name = arguments.next(),
            "--format" => format = arguments.next().unwrap_or_default(),
            _ => {}
        }
    }
    match load(&request, &Disk) {
        Ok(loaded) => {
            let print = if format == "yaml" { canonical::yaml } else { canonical::json };
            println!("{}", print(&loaded.project, canonical::Secrets::Mask).trim_end());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::FAILURE
        }
    }
}
