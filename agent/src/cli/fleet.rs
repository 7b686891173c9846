//! `--host`: how is the same asked on several machines, over ssh?
//!
//! Each machine runs its own agentctl; nothing but ssh has to be there. `status` of all comes in one table; every other verb
//! is run on one machine after the other.

use std::{
    ffi::OsString,
    process::{Command, Stdio},
    thread,
};

use plan::status::{HostStatus, Phase};
use serde_json::json;

use super::{
    print, print_json,
    remote::{ago, services_up},
    status::{health_look, phase_look},
    table::{BAD, BOLD, Cell, Table, terminal_width},
};
use crate::exit::{Exit, Failure};

/// The program that reaches a machine, where it is not ssh.
const PROGRAM: &str = "AGENTCTL_SSH";

/// Runs a verb with its arguments on each of the machines.
pub(super) fn run(hosts: &[String], arguments: &[String]) -> Result<Exit, Failure> {
    let mut worst = Exit::Converged;
    for host in hosts {
        if hosts.len() > 1 {
            print(&format!("{BOLD}{host}{BOLD:#}\n"));
        }
        let status = ssh(host, arguments).status()?;
        worst = worse(worst, status.code().and_then(Exit::of_code).unwrap_or(Exit::NoAnswer));
    }
    Ok(worst)
}

/// The status of each of the machines, in one table.
pub(super) fn status(hosts: &[String], as_json: bool) -> Result<Exit, Failure> {
    let asked: Vec<_> = hosts
        .iter()
        .cloned()
        .map(|host| {
            let asked = host.clone();
            (host, thread::spawn(move || ask(&asked)))
        })
        .collect();
    let answers: Vec<(String, Result<HostStatus, String>)> = asked
        .into_iter()
        .map(|(host, answer)| (host, answer.join().unwrap_or_else(|_| Err("asking it failed".to_owned()))))
        .collect();
    if as_json {
        let all = answers.iter().map(|(host, answer)| match answer {
            Ok(status) => json!({ "host": host, "status": status }),
            Err(error) => json!({ "host": host, "error": error }),
        });
        print_json(&json!({ "version": 1, "hosts": all.collect::<Vec<_>>() }))?;
    } else {
        print(&table(&answers).render(terminal_width()));
    }
    let exits = answers.iter().map(|(_, answer)| answer.as_ref().map_or(Exit::NoAnswer, Exit::of_host));
    Ok(exits.fold(Exit::Converged, worse))
}

fn ask(host: &str) -> Result<HostStatus, String> {
    let arguments = ["status", "--json"].map(str::to_owned);
    let output = ssh(host, &arguments).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().last().unwrap_or("no answer").to_owned()
    })
}

/// A machine's name comes first and cannot be taken for an option; the words are quoted for the shell over there.
fn ssh(host: &str, arguments: &[String]) -> Command {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| OsString::from("ssh"));
    let words: Vec<String> =
        std::iter::once("agentctl").chain(arguments.iter().map(String::as_str)).map(quoted).collect();
    let mut command = Command::new(program);
    command.args(["-o", "ConnectTimeout=10", "--", host, &words.join(" ")]);
    command
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn table(answers: &[(String, Result<HostStatus, String>)]) -> Table {
    let mut table = Table::new(&["MACHINE", "STACK", "PHASE", "HEALTH", "SERVICES", "SINCE", "WHY"]);
    for (host, answer) in answers {
        match answer {
            Err(error) => {
                let cells = [host.as_str().into(), "".into(), Cell::styled("no answer", BAD), "".into()];
                table.row(cells.into_iter().chain(["".into(), "".into(), error.as_str().into()]));
            }
            Ok(status) => {
                for stack in &status.stacks {
                    let why = if stack.phase == Phase::Converged { "" } else { stack.reason.as_str() };
                    table.row([
                        host.as_str().into(),
                        stack.name.as_str().into(),
                        Cell::styled(stack.phase.as_str(), phase_look(stack.phase)),
                        Cell::styled(stack.health.as_str(), health_look(stack.health)),
                        services_up(stack).into(),
                        ago(stack.since).into(),
                        why.into(),
                    ]);
                }
            }
        }
    }
    table
}

/// No answer is worse than a failure that is known of.
fn worse(a: Exit, b: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Converged => 0,
        Exit::Usage => 1,
        Exit::NotConverged => 2,
        Exit::Failed => 3,
        Exit::NoAnswer => 4,
    };
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_other_shell_as_they_are() {
        assert_eq!(quoted("web/app"), "web/app");
        assert_eq!(quoted("it's; rm"), r"'it'\''s; rm'");
        let command = ssh("-oProxyCommand=x", &["hold".to_owned(), "a b".to_owned()]);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words, ["-o", "ConnectTimeout=10", "--", "-oProxyCommand=x", "agentctl hold 'a b'"]);
    }

    #[test]
    fn one_table_has_all_machines_and_those_that_do_not_answer() {
        let answers = [
            ("a".to_owned(), Ok(crate::cli::tests::example())),
            ("b".to_owned(), Err("timed out".to_owned())),
        ];
        let text = anstream::adapter::strip_str(&table(&answers).render(None)).to_string();
        let rows: Vec<&str> =
            text.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
        assert_eq!(rows, ["MACHINE", "a", "b"]);
        assert_eq!(worse(Exit::Failed, Exit::NoAnswer), Exit::NoAnswer);
    }
}
