//! How is a problem of a spec shown to a person, to an editor, and to a machine?

use std::fmt::Write as _;

use serde_json::{Value, json};
use specs::{Problem, Severity, Sources, doc::Span};

use super::table::{BAD, BOLD, BUSY, FAINT};

/// Says all problems on standard error.
pub(super) fn talk(list: &[Problem], sources: &Sources) {
    for problem in list {
        anstream::eprint!("{}", text(problem, sources));
    }
}

fn word(problem: &Problem) -> &'static str {
    if problem.severity == Severity::Error { "error" } else { "warning" }
}

/// `file:line:column: path: what is wrong`, the line, a caret under it, and what to write instead.
pub(super) fn text(problem: &Problem, sources: &Sources) -> String {
    let look = if problem.severity == Severity::Error { BAD } else { BUSY };
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(at) = problem.at {
        let _ = write!(text, "{}{}{}: ", BOLD.render(), sources.place(at), BOLD.render_reset());
    }
    let _ = write!(text, "{}{}{}: ", look.render(), word(problem), look.render_reset());
    if !problem.path.0.is_empty() {
        let _ = write!(text, "{}: ", problem.path);
    }
    let _ = writeln!(text, "{} [{}]", problem.message, problem.rule.0);
    if let Some(at) = problem.at {
        text.push_str(&excerpt(at, sources));
    }
    for (at, words) in &problem.related {
        let _ = writeln!(text, "  {}: {words}", sources.place(*at));
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(text, "  {}hint:{} {hint}", FAINT.render(), FAINT.render_reset());
    }
    text
}

/// The line and a caret below the place; nothing for a file that was decrypted.
fn excerpt(at: Span, sources: &Sources) -> String {
    let line = sources.get(at.file).and_then(|file| {
        let nth = usize::try_from(at.line).ok()?.checked_sub(1)?;
        file.text.as_ref()?.lines().nth(nth)
    });
    let Some(line) = line.filter(|line| line.chars().count() <= 400) else { return String::new() };
    let clean: String = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let before = usize::try_from(at.column.saturating_sub(1)).unwrap_or(0).min(clean.chars().count());
    let carets = "^".repeat(usize::try_from(at.width.max(1)).unwrap_or(1).min(clean.chars().count().max(1)));
    let gutter = format!("{:>5} | ", at.line);
    format!("{gutter}{clean}\n{:>5} | {}{carets}\n", "", " ".repeat(before))
}

/// A problem for a program.
pub(super) fn json(problem: &Problem, sources: &Sources) -> Value {
    let place = |at: &Span| {
        let file = sources.get(at.file).map(|file| file.path.display().to_string());
        json!({ "file": file, "line": at.line, "column": at.column })
    };
    json!({
        "severity": word(problem), "rule": problem.rule.0, "at": problem.at.as_ref().map(place),
        "path": problem.path.to_string(), "message": problem.message.as_str(),
        "hint": problem.hint.as_ref().map(specs::Message::as_str),
        "related": problem.related.iter().map(|(at, words)| json!({ "at": place(at), "message": words.as_str() })).collect::<Vec<_>>(),
    })
}

/// A problem as an annotation of a GitHub workflow.
pub(super) fn github(problem: &Problem, sources: &Sources) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let place =
        problem.at.and_then(|at| Some((sources.get(at.file)?, at))).map_or_else(String::new, |(file, at)| {
            format!("file={},line={},col={},", property(&file.path.display().to_string()), at.line, at.column)
        });
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    let path = if problem.path.0.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    let message = escape(&format!("{path}{}{hint}", problem.message));
    format!("::{} {place}title={}::{message}\n", word(problem), property(problem.rule.0))
}

#[cfg(test)]
mod tests {
    use specs::doc::{FileId, Path};

    use super::*;

    #[test]
    fn a_problem_points_at_its_place_and_an_annotation_is_one_line() {
        let mut sources = Sources::default();
        let file = sources.add(&"compose.yaml".into(), Some("services:\n  web:\n    imag: x\n".into()));
        let at = Span { file, line: 3, column: 5, width: 4 };
        let problem =
            Problem::error("unknown-key", at, Path::of("services.web"), "`imag` is no key of a service")
                .hint("write `image`");
        assert_eq!(
            anstream::adapter::strip_str(&text(&problem, &sources)).to_string(),
            "compose.yaml:3:5: error: services.web: `imag` is no key of a service [unknown-key]\n    \
             3 |     imag: x\n      |     ^^^^\n  hint: write `image`\n"
        );
        assert_eq!(
            github(&problem, &sources),
            "::error file=compose.yaml,line=3,col=5,title=unknown-key::services.web: `imag` is no key of a service; write `image`\n"
        );
        assert_eq!(json(&problem, &sources)["at"]["line"], 3);
        let gone = Span { file: FileId(9), ..at };
        assert_eq!(excerpt(gone, &sources), "");
    }
}
