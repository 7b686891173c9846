//! `agentctl status`: is it all right, what is not, since when, and what is being done about it?

use std::{fmt::Write as _, path::Path};

use anstyle::Style;
use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::{
    ids::Time,
    status::{HealthSummary, HostStatus, OpenDrift, Phase, StackStatus},
};

use super::{
    complete, print, print_json,
    remote::{PATIENCE, Subject, ago, services_up, status_of},
    table::{BAD, BOLD, BUSY, Cell, FAINT, GOOD, Table, terminal_width},
};
use crate::{
    clock,
    control::client::Client,
    exit::{Exit, Failure},
};

/// Shows how the host stands, or one stack or service.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Only this stack, or this service of it.
    #[arg(value_name = "STACK[/SERVICE]", add = ArgValueCandidates::new(complete::subjects))]
    subject: Option<Subject>,

    /// For programs: see agent/schema/status.schema.json.
    #[arg(long)]
    json: bool,

    /// Again at every change, until interrupted.
    #[arg(long)]
    watch: bool,
}

impl Status {
    /// Whether it is the one table of everything.
    pub(super) fn is_plain(&self) -> bool {
        !self.watch && self.subject.is_none()
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let mut client = Client::connect(socket)?;
        let arguments = Subject::arguments(self.subject.as_ref());
        if !self.watch {
            let status = status_of(client.call("Status", arguments, Some(PATIENCE))?)?;
            self.show(&status)?;
            return Ok(Exit::of_host(&status));
        }
        client.stream("Status", arguments, None)?;
        let mut exit = Exit::NoAnswer;
        while let Some(answer) = client.next()? {
            let status = status_of(answer)?;
            if !self.json && terminal_width().is_some() {
                print("\x1b[H\x1b[2J");
            }
            self.show(&status)?;
            exit = Exit::of_host(&status);
        }
        Ok(exit)
    }

    fn show(&self, status: &HostStatus) -> Result<(), Failure> {
        if self.json && self.watch {
            print(&format!("{}\n", serde_json::to_string(status)?));
        } else if self.json {
            print_json(status)?;
        } else {
            print(&text(status, self.subject.is_some(), terminal_width()));
        }
        Ok(())
    }
}

/// The status as a person reads it; `detail` shows services and containers too.
pub(super) fn text(status: &HostStatus, detail: bool, width: Option<usize>) -> String {
    let mut text = head(status);
    if status.stacks.is_empty() {
        text.push_str("\nno stacks are declared\n");
        return text;
    }
    text.push('\n');
    text.push_str(&stacks(status, width));
    for stack in &status.stacks {
        let services = if detail { services(stack, width) } else { String::new() };
        let open = open(stack, width);
        if !services.is_empty() || !open.is_empty() {
            let _ =
                write!(text, "\n{}{}{}\n{services}{open}", BOLD.render(), stack.name, BOLD.render_reset());
        }
    }
    text
}

fn head(status: &HostStatus) -> String {
    let look = phase_look(status.phase);
    let mut text =
        format!("{}{}{}  {}", look.render(), status.phase.as_str(), look.render_reset(), status.host);
    match (&status.generation, status.generation_since) {
        (Some(generation), Some(since)) => {
            let _ = write!(text, " · {generation}, since {}", ago(since));
        }
        _ => {
            let _ = write!(text, " · {}", status.profile);
        }
    }
    if status.engine.reachable {
        let _ = writeln!(text, " · Engine {} (API {})", status.engine.version, status.engine.api);
    } else {
        text.push_str(" · Engine not reachable\n");
    }
    let troubles = [&status.profile_error, &status.engine.error];
    for trouble in troubles.into_iter().flatten().chain(&status.notes) {
        let _ = writeln!(text, "{}!{} {trouble}", BUSY.render(), BUSY.render_reset());
    }
    text
}

fn stacks(status: &HostStatus, width: Option<usize>) -> String {
    let mut table = Table::new(&["STACK", "PHASE", "HEALTH", "SERVICES", "SINCE", "WHY"]);
    for stack in &status.stacks {
        let why = if stack.phase == Phase::Converged { String::new() } else { stack.reason.clone() };
        table.row([
            stack.name.as_str().into(),
            Cell::styled(stack.phase_in_words(), phase_look(stack.phase)),
            Cell::styled(stack.health.as_str(), health_look(stack.health)),
            services_up(stack).into(),
            ago(stack.since).into(),
            why.into(),
        ]);
    }
    table.render(width)
}

fn services(stack: &StackStatus, width: Option<usize>) -> String {
    let mut table = Table::new(&["SERVICE", "CONTAINER", "STATE", "HEALTH", "UP", "IMAGE"]).indent(2);
    for service in &stack.services {
        if service.containers.is_empty() {
            let state = if service.replicas == 0 { "none declared" } else { "no container" };
            table.row([
                service.name.as_str().into(),
                "".into(),
                state.into(),
                "".into(),
                "".into(),
                "".into(),
            ]);
        }
        for container in &service.containers {
            let runs = container.state == "running";
            let state = match container.exit_code {
                Some(code) if !runs => format!("{} ({code})", container.state),
                _ => container.state.clone(),
            };
            table.row([
                service.name.as_str().into(),
                container.name.as_str().into(),
                Cell::styled(state, if runs { GOOD } else { Style::new() }),
                container.health.clone().unwrap_or_default().into(),
                container.started_at.filter(|_| runs).map(ago).unwrap_or_default().into(),
                container.image.as_str().into(),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { table.render(width) }
}

/// What differs, what is waited for and what is to be known, of one stack.
fn open(stack: &StackStatus, width: Option<usize>) -> String {
    let mut text = String::new();
    let mut drift =
        Table::new(&["DRIFT", "WHAT", "FIELD", "DECLARED", "FOUND", "SINCE", "VERDICT"]).indent(2);
    for open in &stack.drift {
        drift.row(drift_row(open));
    }
    if !drift.is_empty() {
        text.push_str(&drift.render(width));
    }
    let mut waits = Table::new(&["WAITS FOR", "WHAT", "SINCE", "NEXT TRY"]).indent(2);
    for wait in &stack.waiting {
        let next = wait.retry_at.map(|at| format!("in {}", until(at))).unwrap_or_default();
        waits.row([wait.on.as_str().into(), wait.what.as_str().into(), ago(wait.since).into(), next.into()]);
    }
    if !waits.is_empty() {
        text.push_str(&waits.render(width));
    }
    for progress in &stack.progress {
        let (what, how_far) = (&progress.what, &progress.how_far);
        let _ = writeln!(
            text,
            "  {}{what}:{} {how_far}, {}",
            BUSY.render(),
            BUSY.render_reset(),
            ago(progress.since)
        );
    }
    for note in &stack.notes {
        let _ = writeln!(text, "  {}note:{} {note}", FAINT.render(), FAINT.render_reset());
    }
    text
}

fn drift_row(open: &OpenDrift) -> [Cell; 7] {
    let drift = &open.drift;
    [
        Cell::styled(drift.kind.as_str(), BUSY),
        drift.subject.to_string().into(),
        drift.field.as_str().into(),
        drift.want.as_str().into(),
        drift.have.as_str().into(),
        ago(open.since).into(),
        open.verdict.as_str().into(),
    ]
}

fn until(moment: Time) -> String {
    clock::span(moment.since(clock::now()))
}

pub(super) fn phase_look(phase: Phase) -> Style {
    match phase {
        Phase::Converged => GOOD,
        Phase::Held | Phase::Working | Phase::Waiting | Phase::Drifted | Phase::Unknown => BUSY,
        Phase::Contested | Phase::Failed => BAD,
    }
}

pub(super) fn health_look(health: HealthSummary) -> Style {
    match health {
        HealthSummary::Healthy | HealthSummary::Running | HealthSummary::Completed => GOOD,
        HealthSummary::Starting | HealthSummary::Unknown => BUSY,
        HealthSummary::Unhealthy | HealthSummary::Down => BAD,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use plan::status::{EngineStatus, VERSION, WaitStatus};

    use super::*;

    pub(crate) fn example() -> HostStatus {
        HostStatus {
            version: VERSION,
            host: "lab".into(),
            profile: "/run/current-system".into(),
            generation: Some("/nix/store/abc-system".into()),
            generation_since: Some(clock::now()),
            profile_error: None,
            engine: EngineStatus {
                reachable: true,
                version: "28.5.2".into(),
                api: "1.51".into(),
                error: None,
            },
            phase: Phase::Waiting,
            stacks: vec![StackStatus {
                name: "web".into(),
                project: "web".into(),
                generation: None,
                phase: Phase::Waiting,
                since: clock::now(),
                failed_by: None,
                reason: "waits for mount /mnt/data".into(),
                applied: false,
                health: HealthSummary::Down,
                services: Vec::new(),
                drift: Vec::new(),
                waiting: vec![WaitStatus {
                    on: "mount".into(),
                    what: "/mnt/data (nothing is mounted there)".into(),
                    since: clock::now(),
                    retry_at: None,
                }],
                progress: Vec::new(),
                notes: vec!["services.web.image: no tag".into()],
                next_wake: None,
                last_pass: None,
            }],
            notes: Vec::new(),
        }
    }

    #[test]
    fn one_screen_says_what_is_wrong_and_what_is_waited_for() {
        let text = anstream::adapter::strip_str(&text(&example(), false, Some(100))).to_string();
        assert_eq!(
            text,
            "waiting  lab · /nix/store/abc-system, since 0s · Engine 28.5.2 (API 1.51)\n\n\
             STACK  PHASE    HEALTH  SERVICES  SINCE  WHY\n\
             web    waiting  down    0/0       0s     waits for mount /mnt/data\n\n\
             web\n\
             \x20 WAITS FOR  WHAT                                  SINCE\n\
             \x20 mount      /mnt/data (nothing is mounted there)  0s\n\
             \x20 note: services.web.image: no tag\n"
        );
        assert_eq!(Exit::of_host(&example()), Exit::NotConverged);
    }
}
