//! A plan as it is shown: what would be done to which stack, why, and does it interrupt anything?

use serde::{Deserialize, Serialize};

use crate::{
    drift::Drift,
    ids::{Generation, StackName},
    step::{Plan, Verdict},
};

/// The version of the JSON form, `agent/schema/plan.schema.json`: fields are added, never changed.
pub const VERSION: u32 = 1;

/// The plans of a host's stacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// [`VERSION`].
    pub version: u32,
    /// The generation that they lead to.
    pub generation: Generation,
    /// By stack.
    pub stacks: Vec<StackPreview>,
}

/// The plan of one stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StackPreview {
    /// The stack.
    pub name: StackName,
    /// Why there is no plan, where there is none.
    pub error: Option<String>,
    /// What would be done at once, in its order.
    pub steps: Vec<StepPreview>,
    /// What differs, and what would be made of it.
    pub findings: Vec<FindingPreview>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPreview {
    /// Verb and object.
    pub act: String,
    /// Why.
    pub cause: String,
    /// Whether something that runs is interrupted.
    pub interrupts: bool,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingPreview {
    /// The difference; secrets are masked.
    #[serde(flatten)]
    pub drift: Drift,
    /// `act`, `wait`, `leave`, `refuse` or `note`.
    pub verdict: String,
    /// For what is waited, why it is left or refused.
    pub why: String,
}

impl StackPreview {
    /// Shows a plan.
    pub fn of(name: StackName, plan: &Plan) -> Self {
        let steps = plan.steps.iter().map(|step| StepPreview {
            act: step.act.to_string(),
            cause: step.cause.clone(),
            interrupts: step.interrupts,
        });
        let findings = plan.findings.iter().map(|finding| {
            let (verdict, why) = match &finding.verdict {
                Verdict::Act(_) => ("act", String::new()),
                Verdict::Wait(wait) => ("wait", wait.what.clone()),
                Verdict::Leave(why) => ("leave", why.clone()),
                Verdict::Refuse(why) => ("refuse", why.clone()),
                Verdict::Note(why) => ("note", why.clone()),
            };
            FindingPreview { drift: finding.drift.clone(), verdict: verdict.to_owned(), why }
        });
        Self { name, error: None, steps: steps.collect(), findings: findings.collect() }
    }

    /// A stack whose spec does not load.
    pub fn failed(name: StackName, error: String) -> Self {
        Self { name, error: Some(error), steps: Vec::new(), findings: Vec::new() }
    }
}

impl Preview {
    /// Whether anything would be changed.
    pub fn changes(&self) -> bool {
        self.stacks.iter().any(|stack| !stack.steps.is_empty())
    }

    /// Whether a stack has no plan.
    pub fn fails(&self) -> bool {
        self.stacks.iter().any(|stack| stack.error.is_some())
    }
}
