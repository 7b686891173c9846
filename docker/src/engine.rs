//! What does the Engine have, and how is one act done?

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::Method;
use plan::{
    container::CopiedFile,
    observed::{EngineFacts, Limit, Observed, ObservedContainer},
    resource::ImageFacts,
    step::{Act, NewContainer, Retry, StepId, Target},
};
use serde_json::{Value, json};
use specs::Text;

use crate::{
    cache::{Cache, Fingerprint, fingerprint},
    decode,
    encode::{self, Api},
    images::Pull,
    wire::{Address, Payload, Wire, WireError, query},
};

/// The newest API that is spoken.
const NEWEST: Api = (1, 51);
/// The oldest API that is spoken (Engine 20.10).
const OLDEST: Api = (1, 41);
/// How many questions are asked at a time.
const PARALLEL: usize = 8;

/// An act that the Engine did not do, or a question that it did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{act} failed")]
pub struct EngineError {
    /// What was asked.
    pub act: String,
    /// Whether asking again may help.
    pub retry: Retry,
    /// Why.
    #[source]
    pub source: WireError,
}

impl EngineError {
    fn new(act: impl Into<String>, source: WireError) -> Self {
        let retry = match source.status() {
            Some(404 | 409) => Retry::Now,
            Some(400..=499) => Retry::Never,
            _ => Retry::Later,
        };
        Self { act: act.into(), retry, source }
    }

    /// Whether the Engine could not be asked at all: nothing is known then, least of all that something is gone.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.source, WireError::Unreachable { .. } | WireError::Broken(_) | WireError::TimedOut(_))
    }

    /// The whole story in one line.
    pub fn story(&self) -> String {
        match &self.source {
            WireError::Unreachable { source, .. } => format!("{self}: {}: {source}", self.source),
            other => format!("{self}: {other}"),
        }
    }
}

/// What a snapshot must hold in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Images by reference.
    pub images: BTreeSet<String>,
}

/// A connection to an Engine, its version agreed on.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) wire: Wire,
    api: Api,
    facts: EngineFacts,
}

/// Ids of what the steps of a plan have made.
pub type Made = BTreeMap<StepId, String>;

impl Engine {
    /// Agrees with the Engine on a version and learns what it is.
    ///
    /// # Errors
    /// It does not answer, or speaks no version in common.
    pub async fn connect(address: &Address) -> Result<Self, EngineError> {
        let failed = |source| EngineError::new("asking what it is", source);
        let open = Wire::new(address.clone(), "");
        let said = open.ping().await.map_err(failed)?;
        let newest = said.get("api-version").and_then(|version| api(version.to_str().ok()?));
        let agreed = newest.unwrap_or(OLDEST).min(NEWEST);
        if agreed < OLDEST {
            let message = format!(
                "it speaks API {}.{} at most, this agent {}.{} to {}.{}",
                agreed.0, agreed.1, OLDEST.0, OLDEST.1, NEWEST.0, NEWEST.1
            );
            return Err(failed(WireError::Refused { status: 400, message }));
        }
        // One that has gone on to newer versions only says so itself.
        let wire = Wire::new(address.clone(), format!("v{}.{}", agreed.0, agreed.1));
        let info = wire.get("/info").await.map_err(failed)?;
        let podman = said.contains_key("libpod-api-version");
        Ok(Self { facts: facts(&info, agreed, podman), wire, api: agreed })
    }

    /// Nothing is about to be asked.
    pub fn rest(&self) {
        self.wire.rest();
    }

    /// What kind of Engine it is.
    pub fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// One snapshot.
    ///
    /// # Errors
    /// A question without an answer: nothing is concluded from half a snapshot.
    pub async fn observe(
        &self,
        interest: &Interest,
        cache: &RefCell<Cache>,
        now: plan::ids::Time,
    ) -> Result<Observed, EngineError> {
        cache.borrow_mut().begin();
        let ask = |what: &'static str| move |source| EngineError::new(what, source);
        let (containers, networks, volumes) = tokio::try_join!(
            self.wire.get("/containers/json?all=1"),
            self.wire.get("/networks"),
            self.wire.get("/volumes"),
        )
        .map_err(ask("listing what the Engine has"))?;
        let listed: BTreeMap<String, Fingerprint> = list(&containers)
            .filter_map(|one| Some((one["Id"].as_str()?.to_owned(), fingerprint(one))))
            .collect();
        // What has been read is let go before more is: the list alone is larger than all that is kept of it.
        drop(containers);
        let mut found: Vec<Arc<ObservedContainer>> = {
            let cache = cache.borrow();
            listed.iter().filter_map(|(id, listed)| cache.known(id, *listed).cloned()).collect()
        };
        let have: BTreeSet<String> = found.iter().map(|container| container.id.to_string()).collect();
        let unknown: Vec<String> = listed.keys().filter(|id| !have.contains(*id)).cloned().collect();
        let mut inspected = stream::iter(unknown).map(|id| self.inspect(id)).buffer_unordered(PARALLEL);
        while let Some(answer) = inspected.next().await {
            let Some(container) = answer.map_err(ask("inspecting a container"))?.map(Arc::new) else {
                continue;
            };
            if let Some(listed) = listed.get(container.id.as_str()) {
                cache.borrow_mut().keep(container.id.as_str(), *listed, &container);
            }
            found.push(container);
        }
        cache.borrow_mut().retain(|id| listed.contains_key(id));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let mut wanted: BTreeSet<String> = interest.images.clone();
        wanted.extend(found.iter().map(|container| container.image_id.to_string()));
        let images = self.images(wanted, cache).await.map_err(ask("inspecting an image"))?;
        Ok(Observed {
            engine: self.facts.clone(),
            containers: found,
            networks: list(&networks).map(decode::network_summary).collect(),
            volumes: list(&volumes["Volumes"]).map(decode::volume_summary).collect(),
            images,
            taken_at: now,
        })
    }

    /// A container that went away between the list and now is not there.
    async fn inspect(&self, id: String) -> Result<Option<ObservedContainer>, WireError> {
        let answer = absent(self.wire.get(&format!("/containers/{id}/json")).await)?;
        Ok(answer.as_ref().and_then(decode::container))
    }

    /// What these references mean now; one that is not on the Engine is left out.
    ///
    /// # Errors
    /// A question without an answer.
    pub async fn see_images(
        &self,
        wanted: BTreeSet<String>,
        cache: &RefCell<Cache>,
    ) -> Result<BTreeMap<String, ImageFacts>, EngineError> {
        self.images(wanted, cache).await.map_err(|source| EngineError::new("inspecting an image", source))
    }

    async fn images(
        &self,
        wanted: BTreeSet<String>,
        cache: &RefCell<Cache>,
    ) -> Result<BTreeMap<String, ImageFacts>, WireError> {
        let asked = stream::iter(wanted).map(|reference| async move {
            let known = cache.borrow().image(&reference).cloned();
            let facts = match known {
                Some(known) => known,
                None => {
                    let answer = self.wire.get(&format!("/images/{}/json", path(&reference))).await;
                    // A reference that the Engine does not take is one that it does not have: a matter of the service that
                    // has it, and of no other stack.
                    let answer = match answer {
                        Err(WireError::Refused { status: 400..=499, .. }) => None,
                        answer => Some(answer?),
                    };
                    let facts = answer.map(|answer| decode::image(&answer));
                    cache.borrow_mut().keep_image(&reference, facts.clone());
                    facts
                }
            };
            Ok(facts.map(|facts| (reference, facts)))
        });
        let answers: Vec<Result<_, WireError>> = asked.buffer_unordered(PARALLEL).collect().await;
        answers.into_iter().filter_map(Result::transpose).collect()
    }

    /// Does one act; gives the id of what it made, and says how far it has got where that takes a while.
    ///
    /// # Errors
    /// The Engine refused, or did not answer within `deadline`.
    pub async fn act(
        &self,
        act: &Act,
        made: &Made,
        deadline: Duration,
        say: &dyn Fn(String),
    ) -> Result<Option<String>, EngineError> {
        self.perform(act, made, deadline, say).await.map_err(|source| {
            let mut error = EngineError::new(act.to_string(), source);
            if act.brings_image() {
                // The Engine passes on what others say: the same question may have another answer later.
                error.retry = Retry::Later;
            }
            error
        })
    }

    async fn perform(
        &self,
        act: &Act,
        made: &Made,
        deadline: Duration,
        say: &dyn Fn(String),
    ) -> Result<Option<String>, WireError> {
        let id = |target: &Target| id_of(target, made);
        let post = |path: String, body: Payload| async move {
            self.wire.call(Method::POST, &path, body, deadline).await
        };
        let answer = match act {
            Act::PullImage { reference, platform, login } => {
                let pull = Pull { reference, platform: platform.as_deref(), login };
                return self.pull(pull, deadline, say).await;
            }
            Act::CreateNetwork { spec, labels, .. } => {
                post("/networks/create".into(), Payload::Json(encode::network(spec, labels))).await?
            }
            Act::CreateVolume { spec, labels, .. } => {
                post("/volumes/create".into(), Payload::Json(encode::volume(spec, labels))).await?
            }
            Act::CreateContainer(new) => return self.create(new, deadline).await,
            Act::StartContainer { container } => {
                post(format!("/containers/{}/start", id(container)?), Payload::Nothing).await?
            }
            Act::StopContainer { container, timeout } => {
                post(format!("/containers/{}/stop{}", id(container)?, seconds(*timeout)), Payload::Nothing)
                    .await?
            }
            Act::RestartContainer { container, timeout } => {
                post(format!("/containers/{}/restart{}", id(container)?, seconds(*timeout)), Payload::Nothing)
                    .await?
            }
            Act::SignalContainer { container, signal } => {
                post(
                    format!("/containers/{}/kill?signal={}", id(container)?, query(signal)),
                    Payload::Nothing,
                )
                .await?
            }
            Act::RenameContainer { container, name } => {
                post(format!("/containers/{}/rename?name={}", id(container)?, query(name)), Payload::Nothing)
                    .await?
            }
            Act::UnpauseContainer { container } => {
                post(format!("/containers/{}/unpause", id(container)?), Payload::Nothing).await?
            }
            Act::UpdateContainer { container, resources, restart } => {
                let mut body = resources.as_deref().map_or_else(|| json!({}), encode::resources);
                if let Some(policy) = restart {
                    body["RestartPolicy"] = encode::restart(policy);
                }
                post(format!("/containers/{}/update", id(container)?), Payload::Json(body)).await?
            }
            Act::ConnectNetwork { network, container, endpoint } => {
                let body = json!({ "Container": id(container)?, "EndpointConfig": encode::endpoint(endpoint, self.api) });
                post(format!("/networks/{}/connect", query(network)), Payload::Json(body)).await?
            }
            Act::DisconnectNetwork { network, container } => {
                let body = json!({ "Container": id(container)?, "Force": true });
                post(format!("/networks/{}/disconnect", query(network)), Payload::Json(body)).await?
            }
            Act::CopyFiles { container, files } => return self.copy(&id(container)?, files, deadline).await,
            Act::RemoveContainer { container } => {
                self.delete(format!("/containers/{}?force=1", id(container)?), deadline).await?
            }
            Act::RemoveNetwork { id, .. } => self.delete(format!("/networks/{id}"), deadline).await?,
            Act::RemoveImage { name, .. } => {
                self.delete(format!("/images/{}?noprune=1", path(name)), deadline).await?
            }
            Act::RunHook { container, hook } => return self.hook(&id(container)?, hook, deadline).await,
            Act::LoadImage { archive, reference } => return self.load(archive, reference, deadline).await,
            Act::BuildImage { build } => return self.build(build, deadline, say).await,
        };
        Ok(answer["Id"].as_str().map(str::to_owned))
    }

    async fn copy(
        &self,
        id: &str,
        files: &[CopiedFile],
        deadline: Duration,
    ) -> Result<Option<String>, WireError> {
        for file in files {
            let owner = if file.uid.is_some() || file.gid.is_some() { "&copyUIDGID=true" } else { "" };
            let path = format!("/containers/{id}/archive?path=/&noOverwriteDirNonDir=true{owner}");
            let tar = archive(file).map_err(|error| WireError::Broken(error.to_string()))?;
            self.wire.call(Method::PUT, &path, Payload::Tar(tar), deadline).await?;
        }
        Ok(None)
    }

    /// What is gone already needs no removing.
    async fn delete(&self, path: String, deadline: Duration) -> Result<Value, WireError> {
        let answer = self.wire.call(Method::DELETE, &path, Payload::Nothing, deadline).await;
        Ok(absent(answer)?.unwrap_or(Value::Null))
    }

    async fn create(&self, new: &NewContainer, deadline: Duration) -> Result<Option<String>, WireError> {
        let (body, later) = encode::container(new, self.api);
        let platform = new
            .spec
            .platform
            .as_ref()
            .map(|p| format!("&platform={}", query(p.expose())))
            .unwrap_or_default();
        let path = format!("/containers/create?name={}{platform}", query(&new.name));
        let answer = self.wire.call(Method::POST, &path, Payload::Json(body), deadline).await?;
        let id = answer["Id"].as_str().unwrap_or_default().to_owned();
        for (network, endpoint) in later {
            let body = json!({ "Container": id, "EndpointConfig": encode::endpoint(&endpoint, self.api) });
            let path = format!("/networks/{}/connect", query(&network));
            self.wire.call(Method::POST, &path, Payload::Json(body), deadline).await?;
        }
        Ok(Some(id))
    }

    async fn hook(
        &self,
        id: &str,
        hook: &plan::step::Hook,
        deadline: Duration,
    ) -> Result<Option<String>, WireError> {
        let texts = |list: &[Text]| list.iter().map(|text| text.expose().to_owned()).collect::<Vec<_>>();
        let text =
            |value: &Option<Text>| value.as_ref().map(|text| text.expose().to_owned()).unwrap_or_default();
        let body = json!({
            "Cmd": texts(&hook.command),
            "Env": texts(&hook.environment),
            "User": text(&hook.user),
            "WorkingDir": text(&hook.working_dir),
            "Privileged": hook.privileged,
        });
        let made = self
            .wire
            .call(Method::POST, &format!("/containers/{id}/exec"), Payload::Json(body), deadline)
            .await?;
        let exec = made["Id"].as_str().unwrap_or_default().to_owned();
        let start = Payload::Json(json!({ "Detach": true }));
        self.wire.call(Method::POST, &format!("/exec/{exec}/start"), start, deadline).await?;
        loop {
            let state = self.wire.get(&format!("/exec/{exec}/json")).await?;
            if state["Running"] == json!(false) {
                return match state["ExitCode"].as_i64() {
                    Some(0) | None => Ok(None),
                    Some(code) => Err(WireError::Refused {
                        status: 500,
                        message: format!("hook exited with status {code}"),
                    }),
                };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A reference as it stands in a path, whatever somebody has written in it.
fn path(reference: &str) -> String {
    reference.split_inclusive(['/', ':', '@']).fold(String::new(), |path, part| {
        let end = part.len() - usize::from(part.ends_with(['/', ':', '@']));
        path + &query(&part[..end]) + &part[end..]
    })
}

fn absent(answer: Result<Value, WireError>) -> Result<Option<Value>, WireError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn id_of(target: &Target, made: &Made) -> Result<String, WireError> {
    match target {
        Target::Existing { id, .. } => Ok(id.to_string()),
        Target::Made { step, .. } => made
            .get(step)
            .cloned()
            .ok_or_else(|| WireError::Refused { status: 404, message: "the container was not made".into() }),
    }
}

fn seconds(timeout: Option<i64>) -> String {
    timeout.map(|seconds| format!("?t={seconds}")).unwrap_or_default()
}

fn archive(file: &CopiedFile) -> std::io::Result<Bytes> {
    let number = |text: &Option<Text>| text.as_ref().and_then(|text| text.expose().parse().ok()).unwrap_or(0);
    let content = file.content.expose().as_bytes();
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(file.mode);
    header.set_uid(number(&file.uid));
    header.set_gid(number(&file.gid));
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, file.target.expose().trim_start_matches('/'), content)?;
    Ok(Bytes::from(archive.into_inner()?))
}

fn api(version: &str) -> Option<Api> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn facts(info: &Value, api: Api, podman: bool) -> EngineFacts {
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let unsupported = [
        (Limit::Memory, "MemoryLimit"),
        (Limit::Swap, "SwapLimit"),
        (Limit::CpuQuota, "CpuCfsQuota"),
        (Limit::CpuShares, "CPUShares"),
        (Limit::Cpuset, "CPUSet"),
        (Limit::Pids, "PidsLimit"),
        (Limit::OomKillDisable, "OomKillDisable"),
    ];
    EngineFacts {
        version: string(&info["ServerVersion"]),
        api,
        podman,
        rootless: info["SecurityOptions"].as_array().is_some_and(|all| all.contains(&json!("name=rootless"))),
        cgroup_version: if info["CgroupVersion"] == "2" { 2 } else { 1 },
        default_runtime: string(&info["DefaultRuntime"]),
        default_log_driver: string(&info["LoggingDriver"]),
        live_restore: info["LiveRestoreEnabled"] == json!(true),
        started: None,
        cdi_spec_dirs: info["CDISpecDirs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(PathBuf::from)
            .collect(),
        unsupported: unsupported
            .into_iter()
            .filter(|(_, key)| info[*key] == json!(false))
            .map(|(limit, _)| limit)
            .collect(),
    }
}
