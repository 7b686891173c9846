//! How does what the agent says of itself become an entry, and of what was it working on then?
//!
//! Whatever is said while a stack's pass runs has the fields of the pass, so that `journalctl STACK=web` finds it, and
//! `PASS=` everything that one pass has said: fields of a span are named as the journal names them. What such a field is
//! not (`error = …`) becomes a part of the message.

use std::{fmt, fmt::Write as _, sync::Arc};

use systemd::journal::Entry;
use tracing::{
    Event, Level, Span, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, SpanRef},
    util::SubscriberInitExt as _,
};

use super::{one_line, voice::Voice};
use crate::clock;

/// Fields under the journal's names.
pub type Fields = Vec<(&'static str, String)>;

/// Hears what the agent says of itself, and says it through `voice`. `RUST_LOG` says what is worth it.
pub fn listen(voice: Arc<Voice>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second daemon in one process (a test) keeps the first one's: no reason not to start.
    let _ = tracing_subscriber::registry().with(filter).with(Log(voice)).try_init();
}

/// The fields of the spans that the caller is in, the inner one's last.
pub fn fields() -> Fields {
    let of = |(id, subscriber): (&span::Id, &tracing::Dispatch)| {
        let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
        Some(fields_of(&span))
    };
    Span::current().with_subscriber(of).flatten().unwrap_or_default()
}

fn fields_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Fields {
    let mut fields = Fields::new();
    for span in span.scope().from_root() {
        fields.extend(span.extensions().get::<Fields>().into_iter().flatten().cloned());
    }
    fields
}

struct Log(Arc<Voice>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        span.extensions_mut().insert(said.fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let fields = context.event_span(event).map(|span| fields_of(&span)).unwrap_or_default();
        self.0.say(&said.entry(*event.metadata().level(), fields), clock::now());
    }
}

/// What an event or a span has recorded.
#[derive(Default)]
struct Said {
    message: String,
    rest: String,
    fields: Fields,
}

impl Said {
    fn entry(self, level: Level, mut fields: Fields) -> Entry {
        fields.extend(self.fields);
        let stack = fields.iter().find(|(name, _)| *name == "STACK").map(|(_, stack)| format!("{stack}: "));
        let message = format!("{}{}{}", stack.unwrap_or_default(), self.message, self.rest);
        Entry { message: one_line(&message), priority: priority(level), message_id: None, fields }
    }

    fn take(&mut self, name: &'static str, value: String) {
        match name {
            "message" => self.message = value,
            _ if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
                self.fields.push((name, value));
            }
            _ => drop(write!(self.rest, " {name}={value}")),
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format!("{value:?}"));
    }
}

/// How much it matters, as syslog counts.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::options::LogFormat;

    #[test]
    fn what_is_said_within_a_pass_has_its_fields_and_what_is_said_outside_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let journal = UnixDatagram::bind(&path).expect("free");
        let (voice, trouble) = Voice::of(LogFormat::Journal, &path);
        assert!(trouble.is_none());
        let subscriber =
            tracing_subscriber::registry().with(EnvFilter::new("info")).with(Log(Arc::new(voice)));
        let heard = || {
            let mut bytes = [0; 1024];
            let size = journal.recv(&mut bytes).expect("an entry");
            String::from_utf8_lossy(&bytes[..size]).replace("SYSLOG_IDENTIFIER=compose-agent\n", "")
        };
        tracing::subscriber::with_default(subscriber, || {
            let none: Option<&str> = None;
            let pass = tracing::error_span!("pass", STACK = "web", GENERATION = none, PASS = 7);
            let step = pass.in_scope(|| tracing::error_span!("step", SERVICE = "app"));
            step.in_scope(|| tracing::warn!(error = "no such file", "cannot tidy\n<0>up"));
            let expected = "MESSAGE=web: cannot tidy <0>up error=no such file\nPRIORITY=4\nSTACK=web\nPASS=7\nSERVICE=app\n";
            assert_eq!(heard(), expected);
            let named = [("STACK", "web"), ("PASS", "7"), ("SERVICE", "app")];
            assert_eq!(step.in_scope(fields), named.map(|(name, value)| (name, value.to_owned())));
            tracing::debug!("too small");
            tracing::error!("outside");
            assert_eq!(heard(), "MESSAGE=outside\nPRIORITY=3\n");
            assert_eq!(fields(), []);
        });
    }
}
