//! Is the protocol kept, and are callers kept within their limits?

use serde::Deserialize;
use tokio::{io::AsyncReadExt, task::LocalSet};

use super::*;

struct Echo;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    word: String,
    #[serde(default)]
    times: Option<u32>,
}

impl Methods for Echo {
    async fn call(&self, call: Call, answers: &mut Answers) -> Result<(), Fault> {
        match call.method.as_str() {
            "Say" => {
                let say: Say = call.arguments()?;
                for _ in 1..say.times.unwrap_or(1) {
                    answers.next(json!({ "word": say.word })).await;
                }
                answers.last(json!({ "word": say.word })).await;
                Ok(())
            }
            "Hang" => std::future::pending().await,
            other => Err(Fault::method_not_found(other)),
        }
    }
}

/// Sends raw bytes and gives what comes back until the server hangs up or falls silent.
async fn talk(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    LocalSet::new()
        .run_until(async {
            let server = tokio::task::spawn_local(serve(listener, Rules::default(), Rc::new(Echo)));
            let mut stream = UnixStream::connect(&path).await.expect("a connection");
            stream.write_all(bytes).await.expect("a request");
            let mut said = Vec::new();
            let mut chunk = [0; 4096];
            while let Ok(Ok(read @ 1..)) = timeout(Duration::from_millis(150), stream.read(&mut chunk)).await
            {
                said.extend_from_slice(&chunk[..read]);
            }
            server.abort();
            String::from_utf8(said).expect("text").replace('\0', "\n")
        })
        .await
}

#[tokio::test]
async fn pipelined_calls_are_answered_in_order_and_streams_continue() {
    let said = talk(
        b"{\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"a\",\"times\":2},\"more\":true}\0\
          {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"b\"},\"oneway\":true}\0\
          {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"c\",\"times\":null}}\0",
    )
    .await;
    assert_eq!(
        said,
        "{\"parameters\":{\"word\":\"a\"},\"continues\":true}\n{\"parameters\":{\"word\":\"a\"}}\n{\"parameters\":{\"word\":\"c\"}}\n"
    );
}

#[tokio::test]
async fn the_four_standard_errors_have_their_names() {
    let said = talk(
        b"{\"method\":\"io.compose-agent.Control.Nope\"}\0{\"method\":\"no.such.Thing\"}\0\
          {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":1}}\0\
          {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{}}\0\
          {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"a\",\"more\":1}}\0",
    )
    .await;
    let errors: Vec<Answer> =
        said.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    let names: Vec<_> = errors
        .iter()
        .map(|answer| {
            let name = answer.error.as_deref().unwrap_or_default().trim_start_matches("org.varlink.service.");
            format!(
                "{name} {}",
                answer.parameters.values().next().and_then(Value::as_str).unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            "MethodNotFound Nope",
            "InterfaceNotFound no.such",
            "InvalidParameter word",
            "InvalidParameter word",
            "InvalidParameter more"
        ]
    );
}

#[tokio::test]
async fn it_describes_itself() {
    let said = talk(
        b"{\"method\":\"org.varlink.service.GetInfo\"}\0{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"io.compose-agent.Control\"}}\0",
    )
    .await;
    assert!(said.contains("\"interfaces\":[\"org.varlink.service\",\"io.compose-agent.Control\"]"), "{said}");
    assert!(said.contains("method Status("), "{said}");
}

#[tokio::test]
async fn what_is_no_request_or_too_large_ends_the_connection_and_not_the_server() {
    assert_eq!(talk(b"hello\0").await, "");
    assert_eq!(talk(&vec![b'x'; MAX_REQUEST + 2]).await, "");
}

#[tokio::test]
async fn a_call_that_does_not_end_ends_with_its_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let echo = Rc::new(Echo);
    LocalSet::new()
        .run_until(async {
            let server = tokio::task::spawn_local(serve(listener, Rules::default(), Rc::clone(&echo)));
            let mut stream = UnixStream::connect(&path).await.expect("a connection");
            stream.write_all(b"{\"method\":\"io.compose-agent.Control.Hang\"}\0").await.expect("a request");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(Rc::strong_count(&echo), 3, "the test, the server and the connection");
            drop(stream);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(Rc::strong_count(&echo), 2);
            server.abort();
        })
        .await;
}

#[test]
fn a_stranger_may_ask_what_this_is_and_nothing_else() {
    let call = |access| Call {
        method: "Status".into(),
        parameters: Map::new(),
        more: false,
        access,
        by: "uid 7".into(),
    };
    assert!(call(Access::Nothing).must(Access::Read).is_err());
    assert!(call(Access::Read).must(Access::Read).is_ok());
    assert!(call(Access::Read).must_act().is_err());
    assert!(call(Access::Act).must_act().is_ok());
}

/// Serves one socket within limits, while `talk` is at it.
async fn served<F: Future>(limits: Limits, talk: impl FnOnce(std::path::PathBuf) -> F) -> F::Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    LocalSet::new()
        .run_until(async {
            let serving = serve_within(limits, listener, Rules::default(), Rc::new(Echo));
            let server = tokio::task::spawn_local(serving);
            let answer = talk(path).await;
            server.abort();
            answer
        })
        .await
}

const SAY: &[u8] = b"{\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"a\"}}\0";

async fn answered(stream: &mut UnixStream, within: Duration) -> bool {
    stream.write_all(SAY).await.expect("the socket takes it");
    matches!(timeout(within, stream.read(&mut [0; 64])).await, Ok(Ok(1..)))
}

#[tokio::test]
async fn the_sixty_fifth_connection_waits_for_a_place_and_gets_it() {
    served(LIMITS, |path| async move {
        let mut streams = Vec::new();
        for _ in 0..LIMITS.connections {
            let mut stream = UnixStream::connect(&path).await.expect("a connection");
            assert!(answered(&mut stream, Duration::from_secs(30)).await);
            streams.push(stream);
        }
        let mut late = UnixStream::connect(&path).await.expect("it queues");
        assert!(!answered(&mut late, Duration::from_millis(200)).await, "there is no place for it");
        drop(streams.pop());
        let read = timeout(Duration::from_secs(30), late.read(&mut [0; 64])).await;
        assert!(matches!(read, Ok(Ok(1..))), "the call that it made is answered now");
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_completed_in_time_and_a_silent_caller_are_hung_up_on() {
    let short = Duration::from_millis(50);
    for (limits, begin) in [
        (Limits { complete: short, ..LIMITS }, &b"{\"method\":"[..]),
        (Limits { idle: short, ..LIMITS }, &b""[..]),
    ] {
        served(limits, |path| async move {
            let mut stream = UnixStream::connect(&path).await.expect("a connection");
            stream.write_all(begin).await.expect("the socket takes it");
            let read = timeout(Duration::from_secs(30), stream.read(&mut [0; 64])).await;
            assert!(matches!(read, Ok(Ok(0) | Err(_))), "it hangs up: {read:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_holds_up_nobody_else() {
    let limits = Limits { take: Duration::from_millis(100), ..LIMITS };
    served(limits, |path| async move {
        let mut greedy = UnixStream::connect(&path).await.expect("a connection");
        let call = format!(
            "{{\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{{\"word\":\"{}\",\"times\":200}},\"more\":true}}\0",
            "a".repeat(30_000)
        );
        greedy.write_all(call.as_bytes()).await.expect("the socket takes it");
        let mut other = UnixStream::connect(&path).await.expect("a connection");
        assert!(answered(&mut other, Duration::from_secs(30)).await);
    })
    .await;
}
