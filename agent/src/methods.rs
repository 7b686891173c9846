//! What do the methods of the control socket do? Each is a few lines over what the daemon has anyway.

use std::{path::PathBuf, rc::Rc, time::Duration};

use docker::logs::Wanted;
use plan::{
    ids::{ServiceName, StackName, Time},
    memory::{Hold, Restart},
    status::{HostStatus, Phase, StackStatus},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout_at},
};

use crate::{
    clock,
    control::{
        server::{Answers, Call, Methods},
        wire::Fault,
    },
    daemon::Agent,
    logs,
    triggers::Trigger,
};

/// At most this many entries of the history in one answer.
const MOST_ENTRIES: usize = 10_000;
/// How long looking at everything may take.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// At most this often a status is sent to one who watches.
const WATCH_PACE: Duration = Duration::from_millis(200);

/// The agent's own interface, over the daemon.
#[derive(Debug)]
pub struct Control(pub Rc<Agent>);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StatusArguments {
    stack: Option<String>,
    service: Option<String>,
    fresh: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PlanArguments {
    stack: Option<String>,
    profile: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogArguments {
    stack: String,
    service: Option<String>,
    follow: bool,
    since: Option<i64>,
    tail: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reconcile {
    stack: Option<String>,
    allow_empty: bool,
    wait: bool,
    timeout_ms: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldArguments {
    stack: String,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    for_ms: Option<u32>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    stack: String,
    #[serde(default)]
    service: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entries {
    stack: Option<String>,
    limit: Option<u32>,
}

impl Methods for Control {
    async fn call(&self, call: Call, answers: &mut Answers) -> Result<(), Fault> {
        match call.method.as_str() {
            "Status" => self.status(&call, answers).await,
            "Plan" => self.plan(&call, answers).await,
            "Reconcile" => self.reconcile(&call, answers).await,
            "Restart" => self.restart(&call, answers).await,
            "Down" => self.down(&call, answers).await,
            "Hold" => self.hold(&call, answers).await,
            "Release" => self.release(&call, answers).await,
            "History" => self.history(&call, answers).await,
            "Events" => self.events(&call, answers).await,
            "Logs" => self.logs(&call, answers).await,
            method => Err(Fault::method_not_found(&format!("{}.{method}", crate::control::INTERFACE))),
        }
    }
}

impl Control {
    async fn status(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        let wanted: StatusArguments = call.arguments()?;
        if wanted.fresh {
            self.look_again(wanted.stack.as_deref()).await?;
        }
        let mut changes = self.0.store.changes();
        loop {
            changes.mark_unchanged();
            let status = self.status_of(wanted.stack.as_deref(), wanted.service.as_deref())?;
            if !call.more {
                answers.last(answer(&status)).await;
                return Ok(());
            }
            if !answers.next(answer(&status)).await || changes.changed().await.is_err() {
                return Ok(());
            }
            tokio::time::sleep(WATCH_PACE).await;
        }
    }

    /// Looks at the profile, and waits until each stack has had a pass that began after now.
    async fn look_again(&self, stack: Option<&str>) -> Result<(), Fault> {
        let (asked, end) = (Instant::now(), Instant::now() + LOOK_AGAIN);
        self.0.eyes.doubt();
        for touched in self.0.rescan().await {
            self.0.trigger(Trigger::StackNow(touched));
        }
        self.0.trigger(stack.map_or(Trigger::EveryStackNow, |stack| Trigger::StackNow(stack.into())));
        let mut changes = self.0.store.changes();
        loop {
            changes.mark_unchanged();
            let status = self.status_of(stack, None)?;
            if status.stacks.iter().all(|stack| self.0.store.knows_since(&stack.name, asked)) {
                return Ok(());
            }
            if !matches!(timeout_at(end, changes.changed()).await, Ok(Ok(()))) {
                let within = LOOK_AGAIN.as_secs();
                return Err(Fault::own(
                    "Failed",
                    format!("not every stack could be looked at within {within} s"),
                ));
            }
        }
    }

    fn status_of(&self, stack: Option<&str>, service: Option<&str>) -> Result<HostStatus, Fault> {
        self.0.store.status(stack, service).ok_or_else(|| {
            let subject = [stack, service].into_iter().flatten().collect::<Vec<_>>().join("/");
            Fault::own("NotFound", format!("there is no stack or service `{subject}`"))
        })
    }

    async fn plan(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        let wanted: PlanArguments = call.arguments()?;
        let preview = self.0.preview(wanted.profile.as_deref(), wanted.stack.as_deref()).await;
        let preview = preview.map_err(|error| Fault::own("NotFound", error))?;
        answers.last(json!({ "plan": preview })).await;
        Ok(())
    }

    async fn reconcile(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        call.must_act()?;
        let wanted: Reconcile = call.arguments()?;
        let stack = wanted.stack.as_deref();
        // What has just left the profile is declared no more, and gets its pass all the same.
        for touched in self.0.rescan().await {
            self.0.trigger(Trigger::StackNow(touched));
        }
        self.status_of(stack, None)?;
        if wanted.allow_empty {
            self.0.confirm_empty();
        }
        let asked = Instant::now();
        self.0.eyes.doubt();
        self.0.try_again(stack);
        self.0.trigger(stack.map_or(Trigger::EveryStackNow, |stack| Trigger::StackNow(stack.into())));
        if wanted.wait {
            let limit = Duration::from_millis(u64::from(wanted.timeout_ms.unwrap_or(300_000)));
            self.settled(stack, asked, Instant::now() + limit, call.more, answers).await;
        }
        // A stack that is gone now has been taken away, as it should be.
        let status = self.status_of(stack, None).or_else(|_| self.status_of(None, None))?;
        answers.last(answer(&status)).await;
        Ok(())
    }

    /// Waits until each stack has had a pass that began after `asked` and nothing of it is in flight, or the time is over.
    async fn settled(
        &self,
        stack: Option<&str>,
        asked: Instant,
        end: Instant,
        more: bool,
        answers: &mut Answers,
    ) {
        let mut changes = self.0.store.changes();
        loop {
            changes.mark_unchanged();
            let Some(status) = self.0.store.status(stack, None) else { return };
            let is_settled =
                |stack: &StackStatus| self.0.store.knows_since(&stack.name, asked) && !is_in_flight(stack);
            if status.stacks.iter().all(is_settled) {
                return;
            }
            if more && !answers.next(answer(&status)).await {
                return;
            }
            if !matches!(timeout_at(end, changes.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    // What an operator was told is done outlives a crash: it is written before it is answered.

    async fn hold(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        call.must_act()?;
        let wanted: HoldArguments = call.arguments()?;
        self.status_of(Some(&wanted.stack), wanted.service.as_deref())?;
        let now = clock::now();
        let hold = Hold {
            since: now,
            until: wanted.for_ms.map(|ms| now.plus_ms(i64::from(ms))),
            reason: wanted.reason.unwrap_or_default(),
            by: call.by.clone(),
            down: false,
        };
        let stack = StackName::from(wanted.stack);
        self.0.remember(&stack, |memory| {
            memory.holds.insert(wanted.service.unwrap_or_default(), hold);
        });
        self.0.save();
        self.0.trigger(Trigger::StackNow(stack));
        answers.last(json!({})).await;
        Ok(())
    }

    async fn restart(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        call.must_act()?;
        let wanted: Named = call.arguments()?;
        self.status_of(Some(&wanted.stack), wanted.service.as_deref())?;
        let stack = StackName::from(wanted.stack);
        let service = wanted.service.map(ServiceName::from);
        let wish = Restart { service, at: clock::now(), by: call.by.clone() };
        self.0.remember(&stack, |memory| memory.restart = Some(wish));
        self.0.save();
        self.0.trigger(Trigger::StackNow(stack));
        answers.last(json!({})).await;
        Ok(())
    }

    async fn down(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        call.must_act()?;
        let wanted: Named = call.arguments()?;
        self.status_of(Some(&wanted.stack), None)?;
        let reason = "taken down; `agentctl release` brings it up again".to_owned();
        let hold = Hold { since: clock::now(), until: None, reason, by: call.by.clone(), down: true };
        let stack = StackName::from(wanted.stack);
        self.0.remember(&stack, |memory| drop(memory.holds.insert(String::new(), hold)));
        self.0.save();
        self.0.trigger(Trigger::StackNow(stack));
        answers.last(json!({})).await;
        Ok(())
    }

    async fn release(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        call.must_act()?;
        let wanted: Named = call.arguments()?;
        let stack = StackName::from(wanted.stack);
        let key = wanted.service.unwrap_or_default();
        let mut found = false;
        self.0.remember(&stack, |memory| found = memory.holds.remove(&key).is_some());
        if !found {
            return Err(Fault::own("NotFound", format!("nothing holds `{stack}`")));
        }
        self.0.save();
        self.0.trigger(Trigger::StackNow(stack));
        answers.last(json!({})).await;
        Ok(())
    }

    async fn history(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        let wanted: Entries = call.arguments()?;
        let limit = wanted.limit.map_or(100, |limit| limit as usize).min(MOST_ENTRIES);
        let entries = self
            .0
            .history
            .last(limit, |entry| wanted.stack.as_ref().is_none_or(|stack| entry.stack.as_str() == stack));
        let entries =
            entries.map_err(|error| Fault::own("Failed", format!("cannot read the history: {error}")))?;
        answers.last(json!({ "entries": entries })).await;
        Ok(())
    }

    async fn logs(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        let wanted: LogArguments = call.arguments()?;
        let (stack, service) = (Some(wanted.stack.as_str()), wanted.service.as_deref());
        let status = self.status_of(stack, service)?;
        let tail = wanted.tail.unwrap_or(100).min(logs::MOST_LINES);
        let part = Wanted { follow: wanted.follow, since: wanted.since.map(Time), tail };
        let failed = |error| Fault::own("Failed", error);
        if !wanted.follow {
            let lines = logs::past(&self.0, &status, part).await.map_err(failed)?;
            answers.last(json!({ "lines": lines })).await;
            return Ok(());
        }
        if !call.more {
            return Err(Fault::method_not_implemented("Logs"));
        }
        let now = || self.0.store.status(stack, service);
        logs::follow(&self.0, now, part, answers).await.map_err(failed)
    }

    async fn events(&self, call: &Call, answers: &mut Answers) -> Result<(), Fault> {
        let Nothing {} = call.arguments()?;
        if !call.more {
            return Err(Fault::method_not_implemented("Events"));
        }
        let mut transitions = self.0.store.transitions();
        loop {
            match transitions.recv().await {
                Ok(transition) => {
                    if !answers.next(json!({ "transition": transition })).await {
                        return Ok(());
                    }
                }
                // A slow reader misses some; the history has them all.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// Whether something that was started has not shown its effect yet.
pub fn is_in_flight(stack: &StackStatus) -> bool {
    let passing = |on: &str| matches!(on, "health" | "dependency");
    match stack.phase {
        Phase::Working => true,
        Phase::Waiting => stack.waiting.iter().any(|wait| passing(&wait.on)),
        _ => false,
    }
}

fn answer(status: &HostStatus) -> Value {
    json!({ "status": status })
}
