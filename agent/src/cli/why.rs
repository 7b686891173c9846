//! `agentctl why`: why is a service as it is: what differs, what would be done, what was done to it, and for which reason?
//!
//! Three answers of the daemon side by side: its status (what is open), a plan (what a pass would do now, and what it
//! leaves alone on purpose), and the history (every step with its cause). Nothing is guessed: an entry belongs to a service
//! when it names the service or one of its containers.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::{
    drift::{Drift, Subject as About},
    preview::{FindingPreview, Preview, StackPreview, StepPreview},
    status::{HostStatus, OpenDrift, StackStatus, Transition},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    complete, print, print_json,
    remote::{Subject, ago, call, status_of},
    table::{BOLD, terminal_width},
};
use crate::{
    cli::history,
    exit::{Exit, Failure},
};

/// How far back is looked, in entries of the history: all that the daemon gives.
const ALL: u32 = 10_000;

/// Explains why a service is as it is: what differs, what a pass would do now, and what was done to it, with each reason.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// The service, or a whole stack.
    #[arg(value_name = "STACK[/SERVICE]", add = ArgValueCandidates::new(complete::subjects))]
    subject: Subject,

    /// At most so many entries of the history.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    limit: usize,

    /// For programs.
    #[arg(long)]
    json: bool,
}

/// Everything that is known of it.
#[derive(Debug, Serialize)]
struct Reasons {
    /// What differs now.
    open: Vec<OpenDrift>,
    /// What a pass would do now.
    steps: Vec<StepPreview>,
    /// What it would leave, refuse or wait for.
    left: Vec<FindingPreview>,
    /// Why there is no plan, where there is none.
    error: Option<String>,
    /// What has happened to it, newest last.
    history: Vec<Transition>,
}

impl Why {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        // A service that does not exist is refused here, before anything is said about it.
        let status = status_of(call(socket, "Status", Subject::arguments(Some(&self.subject)))?)?;
        let stack = Map::from_iter([("stack".to_owned(), json!(self.subject.stack))]);
        let plan = call(socket, "Plan", stack.clone()).map(|mut answer| answer.remove("plan"));
        let plan = match plan {
            Ok(plan) => serde_json::from_value::<Preview>(plan.unwrap_or_default())?
                .stacks
                .into_iter()
                .next()
                .ok_or_else(|| "the daemon has no plan for it".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let mut arguments = stack;
        arguments.insert("limit".to_owned(), json!(ALL));
        let entries = call(socket, "History", arguments)?.remove("entries").unwrap_or(Value::Null);
        let reasons = reasons(&self.subject, &status, plan, serde_json::from_value(entries)?, self.limit);
        if self.json {
            print_json(&reasons)?;
        } else {
            print(&text(&self.subject, &status, &reasons, terminal_width()));
        }
        Ok(Exit::Converged)
    }
}

/// Picks what concerns the subject.
fn reasons(
    subject: &Subject,
    status: &HostStatus,
    plan: Result<StackPreview, String>,
    entries: Vec<Transition>,
    limit: usize,
) -> Reasons {
    let scope = Scope::of(subject, status, &entries);
    let stack = status.stacks.first();
    let open = stack.map_or(&[][..], |stack| &stack.drift);
    let (plan, error) = match plan {
        Ok(plan) => (plan.error.clone().map_or(Some(plan.clone()), |_| None), plan.error),
        Err(error) => (None, Some(error)),
    };
    let (steps, findings) = plan.map_or_else(Default::default, |plan| (plan.steps, plan.findings));
    let mut history: Vec<Transition> = entries.into_iter().filter(|entry| scope.has_entry(entry)).collect();
    history.drain(..history.len().saturating_sub(limit));
    Reasons {
        open: open.iter().filter(|open| scope.has(&open.drift)).cloned().collect(),
        steps: steps.into_iter().filter(|step| scope.names_in(&step.act)).collect(),
        left: findings
            .into_iter()
            .filter(|finding| finding.verdict != "act" && scope.has(&finding.drift))
            .collect(),
        error,
        history,
    }
}

/// What belongs to the subject.
struct Scope<'a> {
    /// `None`: everything of the stack does.
    service: Option<&'a str>,
    /// The service's containers, those of now and those that the history names as its own.
    containers: BTreeSet<String>,
}

impl<'a> Scope<'a> {
    fn of(subject: &'a Subject, status: &HostStatus, entries: &[Transition]) -> Self {
        let service = subject.service.as_deref();
        let now = status.stacks.iter().flat_map(|stack| &stack.services);
        let now = now.filter(|found| Some(found.name.as_str()) == service);
        let mut containers: BTreeSet<String> =
            now.flat_map(|found| &found.containers).map(|container| container.name.clone()).collect();
        for drift in entries.iter().filter_map(|entry| entry.drift.as_ref()) {
            if let About::Service { service: of, container: Some(name), .. } = &drift.subject
                && Some(of.as_str()) == service
            {
                containers.insert(name.clone());
            }
        }
        // Compose's own names, for containers that are gone and never differed.
        let projects = status.stacks.iter().map(|stack| stack.project.as_str());
        for (project, service) in projects.zip(service) {
            let replicas = containers.len().max(1);
            containers.extend((1..=replicas).map(|number| format!("{project}-{service}-{number}")));
        }
        Self { service, containers }
    }

    fn has(&self, drift: &Drift) -> bool {
        match (&drift.subject, self.service) {
            (_, None) => true,
            (About::Service { service, .. }, Some(wanted)) => service.as_str() == wanted,
            (About::Container { name, .. }, Some(_)) => self.containers.contains(name),
            (_, Some(_)) => false,
        }
    }

    fn has_entry(&self, entry: &Transition) -> bool {
        match &entry.drift {
            Some(drift) => self.has(drift),
            // `ACT: CAUSE`; the cause may name another service, on whose account something was done to this one.
            None => self.names_in(entry.message.split_once(": ").map_or(&entry.message, |(act, _)| act)),
        }
    }

    fn names_in(&self, act: &str) -> bool {
        self.service.is_none() || act.split_whitespace().any(|word| self.containers.contains(word))
    }
}

fn text(subject: &Subject, status: &HostStatus, reasons: &Reasons, width: Option<usize>) -> String {
    let mut text = String::new();
    for stack in &status.stacks {
        head(subject, stack, &mut text);
    }
    heading("what differs", &mut text);
    for open in &reasons.open {
        let since = ago(open.since);
        let _ = writeln!(text, "  {}: {}, since {since}", difference(&open.drift), open.verdict);
    }
    if reasons.open.is_empty() {
        text.push_str("  nothing\n");
    }
    heading("what a pass would do now", &mut text);
    if let Some(error) = &reasons.error {
        let _ = writeln!(text, "  nothing: {error}");
    }
    for step in &reasons.steps {
        let mark = if step.interrupts { "!" } else { "+" };
        let _ = writeln!(text, "  {mark} {}\n      {}", step.act, step.cause);
    }
    for left in &reasons.left {
        let _ = writeln!(text, "  · {}: {}: {}", difference(&left.drift), left.verdict, left.why);
    }
    if reasons.error.is_none() && reasons.steps.is_empty() && reasons.left.is_empty() {
        text.push_str("  nothing: it is as declared\n");
    }
    heading("what has happened", &mut text);
    if reasons.history.is_empty() {
        text.push_str("  nothing that the history knows of\n");
    } else {
        text.push_str(&history::table(&reasons.history).render(width));
    }
    text
}

fn head(subject: &Subject, stack: &StackStatus, text: &mut String) {
    let _ = writeln!(text, "{}: {} ({})", stack.name, stack.phase.as_str(), stack.reason);
    let wanted = subject.service.as_deref();
    let services =
        stack.services.iter().filter(|found| wanted.is_none_or(|name| name == found.name.as_str()));
    for container in services.flat_map(|service| &service.containers) {
        let _ = write!(text, "  {} {}", container.name, container.state);
        if let Some(started) = container.started_at {
            let _ = write!(text, ", started {} ago", ago(started));
        }
        text.push('\n');
    }
}

fn heading(words: &str, text: &mut String) {
    let _ = writeln!(text, "\n{}{words}{}", BOLD.render(), BOLD.render_reset());
}

fn difference(drift: &Drift) -> String {
    let mut text = format!("{} {}", drift.subject, drift.kind.as_str());
    if !drift.field.is_empty() {
        let _ = write!(text, " {}", drift.field);
    }
    if !drift.want.is_empty() || !drift.have.is_empty() {
        let _ = write!(text, ": declared {:?}, found {:?}", drift.want, drift.have);
    }
    for note in drift.place.iter().chain(&drift.cause) {
        let _ = write!(text, " ({note})");
    }
    text
}

#[cfg(test)]
mod tests {
    use plan::{drift::DriftKind, ids::Time, status::TransitionEvent};

    use super::*;

    fn drift(service: &str) -> Drift {
        Drift {
            subject: About::Service {
                service: service.into(),
                number: Some(1),
                container: Some(format!("web-{service}-1")),
                id: None,
            },
            kind: DriftKind::Altered,
            field: "environment.TZ".into(),
            want: "UTC".into(),
            have: "CET".into(),
            place: Some("compose.yaml:3:5".into()),
            cause: None,
        }
    }

    fn entry(event: TransitionEvent, drift: Option<Drift>, message: &str) -> Transition {
        Transition {
            at: Time(0),
            stack: "web".into(),
            event,
            drift,
            message: message.into(),
            generation: None,
        }
    }

    fn entries() -> Vec<Transition> {
        vec![
            entry(TransitionEvent::Found, Some(drift("app")), "app-1 is altered"),
            entry(TransitionEvent::Found, Some(drift("db")), "db-1 is altered"),
            entry(
                TransitionEvent::Done,
                None,
                "create container web-app-1: environment.TZ (compose.yaml:3:5)",
            ),
            entry(TransitionEvent::Done, None, "restart web-db-1: it depends on web-app-1"),
            entry(TransitionEvent::Done, None, "restart web-app-10: environment"),
        ]
    }

    fn plan() -> StackPreview {
        let step = |act: &str| StepPreview { act: act.into(), cause: "TZ".into(), interrupts: true };
        let left = |service| FindingPreview {
            drift: drift(service),
            verdict: "leave".into(),
            why: "drift: report".into(),
        };
        StackPreview {
            name: "web".into(),
            error: None,
            steps: vec![step("stop web-app-1"), step("stop web-db-1")],
            findings: vec![left("app"), left("db")],
        }
    }

    #[test]
    fn only_what_was_done_to_the_service_is_told_and_not_what_was_done_on_its_account() {
        let subject: Subject = "web/app".parse().expect("valid");
        let status = crate::cli::tests::example();
        let found = reasons(&subject, &status, Ok(plan()), entries(), 20);
        let messages: Vec<_> = found.history.iter().map(|entry| entry.message.as_str()).collect();
        assert_eq!(
            messages,
            ["app-1 is altered", "create container web-app-1: environment.TZ (compose.yaml:3:5)"]
        );
        assert_eq!(found.steps.len(), 1);
        let text = anstream::adapter::strip_str(&text(&subject, &status, &found, None)).to_string();
        assert!(text.contains("  ! stop web-app-1\n      TZ\n"), "{text}");
        let left = "· app-1 altered environment.TZ: declared \"UTC\", found \"CET\" (compose.yaml:3:5): leave: drift: report";
        assert!(text.contains(left), "{text}");
        assert!(!text.contains("db"), "{text}");
    }

    #[test]
    fn a_stack_has_all_of_it_and_the_newest_are_kept() {
        let subject: Subject = "web".parse().expect("valid");
        let found = reasons(&subject, &crate::cli::tests::example(), Ok(plan()), entries(), 2);
        assert_eq!((found.steps.len(), found.left.len(), found.history.len()), (2, 2, 2));
        assert!(found.history[1].message.starts_with("restart web-app-10"));
    }

    #[test]
    fn without_a_plan_it_says_why() {
        let subject: Subject = "web/app".parse().expect("valid");
        let status = crate::cli::tests::example();
        let found = reasons(&subject, &status, Err("the Engine does not answer".into()), Vec::new(), 2);
        let text = anstream::adapter::strip_str(&text(&subject, &status, &found, None)).to_string();
        assert!(text.contains("  nothing: the Engine does not answer\n"), "{text}");
    }
}
