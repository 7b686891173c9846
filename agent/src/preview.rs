//! What would a pass do, now or for a profile that is not activated? Reads only.

use std::{path::Path, sync::Arc};

use plan::{
    decide::{gone_stacks, owned_stacks},
    ids::StackName,
    observed::Observed,
    preview::{Preview, StackPreview, VERSION},
};
use tokio::time::Instant;

use crate::{
    beside::beside,
    daemon::Agent,
    gather::declared::Declared,
    gather::{Source, Want, gather, images::to_look_at},
};

impl Agent {
    /// The plan of one stack, or of all of a profile's and of those that have left it.
    ///
    /// # Errors
    /// The profile or the Engine cannot be looked at, or there is no such stack; in words.
    pub async fn preview(&self, profile: Option<&Path>, stack: Option<&str>) -> Result<Preview, String> {
        let path = profile.unwrap_or(&self.options.profile);
        let path = path.to_owned();
        let declared = beside(move || Declared::of(&path))
            .await?
            .map_err(|error| crate::exit::Failure::from(error).to_string())?;
        let mut wants = Vec::new();
        for (name, folder) in &declared.stacks {
            if stack.is_none_or(|stack| stack == name.as_str()) {
                let source =
                    Source { preview: true, ..self.source(declared.generation.clone(), folder.clone()) };
                let want = beside(move || gather(source)).await?;
                wants.push((name.clone(), want));
            }
        }
        let mut images = to_look_at(wants.iter().map(|(_, want)| want));
        images.extend(self.images_to_look_at());
        let (_, observed) = self.eyes.look(Instant::now(), images).await?;
        let mut stacks = Vec::new();
        for (name, want) in wants {
            stacks.push(self.preview_of(name, &want, &observed).await);
        }
        let gone = owned_stacks(&observed, &self.host).into_iter().filter(|name| {
            !declared.stacks.contains_key(name) && stack.is_none_or(|stack| stack == name.as_str())
        });
        stacks.extend(gone.map(|name| {
            let plan = gone_stacks(&observed, &self.host, &name, None);
            StackPreview::of(name, &plan)
        }));
        match stack {
            Some(stack) if stacks.is_empty() => Err(format!("there is no stack `{stack}`")),
            _ => Ok(Preview { version: VERSION, generation: declared.generation, stacks }),
        }
    }

    async fn preview_of(&self, stack: StackName, want: &Want, observed: &Observed) -> StackPreview {
        let project = match &want.project {
            Ok(project) => Arc::clone(project),
            Err(error) => return StackPreview::failed(stack, error.clone()),
        };
        let decided = self.decided(&stack, want, project, observed).await;
        StackPreview::of(stack, &decided.plan)
    }
}
