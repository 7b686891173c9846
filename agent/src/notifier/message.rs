//! In which words are people told, and in which form do they take it?

use std::collections::BTreeMap;

use plan::status::Transition;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::report;

/// The most lines of one message.
const LINES: usize = 20;

/// In which form a message is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Everything, in the agent's own form.
    #[default]
    Json,
    /// <https://gotify.net>
    Gotify,
    /// <https://ntfy.sh>
    Ntfy,
    /// Slack's incoming webhooks, which Mattermost and Discord (`/slack`) understand, too.
    Slack,
    /// A room of a Matrix server: the address up to and with `/send/m.room.message`.
    Matrix,
}

/// What is told at a time.
#[derive(Debug)]
pub struct Message {
    host: String,
    /// One line.
    pub title: String,
    /// A line for each transition.
    pub text: String,
    /// The worst, as syslog counts: 3 error, 4 warning, 5 notice, 6 information.
    pub priority: u8,
    transitions: Vec<Transition>,
}

impl Message {
    /// Tells of these, and of so many more that nobody could keep.
    pub fn of(host: &str, transitions: &[Transition], lost: u32) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for transition in transitions {
            *counts.entry(transition.event.as_str()).or_default() += 1;
        }
        let mut counts: Vec<String> =
            counts.into_iter().map(|(event, count)| format!("{count} {event}")).collect();
        if lost > 0 {
            counts.push(format!("{lost} more"));
        }
        let lost = usize::try_from(lost).unwrap_or(usize::MAX);
        let mut lines: Vec<String> = transitions.iter().take(LINES).map(report::words).collect();
        let more = transitions.len().saturating_sub(LINES).saturating_add(lost);
        if more > 0 {
            lines.push(format!("… and {more} more: agentctl history"));
        }
        Self {
            host: host.to_owned(),
            title: format!("{host}: {}", counts.join(", ")),
            text: lines.join("\n"),
            priority: transitions.iter().map(report::priority).min().unwrap_or(6),
            transitions: transitions.to_vec(),
        }
    }

    /// A message that says nothing but that it arrives.
    pub fn test(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            title: format!("{host}: test"),
            text: "compose-agent can be heard".to_owned(),
            priority: 6,
            transitions: Vec::new(),
        }
    }

    /// The body, in a form.
    pub fn body(&self, shape: Shape) -> Vec<u8> {
        let Self { title, text, .. } = self;
        let both = format!("{title}\n{text}");
        let value = match shape {
            Shape::Ntfy => return text.clone().into_bytes(),
            Shape::Json => self.json(),
            Shape::Gotify => json!({ "title": title, "message": text, "priority": self.ranked(8, 5, 3, 1) }),
            Shape::Slack => json!({ "text": both }),
            Shape::Matrix => json!({ "msgtype": "m.text", "body": both }),
        };
        value.to_string().into_bytes()
    }

    /// The headers that belong to the body, beside the token's.
    pub fn headers(&self, shape: Shape) -> Vec<(&'static str, String)> {
        if shape != Shape::Ntfy {
            return vec![("content-type", "application/json".to_owned())];
        }
        // A header is ASCII; names of hosts are, and what is not is no loss.
        let title = self.title.chars().filter(char::is_ascii).collect();
        vec![("title", title), ("priority", self.ranked(4, 3, 2, 1).to_string())]
    }

    /// The header that carries the token.
    pub fn authorization(shape: Shape, token: &str) -> (&'static str, String) {
        match shape {
            Shape::Gotify => ("x-gotify-key", token.to_owned()),
            Shape::Json | Shape::Ntfy | Shape::Slack | Shape::Matrix => {
                ("authorization", format!("Bearer {token}"))
            }
        }
    }

    fn ranked(&self, error: u8, warning: u8, notice: u8, information: u8) -> u8 {
        match self.priority {
            0..=3 => error,
            4 => warning,
            5 => notice,
            _ => information,
        }
    }

    fn json(&self) -> Value {
        json!({
            "version": 1,
            "host": self.host,
            "title": self.title,
            "message": self.text,
            "priority": self.priority,
            "transitions": self.transitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use plan::{ids::Time, status::TransitionEvent};

    use super::*;

    fn transitions(count: usize) -> Vec<Transition> {
        let one = |event, message: &str| Transition {
            at: Time(0),
            stack: "web".into(),
            event,
            drift: None,
            message: message.to_owned(),
            generation: None,
        };
        let mut all = vec![one(TransitionEvent::Failed, "pull image x:1: no such image\nforged: line")];
        all.extend((1..count).map(|_| one(TransitionEvent::Found, "app-1 stopped")));
        all
    }

    #[test]
    fn a_message_is_short_says_how_many_and_has_one_line_for_each() {
        let message = Message::of("lab", &transitions(2), 0);
        assert_eq!(message.title, "lab: 1 failed, 1 found");
        assert_eq!(message.text, "web: pull image x:1: no such image forged: line\nweb: app-1 stopped");
        assert_eq!(message.priority, 3);
        let message = Message::of("lab", &transitions(30), 7);
        assert_eq!(message.text.lines().count(), LINES + 1);
        assert!(message.text.ends_with("… and 17 more: agentctl history"), "{}", message.text);
    }

    #[test]
    fn every_form_is_what_its_reader_takes() {
        let message = Message::of("lab", &transitions(1), 0);
        let json = |shape| serde_json::from_slice::<Value>(&message.body(shape)).expect("JSON");
        assert_eq!(json(Shape::Gotify)["priority"], 8);
        assert_eq!(json(Shape::Matrix)["msgtype"], "m.text");
        assert!(json(Shape::Slack)["text"].as_str().expect("text").starts_with("lab: 1 failed\nweb: pull"));
        assert_eq!(json(Shape::Json)["transitions"][0]["event"], "failed");
        assert!(message.body(Shape::Ntfy).starts_with(b"web: pull"));
        assert_eq!(message.headers(Shape::Ntfy)[1], ("priority", "4".to_owned()));
        assert_eq!(Message::authorization(Shape::Gotify, "t"), ("x-gotify-key", "t".to_owned()));
    }
}
