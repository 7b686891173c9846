//! What has a container said, and what does it say now?

use bollard::{Docker, container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::{Stream, StreamExt};
use plan::ids::Time;

use crate::{decode, wire::Address};

/// The longest line that is passed on, in bytes; what is beyond is cut.
const LONGEST: usize = 16 << 10;

/// Which part of a container's output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Go on with what is still to come.
    pub follow: bool,
    /// Nothing before this moment.
    pub since: Option<Time>,
    /// At most so many lines of what there is.
    pub tail: u32,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was said, where the Engine knows.
    pub at: Option<Time>,
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// Without its end.
    pub text: String,
}

/// The output of a container, until it ends or the Engine hangs up.
///
/// # Errors
/// The address cannot be used.
pub fn logs(
    address: &Address,
    container: &str,
    wanted: Wanted,
) -> Result<impl Stream<Item = Line> + Send + use<>, String> {
    let docker = Docker::connect_with_host(&address.to_string()).map_err(|error| error.to_string())?;
    let seconds = wanted.since.map_or(0, |since| i32::try_from(since.0.div_euclid(1000)).unwrap_or(i32::MAX));
    let options = LogsOptionsBuilder::new()
        .follow(wanted.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(seconds)
        .tail(&wanted.tail.to_string())
        .build();
    let stream = docker.logs(container, Some(options));
    Ok(stream
        .take_while(|part| std::future::ready(part.is_ok()))
        .filter_map(|part| std::future::ready(part.ok().map(line))))
}

fn line(part: LogOutput) -> Line {
    let (stream, message) = match part {
        LogOutput::StdErr { message } => ("stderr", message),
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            ("stdout", message)
        }
    };
    let cut = &message[..message.len().min(LONGEST)];
    let text = String::from_utf8_lossy(cut);
    let text = text.trim_end_matches(['\n', '\r']);
    // `2026-11-29T09:07:13.123456789Z the line`
    let dated = text.split_once(' ').map_or((text, ""), |(stamp, rest)| (stamp, rest));
    match decode::time(&serde_json::Value::String(dated.0.to_owned())) {
        Some(at) => Line { at: Some(at), stream, text: dated.1.to_owned() },
        None => Line { at: None, stream, text: text.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_moment_and_is_bounded() {
        let said = |message: &str| line(LogOutput::StdErr { message: message.to_owned().into() });
        let dated = said("1970-01-01T00:00:01.5Z hello  there\r\n");
        assert_eq!(
            (dated.at, dated.stream, dated.text.as_str()),
            (Some(Time(1500)), "stderr", "hello  there")
        );
        assert_eq!(said("no moment\n").text, "no moment");
        assert_eq!(said(&"a".repeat(LONGEST + 5)).text.len(), LONGEST);
    }
}
