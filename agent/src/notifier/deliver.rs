//! How does a message reach one target, and what if it does not?

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    process::Command,
    time::{sleep, timeout},
};

use super::{
    config::{Target, Way},
    message::Message,
    url::Url,
    webhook::{self, Failed},
};

/// How long one try may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait after each failed try; after the last one the message is given up.
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20), Duration::from_secs(60)];

/// Hands a message over, trying again for a while. What is given up is said where this process is looked after.
pub(super) async fn deliver(target: &Target, message: &Message) {
    let mut waits = WAITS.iter();
    loop {
        let Err(failed) = once(target, message).await else { return };
        match waits.next().filter(|_| matches!(failed, Failed::Retry(_))) {
            Some(wait) => sleep(*wait).await,
            None => {
                anstream::eprintln!("<3>{} did not get '{}': {failed}", target.name, message.title);
                return;
            }
        }
    }
}

/// One try, in bounded time.
pub(super) async fn once(target: &Target, message: &Message) -> Result<(), Failed> {
    let tried = timeout(DEADLINE, hand_over(target, message)).await;
    tried.unwrap_or_else(|_| Err(Failed::Retry(format!("it took longer than {} s", DEADLINE.as_secs()))))
}

async fn hand_over(target: &Target, message: &Message) -> Result<(), Failed> {
    let url = match &target.way {
        Way::Command(command) => return run(command, target, message).await,
        Way::Webhook(url) => url.clone(),
        Way::WebhookFile(file) => Url::parse(&secret(file)?).map_err(Failed::Never)?,
    };
    let token = target.token_file.as_deref().map(secret).transpose()?;
    webhook::send(&url, target.shape, token.as_deref(), message).await
}

/// Read each time: a token may be renewed, and need not lie in memory meanwhile.
fn secret(file: &Path) -> Result<String, Failed> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|error| Failed::Retry(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.trim().to_owned())
}

async fn run(command: &[String], target: &Target, message: &Message) -> Result<(), Failed> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    command.env("NOTIFY_TITLE", &message.title).env("NOTIFY_PRIORITY", message.priority.to_string());
    if let Some(file) = &target.token_file {
        command.env("NOTIFY_TOKEN_FILE", file);
    }
    let failed = |error: std::io::Error| Failed::Retry(format!("cannot run {program}: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        let mut body = message.body(target.shape);
        // Whole lines: what passes them on, such as a journal, may wait for their end.
        body.push(b'\n');
        // One that does not want to read need not; its status says whether it is content.
        let _ = input.write_all(&body).await;
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(Failed::Retry(format!("{program} ended with {status}"))) }
}
