//! Is `agent/schema/status.schema.json` what `agentctl status --json` prints, key for key and word for word?

use plan::{
    drift::{Drift, DriftKind, Subject},
    ids::Time,
    preview::{FindingPreview, Preview, StackPreview, StepPreview},
    status::{
        ContainerStatus, EngineStatus, FailedBy, HealthSummary, HostStatus, OpenDrift, Phase, Progress,
        ServiceStatus, StackStatus, VERSION, WaitStatus,
    },
};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../schema/status.schema.json")).expect("the schema is JSON")
}

#[test]
fn both_schemas_know_every_kind() {
    let plan: Value = serde_json::from_str(include_str!("../schema/plan.schema.json")).expect("JSON");
    let kinds: Vec<&str> = DriftKind::ALL.map(DriftKind::as_str).to_vec();
    for schema in [schema(), plan] {
        let known = find(&schema, "kind").expect("a list of kinds");
        assert_eq!(known["enum"], json!(kinds));
    }
}

/// The first property of this name that is one of several words.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map
            .get(name)
            .filter(|found| found["enum"].is_array())
            .or_else(|| map.values().find_map(|inner| find(inner, name))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

/// A status in which every list has an entry and every option a value.
fn full() -> HostStatus {
    let service = ServiceStatus {
        name: "web".into(),
        replicas: 1,
        health: HealthSummary::Down,
        containers: vec![ContainerStatus {
            name: "app-web-1".into(),
            id: "0123456789ab".into(),
            state: "exited".into(),
            health: Some("unhealthy".into()),
            image: "nginx:1".into(),
            image_id: "sha256:0".into(),
            image_digest: Some("nginx@sha256:1".into()),
            started_at: Some(Time(1)),
            exit_code: Some(137),
        }],
        depends_on: [("db".into(), "healthy".into())].into(),
        networks: vec!["app_default".into()],
    };
    let drift = Drift {
        subject: Subject::Service { service: "web".into(), number: Some(1), container: None, id: None },
        kind: DriftKind::Stopped,
        field: "state".into(),
        want: "running".into(),
        have: "exited".into(),
        place: Some("compose.yaml:1:1".into()),
        cause: Some("killed".into()),
    };
    let stack = StackStatus {
        name: "app".into(),
        project: "app".into(),
        generation: Some("/nix/store/x".into()),
        phase: Phase::Working,
        since: Time(1),
        failed_by: Some(FailedBy::Secrets),
        reason: "starts web".into(),
        applied: true,
        health: HealthSummary::Down,
        services: vec![service],
        drift: vec![OpenDrift { drift, since: Time(1), verdict: "correcting".into() }],
        waiting: vec![WaitStatus {
            on: "health".into(),
            what: "web".into(),
            since: Time(1),
            retry_at: Some(Time(2)),
        }],
        progress: vec![Progress {
            what: "pull image nginx:1".into(),
            how_far: "1 of 2 layers".into(),
            since: Time(1),
        }],
        notes: vec!["note".into()],
        next_wake: Some(Time(2)),
        last_pass: Some(Time(1)),
    };
    HostStatus {
        version: VERSION,
        host: "lab".into(),
        profile: "/run/current-system".into(),
        generation: Some("/nix/store/x".into()),
        generation_since: Some(Time(1)),
        profile_error: Some("gone".into()),
        engine: EngineStatus {
            reachable: true,
            version: "28".into(),
            api: "1.51".into(),
            error: Some("late".into()),
        },
        phase: Phase::Working,
        stacks: vec![stack],
        notes: vec!["note".into()],
    }
}

#[test]
fn a_full_status_is_valid_and_a_wrong_one_is_not() {
    let schema = jsonschema::validator_for(&schema()).expect("a valid schema");
    let mut status = serde_json::to_value(full()).expect("serialisable");
    let errors: Vec<String> = schema.iter_errors(&status).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    status["stacks"][0]["phase"] = json!("splendid");
    assert!(!schema.is_valid(&status));
}

/// Every key that is printed is described: a field that is added to the types must be added to the schema.
#[test]
fn no_key_is_left_out_of_the_schema() {
    fn walk(value: &Value, rule: &Value, root: &Value, path: &str, missing: &mut Vec<String>) {
        let rule = match rule.get("$ref").and_then(Value::as_str) {
            Some(name) => root.pointer(name.trim_start_matches('#')).unwrap_or(rule),
            None => rule,
        };
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = format!("{path}.{key}");
                    match rule.pointer(&format!("/properties/{key}")) {
                        Some(rule) => walk(value, rule, root, &path, missing),
                        // What a drift's subject holds depends on its type.
                        None if path.contains(".subject.") || path.contains(".depends_on.") => {}
                        None => missing.push(path),
                    }
                }
            }
            Value::Array(items) => {
                let rule = rule.get("items").unwrap_or(&Value::Null);
                items.iter().for_each(|item| walk(item, rule, root, path, missing));
            }
            _ => {}
        }
    }
    let (schema, mut missing) = (schema(), Vec::new());
    walk(&serde_json::to_value(full()).expect("serialisable"), &schema, &schema, "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

/// The words for phases, health and kinds are those of the types.
#[test]
fn words_are_those_of_the_types() {
    let schema = schema();
    let words = |pointer: &str| -> Vec<String> {
        serde_json::from_value(schema.pointer(pointer).expect(pointer).clone()).expect("words")
    };
    for word in words("/$defs/phase/enum") {
        let phase: Phase = serde_json::from_value(json!(word)).expect("a phase");
        assert_eq!(phase.as_str(), word);
    }
    for word in words("/$defs/health/enum") {
        let health: HealthSummary = serde_json::from_value(json!(word)).expect("a health");
        assert_eq!(health.as_str(), word);
    }
    for word in words("/$defs/drift/properties/kind/enum") {
        let kind: DriftKind = serde_json::from_value(json!(word)).expect("a kind");
        assert_eq!(kind.as_str(), word);
    }
}

/// A plan in which every list has an entry is what its schema says, and no key of it is undescribed.
#[test]
fn a_full_plan_is_valid() {
    let text = include_str!("../schema/plan.schema.json");
    let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
    let drift = full().stacks[0].drift[0].drift.clone();
    let finding = FindingPreview { drift, verdict: "leave".into(), why: "policy".into() };
    let step = StepPreview { act: "start x".into(), cause: "it is stopped".into(), interrupts: false };
    let stack = StackPreview { name: "app".into(), error: None, steps: vec![step], findings: vec![finding] };
    let plan = Preview { version: plan::preview::VERSION, generation: "/g".into(), stacks: vec![stack] };
    let plan = serde_json::to_value(plan).expect("serialisable");
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    let errors: Vec<String> = validator.iter_errors(&plan).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    for (name, value) in
        [("step", &plan["stacks"][0]["steps"][0]), ("finding", &plan["stacks"][0]["findings"][0])]
    {
        for key in value.as_object().expect("an object").keys() {
            assert!(schema["$defs"][name]["properties"].get(key).is_some(), "{name}.{key}");
        }
    }
}
