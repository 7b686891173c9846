//! `agentctl plan`: what would a pass do, now or for a profile that is not activated?

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::preview::{Preview, StackPreview};
use serde_json::{Map, Value, json};

use super::{complete, print, print_json, remote::PATIENCE};
use crate::{
    control::client::Client,
    exit::{Exit, Failure},
};

/// Shows what a pass would do, and changes nothing. Exit status: 0 nothing, 2 changes, 4 a spec does not load.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// Only this stack.
    #[arg(add = ArgValueCandidates::new(complete::stacks))]
    stack: Option<String>,

    /// For this profile, which need not be activated: a build's result.
    #[arg(long, value_name = "PATH")]
    profile: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let mut arguments = Map::new();
        if let Some(stack) = &self.stack {
            arguments.insert("stack".to_owned(), json!(stack));
        }
        if let Some(profile) = &self.profile {
            // The daemon has another working folder.
            let profile = std::path::absolute(profile).context("cannot tell where the profile is")?;
            arguments.insert("profile".to_owned(), json!(profile));
        }
        let mut answer = Client::connect(socket)?.call("Plan", arguments, Some(PATIENCE))?;
        let plan = answer.remove("plan").unwrap_or(Value::Null);
        let preview: Preview = serde_json::from_value(plan).context("the daemon's plan cannot be read")?;
        if self.json {
            print_json(&preview)?;
        } else {
            print(&text(&preview));
        }
        Ok(match (preview.fails(), preview.changes()) {
            (true, _) => Exit::Failed,
            // The number for "changes" as Terraform and Nix's tools have it.
            (false, true) => Exit::Usage,
            (false, false) => Exit::Converged,
        })
    }
}

/// The whole plan for people.
fn text(preview: &Preview) -> String {
    let mut text = format!("generation {}\n", preview.generation);
    for stack in &preview.stacks {
        one(stack, &mut text);
    }
    if !preview.changes() && !preview.fails() {
        text.push_str("nothing to do\n");
    }
    text
}

fn one(stack: &StackPreview, text: &mut String) {
    let told = stack.findings.iter().filter(|finding| finding.verdict != "act").count();
    if stack.steps.is_empty() && told == 0 && stack.error.is_none() {
        return;
    }
    let _ = writeln!(text, "\n{}", stack.name);
    if let Some(error) = &stack.error {
        let _ = writeln!(text, "  does not load: {error}");
    }
    for step in &stack.steps {
        let mark = if step.interrupts { "!" } else { "+" };
        let _ = writeln!(text, "  {mark} {}\n      {}", step.act, step.cause);
    }
    for finding in stack.findings.iter().filter(|finding| finding.verdict != "act") {
        let drift = &finding.drift;
        let field = if drift.field.is_empty() { String::new() } else { format!(" {}", drift.field) };
        let _ = writeln!(
            text,
            "  · {} {}{field}: {}: {}",
            drift.subject,
            drift.kind.as_str(),
            finding.verdict,
            finding.why
        );
    }
    if stack.steps.iter().any(|step| step.interrupts) {
        text.push_str("  (! interrupts what runs)\n");
    }
}
