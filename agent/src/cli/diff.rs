//! `agentctl diff`: what differs from the declaration now; or what does one generation declare that another does not?

mod generations;

use std::{fmt::Write as _, path::Path};

use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::preview::{FindingPreview, Preview};
use serde_json::{Map, Value, json};

use super::{
    complete, print, print_json,
    remote::call,
    table::{BAD, BOLD, FAINT, GOOD},
};
use crate::exit::{Exit, Failure};

/// Shows what differs from the declaration now; with two generations, what they declare differently. Changes nothing.
///
/// Exit status: 0 nothing differs, 2 something does. Generations are profiles by path; no key is needed: what is encrypted
/// is told apart by its file only.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// A stack, or two generations.
    #[arg(value_name = "STACK | GENERATION GENERATION", num_args = 0..=2, add = ArgValueCandidates::new(complete::stacks))]
    of: Vec<String>,

    /// For programs.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        if let [before, after] = self.of.as_slice() {
            let changes = generations::changes(Path::new(before), Path::new(after))?;
            if self.json {
                print_json(&json!({ "version": 1, "stacks": changes }))?;
            } else {
                print(&generations::text(&changes));
            }
            return Ok(if changes.is_empty() { Exit::Converged } else { Exit::Usage });
        }
        let mut arguments = Map::new();
        if let Some(stack) = self.of.first() {
            arguments.insert("stack".to_owned(), json!(stack));
        }
        let answer = call(socket, "Plan", arguments)?.remove("plan").unwrap_or(Value::Null);
        let mut preview: Preview = serde_json::from_value(answer)?;
        for stack in &mut preview.stacks {
            // What is only on its way (a check that has not answered yet) is no difference.
            stack.findings.retain(|finding| !finding.drift.want.is_empty() || !finding.drift.have.is_empty());
        }
        preview.stacks.retain(|stack| !stack.findings.is_empty() || stack.error.is_some());
        if self.json {
            print_json(&preview)?;
        } else {
            print(&text(&preview));
        }
        Ok(if preview.stacks.is_empty() { Exit::Converged } else { Exit::Usage })
    }
}

/// Found and declared, one below the other, as `diff` has old and new.
fn text(preview: &Preview) -> String {
    let mut text = String::new();
    for stack in &preview.stacks {
        let _ = writeln!(text, "{BOLD}{}{BOLD:#}", stack.name);
        if let Some(error) = &stack.error {
            let _ = writeln!(text, "  does not load: {error}");
        }
        for finding in &stack.findings {
            one(finding, &mut text);
        }
    }
    if text.is_empty() { "nothing differs\n".to_owned() } else { text }
}

fn one(finding: &FindingPreview, text: &mut String) {
    let drift = &finding.drift;
    let place = drift.place.as_deref().map_or_else(String::new, |place| format!("  {FAINT}{place}{FAINT:#}"));
    let field = if drift.field.is_empty() { String::new() } else { format!(" {}", drift.field) };
    let _ = writeln!(text, "  {} {}{field}{place}", drift.subject, drift.kind.as_str());
    for (mark, look, value) in [('-', BAD, &drift.have), ('+', GOOD, &drift.want)] {
        if !value.is_empty() {
            let _ = writeln!(text, "    {look}{mark} {value}{look:#}");
        }
    }
    if let Some(cause) = &drift.cause {
        let _ = writeln!(text, "    cause: {cause}");
    }
    if finding.verdict != "act" {
        let _ = writeln!(text, "    {}: {}", finding.verdict, finding.why);
    }
}

#[cfg(test)]
mod tests {
    use plan::{
        drift::{Drift, DriftKind, Subject},
        preview::StackPreview,
    };

    use super::*;

    #[test]
    fn what_is_found_stands_above_what_is_declared() {
        let drift = Drift {
            subject: Subject::Service { service: "app".into(), number: Some(1), container: None, id: None },
            kind: DriftKind::Altered,
            field: "environment.TZ".into(),
            want: "UTC".into(),
            have: "CET".into(),
            place: Some("compose.yaml:3:5".into()),
            cause: Some("outside action".into()),
        };
        let finding = FindingPreview { drift, verdict: "leave".into(), why: "policy".into() };
        let stack =
            StackPreview { name: "web".into(), error: None, steps: Vec::new(), findings: vec![finding] };
        let preview = Preview { version: 1, generation: "g".into(), stacks: vec![stack] };
        assert_eq!(
            anstream::adapter::strip_str(&text(&preview)).to_string(),
            "web\n  app-1 altered environment.TZ  compose.yaml:3:5\n    - CET\n    + UTC\n    cause: outside action\n    leave: policy\n"
        );
    }
}
